"""Content losses: how far a restored image is from the sharp one."""

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

VGG16 = Path(__file__).parent.parent / "assets" / "vgg16" / "vgg16_to_conv3_3.safetensors"
NAMES = Literal["vgg16", "vgg19"]
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
LAYERS = {
    "vgg16": {
        **{"relu1_2": 4, "relu2_2": 9, "conv3_3": 15},
        **{"relu3_3": 16, "relu4_3": 23, "relu5_3": 30},
    },
    "vgg19": {"conv3_3": 15, "relu3_3": 16, "relu5_4": 36},
}
"""The number of modules in `features` of torchvision's networks up to each layer."""


class Charbonnier(nn.Module):
    """The mean of sqrt((restored - sharp)^2 + eps^2): an L1 distance, smooth at zero.

    Takes images in [-1, 1], any shape; returns a scalar of at least eps.
    Source: Lai et al., LapSRN (CVPR 2017).
    """

    def __init__(self, *, eps: float = 1e-3) -> None:
        super().__init__()
        self.eps = _check_positive("eps", eps)

    def forward(self, restored: Tensor, sharp: Tensor) -> Tensor:
        """Return the loss of (N, 3, H, W), a scalar."""
        return ((restored.float() - sharp.float()) ** 2 + self.eps**2).sqrt().mean()


class PSNRLoss(nn.Module):
    """The mean over images of 10 log10(mean squared difference + eps): minus the PSNR.

    Takes images in [-1, 1] and converts them to [0, 1]; returns a scalar in dB, at least -80 with
    the default eps. All images have the same weight. Source: NAFNet (arXiv 2204.04676) and HINet.
    """

    def __init__(self, *, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = _check_positive("eps", eps)

    def forward(self, restored: Tensor, sharp: Tensor) -> Tensor:
        """Return the loss of (N, 3, H, W), a scalar."""
        error = ((restored.float() - sharp.float()) / 2).square().mean((1, 2, 3))
        return 10 * (error + self.eps).log10().mean()


class FrequencyL1(nn.Module):
    """The mean absolute difference of the images' Fourier transforms, real and imaginary parts.

    Takes images in [-1, 1], any size. The transform is orthonormal, so that the loss has the
    magnitude of a pixel loss at every size. Source: MIMO-UNet (arXiv 2108.05054), with weight 0.1
    besides L1, but of a transform without a norm: sqrt(HW) times this one (256 at 256x256 pixels).
    """

    def forward(self, restored: Tensor, sharp: Tensor) -> Tensor:
        """Return the loss of (N, 3, H, W), a scalar."""
        change = torch.fft.rfft2(restored.float() - sharp.float(), norm="ortho")
        return torch.view_as_real(change).abs().mean()


class MultiScale(nn.Module):
    """The mean of a loss over an image and smaller copies, each half the size of the one before.

    Coarse scales help a network to move edges that blur has displaced far. Source: Nah et al.,
    DeepDeblur (arXiv 1612.02177), where it applies to the outputs of each scale; for a generator
    with a method `pyramid`, `DeblurGAN` compares those itself.

    loss: takes two images. scales: the number of sizes, 1 to 10, including the image's own.
    """

    def __init__(self, *, loss: nn.Module, scales: int = 3) -> None:
        super().__init__()
        if not 1 <= scales <= 10:
            raise ValueError(f"scales must be 1 to 10, got {scales}")
        self.loss = loss
        self.scales = scales

    def forward(self, restored: Tensor, sharp: Tensor) -> Tensor:
        """Return the loss of (N, 3, H, W), a scalar."""
        losses = [self.loss(restored, sharp)]
        for _ in range(self.scales - 1):
            restored, sharp = halve(restored), halve(sharp)
            losses.append(self.loss(restored, sharp))
        return torch.stack(losses).mean()


def halve(image: Tensor) -> Tensor:
    """Average squares of 2x2 pixels: (N, C, H, W) to half its sides, rounded up."""
    return F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)


