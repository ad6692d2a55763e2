"""Converts generators for inference: the same output from fewer passes over memory."""

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.hardware import place
from deblur.inference.convolutions import (
    Activation,
    Conv,
    Deconv,
    enlarging,
    find_padding,
    shuffling,
)
from deblur.inference.gated import Gated
from deblur.inference.maxim import SwiftMAXIM
from deblur.networks.coarse_to_fine import CoarseToFine
from deblur.networks.maxim import MAXIM
from deblur.networks.nafnet import Block
from deblur.networks.padding import Doubled, SameConv
from deblur.networks.resnet import Residual

ACTIVATIONS: dict[type[nn.Module], Activation] = {nn.ReLU: "relu", nn.ReLU6: "relu6"}


def streamline(generator: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Copy a generator into one that restores faster and cannot be trained.

    Convolutions are fused with the batch norms, padding and activations around them. Other
    projects' networks run under autocast, since they may have unknown layers; so does MAXIM, except
    on CPUs.

    dtype: of the arithmetic, float32 or bfloat16; the global skip of our networks stays float32.
    """
    if isinstance(generator, MAXIM):
        if device.type == "cpu":
            return SwiftMAXIM(generator, dtype)
        plain = deepcopy(generator).eval().requires_grad_(False)
        return Autocast(place(plain, device), device, dtype)
    if isinstance(generator, CoarseToFine):
        parts = (generator.coarse, generator.fine)
        copies: dict[int, Any] = {id(part): streamline(part, device, dtype) for part in parts}
        return place(deepcopy(generator, copies).eval().requires_grad_(False), device)
    network = nn.ModuleList([deepcopy(generator).eval().requires_grad_(False)])
    for module in [*network.modules()]:
        for name, child in module.named_children():
            if type(child) is Block:
                setattr(module, name, Gated(child, dtype))
    for module in reversed([*network.modules()]):
        if isinstance(module, nn.Sequential):
            layers = [layer for layer in module if not isinstance(layer, nn.Dropout)]
            del module[:]
            while layers:
                module.append(_take(layers, dtype))
        for name, child in module.named_children():
            setattr(module, name, _swift(child, dtype))
    swift = place(network[0], device)
    ours = type(generator).__module__.startswith("deblur.networks.")
    return swift if ours else Autocast(swift, device, dtype)


class Autocast(nn.Module):
    """Runs a network under autocast."""

    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.settings = device.type, dtype, dtype != torch.float32

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        with torch.autocast(*self.settings):
            restored: Tensor = self.network(blur)
        return restored


class SwiftNorm(nn.Module):
    """An instance norm without running statistics, as batch norm of single pictures: faster."""

    def __init__(self, norm: nn.InstanceNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, features: Tensor) -> Tensor:
        """Normalize (N, C, H, W)."""
        return torch.cat(
            [
                F.batch_norm(each, None, None, self.weight, self.bias, True, eps=self.eps)
                for each in torch.split(features, 1)
            ]
        )


class SwiftResidual(nn.Module):
    """`Residual`, whose last convolution adds the input."""

    def __init__(self, residual: Residual) -> None:
        super().__init__()
        self.layers = residual.layers[:-1]
        self.last = residual.layers[-1]

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        changed: Tensor = self.last(self.layers(features), add=features)
        return changed


def _swift(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a faster replacement of a single module, or the module itself."""
    if type(module) is nn.Conv2d and _is_known(module):
        return Conv(module, dtype=dtype)
    if type(module) is SameConv:
        left, right, above, below = module.rim
        return nn.Sequential(nn.ZeroPad2d((left, right, above, below)), Conv(module, dtype=dtype))
    if type(module) is nn.ConvTranspose2d:
        return Deconv(module, dtype=dtype)
    if type(module) is nn.InstanceNorm2d and not module.track_running_stats:
        return SwiftNorm(module)
    if type(module) is Residual and isinstance(module.layers[-1], Conv):
        return SwiftResidual(module)
    return module


def _take(layers: list[Any], dtype: torch.dtype) -> nn.Module:
    """Remove the first layer from a list, fused with all following ones that can be."""
    first, *rest = layers
    conv = rest.pop(0) if rest and _precedes(first, rest[0]) else first
    if not _is_known(conv):
        alone: nn.Module = layers.pop(0)
        return alone
    if rest and _shuffles(conv, rest[0]):
        layers[:] = rest[1:]
        return Deconv(shuffling(conv, rest[0].upscale_factor), dtype=dtype)
    norm = rest.pop(0) if rest and _is_folded(rest[0]) else None
    activation = ACTIVATIONS[type(rest.pop(0))] if rest and type(rest[0]) in ACTIVATIONS else "none"
    layers[:] = rest
    if _doubles(first):
        conv = enlarging(conv)
    if isinstance(conv, nn.ConvTranspose2d):
        return Deconv(conv, norm, activation, dtype=dtype)
    reflect = first.padding[0] if isinstance(first, nn.ReflectionPad2d) else 0
    return Conv(conv, norm, activation, reflect=reflect, dtype=dtype)


def _precedes(layer: nn.Module, conv: Any) -> bool:
    """Return whether a layer can be fused with the convolution after it."""
    if type(conv) is not nn.Conv2d or conv.padding_mode != "zeros":
        return False
    if isinstance(layer, nn.ReflectionPad2d):
        return len({*layer.padding}) == 1 and conv.padding == (0, 0)
    return (
        _doubles(layer)
        and (conv.kernel_size, conv.padding, conv.stride) == ((3, 3), (1, 1), (1, 1))
        and (conv.dilation, conv.groups) == ((1, 1), 1)
    )


def _is_known(layer: Any) -> bool:
    """Return whether a layer is a convolution that `Conv` or `Deconv` can compute."""
    if type(layer) is nn.Conv2d:
        return layer.padding_mode in ("zeros", "reflect") and find_padding(layer) is not None
    return type(layer) is nn.ConvTranspose2d


def _doubles(layer: nn.Module) -> bool:
    return type(layer) is Doubled or (
        type(layer) is nn.Upsample and (layer.mode, layer.scale_factor) == ("nearest", 2)
    )


def _shuffles(conv: Any, layer: Any) -> bool:
    """Return whether a convolution and the shuffling of its channels can be one layer."""
    return (
        (type(conv), type(layer)) == (nn.Conv2d, nn.PixelShuffle)
        and (conv.kernel_size, conv.padding, conv.stride) == ((1, 1), (0, 0), (1, 1))
        and (conv.groups, conv.bias) == (1, None)
    )


def _is_folded(layer: nn.Module) -> bool:
    return type(layer) is nn.BatchNorm2d and layer.running_mean is not None
