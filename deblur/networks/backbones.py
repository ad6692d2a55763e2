"""ImageNet networks, cut into five stages: the backbones of DeblurGAN-v2's pyramid."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from deblur.extras import install_command

Norm = type[nn.BatchNorm2d]
BACKBONES = Literal["mobilenet", "inception"]
CUTS = {"mobilenet": "mobilenet_v2", "inception": "inception_resnet_v2"}
FETCHED = {"mobilenet": "torchvision", "inception": "timm"}
CHANNELS = {"mobilenet": (16, 24, 32, 64, 160), "inception": (32, 64, 192, 1088, 2080)}
"""Channels of each stage's output, from half the input's resolution to a 32nd."""
MOBILENET = ((0, 2), (2, 4), (4, 7), (7, 11), (11, 16))
"""The range of MobileNetV2's features in each stage."""
INCEPTION = {
    **{"conv2d_1a": "enc0", "conv2d_2a": "enc1.0", "conv2d_2b": "enc1.1"},
    **{"conv2d_3b": "enc2.0", "conv2d_4a": "enc2.1"},
    **{"mixed_5b": "enc3.0", "repeat": "enc3.1", "mixed_6a": "enc3.2"},
    **{"repeat_1": "enc4.0", "mixed_7a": "enc4.1"},
}
"""The parts of InceptionResNetV2, by their original names, and their places in our stages."""
UNUSED = {
    "mobilenet": ("features.16", "features.17", "features.18", "classifier"),
    "inception": ("repeat_2", "block8", "conv2d_7b", "classif", "last_linear"),
}
"""Parts after the last stage, which files of the whole network contain."""


class Backbone(NamedTuple):
    """A network's stages, and the source of their weights."""

    stages: nn.ModuleDict
    """enc0 to enc4: each takes the output of the one before, the first (N, 3, H, W) in [-1, 1]."""
    weights: str


def build_backbone(name: BACKBONES, norm: Norm, weights: str | None) -> Backbone:
    """Build a network's stages.

    Args:
        name: "mobilenet" is torchvision's MobileNetV2 (Sandler et al., arXiv 1801.04381), up to
            features[15]; "inception" is InceptionResNetV2 (Szegedy et al., arXiv 1602.07261), as
            ported from TensorFlow by Cadene, up to mixed_7a, with its unpadded convolutions.
        norm: The class of the norms.
        weights: None starts at random. "torchvision" (mobilenet) and "timm" (inception, if timm is
            installed) download weights trained on ImageNet, once. Otherwise a .safetensors file
            with the names of torchvision or timm, with or without layers after the last stage.

    Raises:
        ValueError: The weights are not available, do not fit or have other names.
        FileNotFoundError: There is no such file.
    """
    if weights in FETCHED.values() and weights != FETCHED[name]:
        raise ValueError(f"weights of {name} are {FETCHED[name]} or a file, got {weights}")
    if weights is not None and weights not in FETCHED.values():
        if not weights.endswith(".safetensors"):
            raise ValueError(
                f"weights must be null, {FETCHED[name]} or a .safetensors file, got {weights}"
            )
        if not Path(weights).is_file():
            raise FileNotFoundError(f"{weights}: no such file; expected weights of {CUTS[name]}")
    stages = _mobilenet(norm) if name == "mobilenet" else _inception(norm)
    used = "random"
    if weights in FETCHED.values():
        used, held = _fetch(name)
        _fill(stages, name, held, used)
    elif weights is not None:
        used = weights
        try:
            _fill(stages, name, load_file(weights), weights)
        except SafetensorError as error:
            raise ValueError(f"{weights}: not a safetensors file ({error})") from error
    return Backbone(stages, used)


def _fetch(name: BACKBONES) -> tuple[str, Mapping[str, Tensor]]:
    """Download weights trained on ImageNet, or read those downloaded before."""
    try:
        if name == "mobilenet":
            from torchvision.models import MobileNet_V2_Weights

            asked = MobileNet_V2_Weights.IMAGENET1K_V1
            return f"torchvision mobilenet_v2 {asked.name}", asked.get_state_dict(check_hash=True)
        timm = importlib.import_module("timm")
        whole = timm.create_model("inception_resnet_v2", pretrained=True)
        return f"timm {timm.__version__} inception_resnet_v2", whole.state_dict()
    except ImportError as error:
        raise ValueError(
            f"weights=timm requires timm ({error}): {install_command('timm')}, or name a "
            ".safetensors file"
        ) from error
    except Exception as error:  # the libraries that download may raise anything
        raise ValueError(
            f"weights of {CUTS[name]} could not be downloaded ({error}); name a .safetensors file"
        ) from error