class Perceptual(nn.Module):
    """The mean squared difference of VGG features, divided by scale squared: Li's Equation 2.

    The features are frozen, and are not part of the state_dict.

    Args:
        network: "vgg16" or "vgg19".
        layer: The last layer used. VGG16's relu3_3 is Keras' block3_conv3, which includes its ReLU;
            DeblurGAN's code uses VGG19's conv3_3.
        weights: "built-in" (Simonyan and Zisserman's VGG16, up to relu3_3), "torchvision"
            (torchvision's, downloaded once), "random" (for tests), or the path of a .safetensors
            file with torchvision's names.
        scale: Features are divided by it, so that the loss is near one for every layer. None uses
            the file's own (a metadata entry such as relu3_3_rms), or 1 if it has none.
        normalize: Convert images from [-1, 1] to the statistics of the weights. False passes them
            as they are, as in DeblurGAN's code.

    Raises:
        ValueError: The layer does not exist, or the weights are not available.
        FileNotFoundError: There is no such file of weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        network: NAMES = "vgg16",
        layer: str = "relu3_3",
        weights: str = "built-in",
        scale: float | None = None,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        if network not in LAYERS or layer not in LAYERS[network]:
            known = "; ".join(f"{name}: {', '.join(layers)}" for name, layers in LAYERS.items())
            raise ValueError(f"no layer {layer} of {network}, expected one of {known}")
        if network == "vgg19" and weights == "built-in":
            raise ValueError(
                "VGG19's weights are not bundled: type model.content.perceptual.weights=FILE, or "
                "=torchvision to download them once, or model/content=vgg16"
            )
        scale = None if scale is None else _check_positive("scale", scale)
        self.features = _build(network, weights)[: LAYERS[network][layer]]
        metadata: dict[str, str] = {}
        if weights not in ("torchvision", "random"):
            path = VGG16 if weights == "built-in" else Path(weights)
            metadata = _load(self.features, path)
        for name, default in IMAGENET.items():
            values = metadata[name].split() if name in metadata else default
            statistic = torch.tensor([float(value) for value in values]).view(1, 3, 1, 1)
            self.register_buffer(name, statistic, persistent=False)
        self.scale = float(metadata.get(f"{layer}_rms", 1.0)) if scale is None else scale
        self.normalize = normalize
        _freeze(self.features)

    def forward(self, restored: Tensor, sharp: Tensor) -> Tensor:
        """Return the loss of (N, 3, H, W) in [-1, 1], a scalar."""
        with torch.no_grad():
            target = self.embed(sharp)
        return ((self.embed(restored).float() - target.float()) / self.scale).square().mean()

    def embed(self, image: Tensor) -> Tensor:
        """Return the features of (N, 3, H, W) in [-1, 1], before the division by the scale."""
        if self.normalize:
            image = ((image + 1) / 2 - self.mean) / self.std
        embedding: Tensor = self.features(image)
        return embedding


def _check_positive(name: str, value: float) -> float:
    if not 1e-12 <= value <= 1e12:
        raise ValueError(f"{name} must be positive, 1e-12 to 1e12, got {value}")
    return value


def _build(network: NAMES, weights: str) -> nn.Sequential:
    """Build torchvision's features, with its weights if requested."""
    from torchvision import models

    asked = "IMAGENET1K_V1" if weights == "torchvision" else None
    try:
        features: nn.Sequential = getattr(models, network)(weights=asked).features
    except OSError as error:  # includes URLError
        raise ValueError(
            f"torchvision's {network} could not be downloaded ({error}); type "
            "model.content.perceptual.weights=FILE or model/content=vgg16"
        ) from error
    return features


def _load(features: nn.Module, path: Path) -> dict[str, str]:
    """Fill the features from a .safetensors file and return its metadata."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected VGG weights (.safetensors)")
    wanted = features.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            held = set(file.keys())
            if missing := [name for name in wanted if f"features.{name}" not in held]:
                raise ValueError(f"{path}: lacks features.{missing[0]}; it ends before that layer")
            features.load_state_dict({name: file.get_tensor(f"features.{name}") for name in wanted})
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error


def _freeze(module: nn.Module) -> None:
    """Turn parameters into buffers that are neither optimized nor in the state_dict."""
    for part in module.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach(), persistent=False)
