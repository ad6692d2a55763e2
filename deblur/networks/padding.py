"""Padding: to a network's stride, and as in Keras."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def pad_to_stride(image: Tensor, stride: int, least: int) -> Tensor:
    """Pad (N, C, H, W) below and on the right to multiples of stride, and at least `least` pixels.

    Pads by reflection, or by replicating the border if the picture is smaller than the padding.
    """
    if torch.compiler.is_exporting():
        return _gather_to_stride(image, stride, least)
    height, width = image.shape[-2:]
    below = max(-height % stride, least - height)
    right = max(-width % stride, least - width)
    if below == right == 0:
        return image
    mode = "reflect" if below < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, below), mode=mode)


def _gather_to_stride(image: Tensor, stride: int, least: int) -> Tensor:
    """Pad by indices, so that an exported graph has no branch and is correct for every size."""
    height, width = image.shape[-2:]
    fewest = -(-least // stride)
    tall, wide = (
        stride * torch.sym_max((size + stride - 1) // stride, fewest) for size in (height, width)
    )
    below, right = (
        image.new_full((), pad, dtype=torch.int64) for pad in (tall - height, wide - width)
    )
    reflects = (below < height) & (right < width)

    def index(padded: int | torch.SymInt, size: int) -> Tensor:
        last = size - 1
        beyond = torch.arange(padded, device=image.device) - last
        return last - torch.where(reflects, beyond.abs(), -beyond.clamp(max=0))

    return image.index_select(-2, index(tall, height)).index_select(-1, index(wide, width))


class SameConv(nn.Conv2d):
    """A convolution whose output has the input's size over its stride, as TensorFlow's 'same'.

    If the padding is odd, its larger half is below and on the right; PyTorch's own symmetric
    padding would have it above and on the left for a 3x3 convolution of stride 2.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride)
        spare = kernel - stride
        self.rim = (spare // 2, spare - spare // 2) * 2

    def forward(self, features: Tensor) -> Tensor:
        """Convolve (N, C, H, W), H and W multiples of the stride."""
        return super().forward(F.pad(features, self.rim))


class ReflectionPad(nn.ReflectionPad2d):
    """Pads by reflection, without keeping its input for the backward pass or changing its type.

    PyTorch's own keeps the input, and autocast converts that to float32: a quarter of the memory of
    a training step of `ResNet`.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Pad (N, C, H, W) on each side, by fewer pixels than it has."""
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return super().forward(features)
        padded: Tensor = _Reflected.apply(features, self.padding[0])
        return padded


class Doubled(nn.Module):
    """Doubles the resolution by repeating pixels; keeps the input's type under autocast."""

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, 2 H, 2 W)."""
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return F.interpolate(features, scale_factor=2.0)
        count, channels, height, width = features.shape
        pixels = features.permute(0, 2, 3, 1)[:, :, None, :, None]
        doubled = pixels.expand(count, height, 2, width, 2, channels)
        return doubled.reshape(count, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


class _Reflected(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, rim: int) -> Tensor:
        ctx.rim = rim
        return reflect(features, rim, rim)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rim = ctx.rim
        for axis in (-2, -1):
            inner = gradient.narrow(axis, rim, gradient.shape[axis] - 2 * rim).clone()
            for k in range(rim):
                inner.select(axis, rim - k).add_(gradient.select(axis, k))
                inner.select(axis, k - rim - 1).add_(gradient.select(axis, -1 - k))
            gradient = inner
        return gradient, None


def reflect(features: Tensor, columns: int, rows: int) -> Tensor:
    """Pad each side of (N, C, H, W) by reflection, five times as fast as F.pad."""
    count, channels, height, width = features.shape
    layout = torch.channels_last if features.stride(1) == 1 else torch.contiguous_format
    shape = count, channels, height + 2 * rows, width + 2 * columns
    padded = torch.empty(shape, dtype=features.dtype, device=features.device, memory_format=layout)
    padded[..., rows : rows + height, columns : columns + width] = features
    for axis, rim in ((-2, rows), (-1, columns)):
        size = padded.shape[axis]
        for k in range(rim):
            padded.select(axis, k).copy_(padded.select(axis, 2 * rim - k))
            padded.select(axis, size - 1 - k).copy_(padded.select(axis, size - 1 - 2 * rim + k))
    return padded
