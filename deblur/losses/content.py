"""Content losses: how far a restored image is from the sharp one."""

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

VGG16 = Path(__file__).parent.parent / "assets" / "vgg16" / "vgg16_to_conv3_3.safetensors"
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
LAYERS = {"relu1_2": 4, "relu2_2": 9, "conv3_3": 15, "relu3_3": 16, "relu4_3": 23, "relu5_3": 30}
"""How many of torchvision's `vgg16().features` a name stands for."""


class Charbonnier(nn.Module):
    """The mean of sqrt((restored - sharp)^2 + eps^2): an L1 distance, smooth at zero.

    Takes images in [-1, 1], any shape; gives a scalar of at least eps.
    Source: Lai et al., LapSRN (CVPR 2017).
    """

    def __init__(self, *, eps: float = 1e-3) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, restored: Tensor, sharp: Tensor) -> Tensor:
        """Give the loss of (N, 3, H, W), a scalar."""
        return ((restored.float() - sharp.float()) ** 2 + self.eps**2).sqrt().mean()


class Perceptual(nn.Module):
    """The mean squared difference of VGG16 features over scale squared: Li's Equation 2.

    layer: where VGG16 is cut; relu3_3 is Keras' block3_conv3, which ends in its ReLU.
    weights: "built-in" (Simonyan and Zisserman's, up to relu3_3), "torchvision" (its own
    training, downloaded once), "random" (for tests), or a .safetensors file with torchvision's
    names. scale: what features are divided by, so that the loss is near one whatever the layer;
    None for the file's own (a metadata entry such as relu3_3_rms), or 1 where it has none.

    Images are taken from [-1, 1] to the weights' own statistics, and the whole batch alike. The
    features are frozen and are no part of the state_dict.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, *, layer: str = "relu3_3", weights: str = "built-in", scale: float | None = None
    ) -> None:
        super().__init__()
        from torchvision.models import VGG16_Weights, vgg16

        if layer not in LAYERS:
            raise ValueError(f"layer must be one of {', '.join(LAYERS)}, got {layer}")
        asked = VGG16_Weights.IMAGENET1K_V1 if weights == "torchvision" else None
        self.features = vgg16(weights=asked).features[: LAYERS[layer]]
        metadata: dict[str, str] = {}
        if weights not in ("torchvision", "random"):
            path = VGG16 if weights == "built-in" else Path(weights)
            metadata = _load(self.features, path)
        for name, default in IMAGENET.items():
            values = metadata[name].split() if name in metadata else default
            statistic = torch.tensor([float(value) for value in values]).view(1, 3, 1, 1)
            self.register_buffer(name, statistic, persistent=False)
        self.scale = float(metadata.get(f"{layer}_rms", 1.0)) if scale is None else scale
        _freeze(self.features)

    def forward(self, restored: Tensor, sharp: Tensor) -> Tensor:
        """Give the loss of (N, 3, H, W) in [-1, 1], a scalar."""
        with torch.no_grad():
            target = self.embed(sharp)
        return ((self.embed(restored).float() - target.float()) / self.scale).square().mean()

    def embed(self, image: Tensor) -> Tensor:
        """Give the features of (N, 3, H, W) in [-1, 1], not yet divided by the scale."""
        embedding: Tensor = self.features(((image + 1) / 2 - self.mean) / self.std)
        return embedding


def _load(features: nn.Module, path: Path) -> dict[str, str]:
    """Fill the features from a .safetensors file and return its metadata."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected VGG16 weights (.safetensors)")
    with safe_open(path, framework="pt") as file:
        wanted = features.state_dict()
        held = set(file.keys())
        missing = [name for name in wanted if f"features.{name}" not in held]
        if missing:
            raise ValueError(f"{path}: lacks features.{missing[0]}; it ends before that layer")
        features.load_state_dict({name: file.get_tensor(f"features.{name}") for name in wanted})
        return dict(file.metadata() or {})


def _freeze(module: nn.Module) -> None:
    """Turn parameters into buffers that no optimizer finds and no state_dict holds."""
    for part in module.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach(), persistent=False)