def _fill(stages: nn.ModuleDict, name: BACKBONES, held: Mapping[str, Tensor], source: str) -> None:
    """Load all weights of the stages from `held`, which has the names of torchvision or timm."""
    places = dict(INCEPTION)
    if name == "mobilenet":
        places = {
            f"features.{feature}": f"enc{stage}.{feature - first}"
            for stage, (first, end) in enumerate(MOBILENET)
            for feature in range(first, end)
        }
    renamed: dict[str, Tensor] = {}
    for key, value in held.items():
        part = ".".join(key.split(".")[: 2 if name == "mobilenet" else 1])
        if part in places:
            renamed[places[part] + key.removeprefix(part)] = value
        elif not key.startswith(tuple(f"{unused}." for unused in UNUSED[name])):
            raise ValueError(f"{source}: holds {key}, expected the names of {CUTS[name]}")
    try:
        stages.load_state_dict(renamed)
    except RuntimeError as error:
        raise ValueError(f"{source}: does not fit {CUTS[name]}. {error}") from error


def _mobilenet(norm: Norm) -> nn.ModuleDict:
    """Build MobileNetV2's stages, with torchvision's initialization."""
    from torchvision.models import mobilenet_v2

    features = mobilenet_v2(weights=None, norm_layer=norm).features
    # A slice of a Sequential would keep the numbers of the whole.
    stages = (nn.Sequential(*features[first:end]) for first, end in MOBILENET)
    return nn.ModuleDict({f"enc{index}": stage for index, stage in enumerate(stages)})


class Layer(NamedTuple):
    """A convolution of a branch: padded to keep the size, or with stride 2 and unpadded."""

    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


class Unit(nn.Module):
    """A convolution without a bias, its norm and a ReLU."""

    def __init__(
        self, inputs: int, layer: Layer, norm: Norm, padding: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        if padding is None:
            high, wide = layer.kernel
            padding = (high // 2, wide // 2) if layer.stride == 1 else (0, 0)
        self.conv = nn.Conv2d(
            inputs, layer.channels, layer.kernel, layer.stride, padding, bias=False
        )
        self.bn = norm(layer.channels, eps=1e-3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, channels, H', W')."""
        rectified: Tensor = self.relu(self.bn(self.conv(features)))
        return rectified


class Branches(nn.Module):
    """Concatenates the outputs of its branches along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.count = len(branches)
        for index, branch in enumerate(branches):
            self.add_module(f"branch{index}", branch)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the branches' channels."""
        branches = (self.get_submodule(f"branch{index}") for index in range(self.count))
        return torch.cat([branch(features) for branch in branches], dim=1)


class ScaledResidual(Branches):
    """Adds a share of its branches' output, projected to the input's channels; then a ReLU."""

    def __init__(self, channels: int, inside: int, scale: float, *branches: nn.Module) -> None:
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(inside, channels, 1)
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        change: Tensor = self.conv2d(super().forward(features))
        return (features + self.scale * change).relu()


def _inception(norm: Norm) -> nn.ModuleDict:
    """Build InceptionResNetV2's stages, with PyTorch's initialization."""
    three, valid = (3, 3), (0, 0)

    def chain(inputs: int, *layers: Layer) -> nn.Module:
        """Build a branch; with a single layer, its parameters' names have no index."""
        sizes = (inputs, *(layer.channels for layer in layers))
        units = [Unit(size, layer, norm) for size, layer in zip(sizes, layers)]
        return units[0] if len(units) == 1 else nn.Sequential(*units)

    def block35() -> nn.Module:
        return ScaledResidual(
            *(320, 128, 0.17),
            chain(320, Layer(32)),
            chain(320, Layer(32), Layer(32, three)),
            chain(320, Layer(32), Layer(48, three), Layer(64, three)),
        )

    def block17() -> nn.Module:
        return ScaledResidual(
            *(1088, 384, 0.10),
            chain(1088, Layer(192)),
            chain(1088, Layer(128), Layer(160, (1, 7)), Layer(192, (7, 1))),
        )

    mixed_5b = Branches(
        chain(192, Layer(96)),
        chain(192, Layer(48), Layer(64, (5, 5))),
        chain(192, Layer(64), Layer(96, three), Layer(96, three)),
        nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), chain(192, Layer(64))),
    )
    mixed_6a = Branches(
        chain(320, Layer(384, three, 2)),
        chain(320, Layer(256), Layer(256, three), Layer(384, three, 2)),
        nn.MaxPool2d(3, 2),
    )
    mixed_7a = Branches(
        chain(1088, Layer(256), Layer(384, three, 2)),
        chain(1088, Layer(256), Layer(288, three, 2)),
        chain(1088, Layer(256), Layer(288, three), Layer(320, three, 2)),
        nn.MaxPool2d(3, 2),
    )
    stem = [Unit(32, Layer(32, three), norm, valid), Unit(32, Layer(64, three), norm)]
    wide = [Unit(64, Layer(80), norm), Unit(80, Layer(192, three), norm, valid)]
    repeat = nn.Sequential(*(block35() for _ in range(10)))
    repeat_1 = nn.Sequential(*(block17() for _ in range(20)))
    return nn.ModuleDict(
        {
            "enc0": Unit(3, Layer(32, three, 2), norm),
            "enc1": nn.Sequential(*stem, nn.MaxPool2d(3, 2)),
            "enc2": nn.Sequential(*wide, nn.MaxPool2d(3, 2)),
            "enc3": nn.Sequential(mixed_5b, repeat, mixed_6a),
            "enc4": nn.Sequential(repeat_1, mixed_7a),
        }
    )
