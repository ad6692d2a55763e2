"""One of MAXIM's stages: a U-Net of gated MLPs (Tu et al., CVPR 2022, arXiv 2201.02973).

Features are (N, H, W, C), channels last, as in `multi_axis`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.networks.layout import to_pixels, to_planes
from deblur.networks.multi_axis import (
    EPS,
    GELU,
    CrossGating,
    Doubling,
    MultiAxisMLP,
    activate,
)

LEVELS = 3
"""Resolutions of a U-Net, each with half the side and twice the channels of the one before."""
SIZES = (16, 16, 8)
"""The side of a block and of the grid at each level; the bottleneck uses the last one."""


class State(NamedTuple):
    """The result of a stage for the next one: lists over the levels, the finest first."""

    restored: list[Tensor]
    """Images (N, H, W, 3) in [0, 1], not clamped."""
    encoded: list[Tensor]
    decoded: list[Tensor]
    attended: list[Tensor]
    """Decoded features under supervised attention; empty after a last stage."""


class Stage(nn.Module):
    """Restores images of three sizes. Source: Figure 2.

    width, groups, bottlenecks, gelu: see `MAXIM`. first, last: whether it is the first or the last
    stage.
    """

    def __init__(
        self, width: int, groups: int, bottlenecks: int, gelu: GELU, *, first: bool, last: bool
    ) -> None:
        super().__init__()
        channels = [width << level for level in range(LEVELS)]
        levels = [*zip(channels, SIZES)]
        lower = [*channels[1:], channels[-1]]
        self.inputs = nn.ModuleList(Conv(3, c, 3) for c in channels)
        self.fuse = nn.ModuleList(CrossGating(c, c, s, gelu) for c, s in levels if not first)
        self.encoder = nn.ModuleList(
            Level(above + c, c, s, groups, gelu, crossed=not first)
            for above, (c, s) in zip([width, *channels], levels)
        )
        self.down = nn.ModuleList(Conv(c, c, 4, stride=2) for c in channels)
        self.bottleneck = nn.ModuleList(
            Bottleneck(channels[-1], SIZES[-1], groups, gelu) for _ in range(bottlenecks)
        )
        self.bridges = nn.ModuleList(_resize_all(channels, level) for level in range(LEVELS))
        self.gates = nn.ModuleList(
            CrossGating(3 * c, c, s, gelu, below) for (c, s), below in zip(levels, lower)
        )
        self.skips = nn.ModuleList(_resize_all(channels, level) for level in range(LEVELS))
        self.up = nn.ModuleList(Doubling(below, c) for c, below in zip(channels, lower))
        self.decoder = nn.ModuleList(Level(4 * c, c, s, groups, gelu) for c, s in levels)
        self.heads = nn.ModuleList(Conv(c, 3, 3) for c in channels)
        self.attention = nn.ModuleList(SupervisedAttention(c) for c in channels if not last)

    def forward(
        self, images: Sequence[Tensor], before: State | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Encode and decode images (N, H, W, 3): return both kinds of features, finest first."""
        features = [conv(image) for conv, image in zip(self.inputs, images)]
        if before:
            features = [
                fuse(own, attended)[0]
                for fuse, own, attended in zip(self.fuse, features, before.attended)
            ]
        encoded: list[Tensor] = []
        deep = features[0]
        for level, down in enumerate(self.down):
            past = before and before.encoded[level] + before.decoded[level]
            encoded.append(self.encoder[level](torch.cat([deep, features[level]], -1), past))
            deep = down(encoded[-1])
        for block in self.bottleneck:
            deep = block(deep)
        gated: list[Tensor] = [deep] * LEVELS
        below = deep
        for level in reversed(range(LEVELS)):
            signal = torch.cat(_each(self.bridges[level], encoded), -1)
            gated[level], below = self.gates[level](signal, below)
        decoded: list[Tensor] = [deep] * LEVELS
        for level in reversed(range(LEVELS)):
            parts = [self.up[level](deep), *_each(self.skips[level], gated)[::-1]]
            decoded[level] = deep = self.decoder[level](torch.cat(parts, -1))
        return encoded, decoded

    def refine(self, images: Sequence[Tensor], before: State | None) -> State:
        """Restore images (N, H, W, 3) in [0, 1]."""
        encoded, decoded = self(images, before)
        pairs = zip(self.heads, decoded, images)
        restored = [head(features) + image for head, features, image in pairs]
        attended = [a(f, image) for a, f, image in zip(self.attention, decoded, restored)]
        return State(restored, encoded, decoded, attended)


class Level(nn.Module):
    """A level of the encoder or the decoder.

    Args:
        inputs, channels: Channels of the input and of the output.
        size, gelu: See `MultiAxisMLP`.
        groups: See `MAXIM`.
        crossed: Whether it is also gated by the features of the stage before.
    """

    def __init__(
        self, inputs: int, channels: int, size: int, groups: int, gelu: GELU, crossed: bool = False
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, channels)
        self.groups = nn.Sequential()
        for _ in range(groups):
            self.groups.extend([MultiAxisMLP(channels, size, gelu), ConvBlock(channels)])
        self.cross = CrossGating(channels, channels, size, gelu) if crossed else None

    def forward(self, features: Tensor, past: Tensor | None = None) -> Tensor:
        """Map (N, H, W, inputs), and past features of the output's shape, to (N, H, W, C)."""
        entered = self.enter(features)
        changed: Tensor = entered + self.groups(entered)
        return changed if self.cross is None else self.cross(changed, past)[0]


class Bottleneck(nn.Module):
    """A block below the levels; the arguments are those of `Level`."""

    def __init__(self, channels: int, size: int, groups: int, gelu: GELU) -> None:
        super().__init__()
        self.enter = nn.Linear(channels, channels)
        self.groups = nn.Sequential()
        for _ in range(groups):
            self.groups.extend([MultiAxisMLP(channels, size, gelu), DenseBlock(channels, gelu)])

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, H, W, C) to the same shape."""
        entered: Tensor = self.enter(features)
        changed: Tensor = self.groups(entered)
        return entered + changed


class SupervisedAttention(nn.Module):
    """Weights features by the image restored from them (MPRNet's SAM; Zamir et al., CVPR 2021)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.transform = Conv(channels, channels, 3)
        self.weigh = Conv(3, channels, 3)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Map (N, H, W, C), with an image (N, H, W, 3), to the same shape."""
        attended: Tensor = self.transform(features) * self.weigh(image).sigmoid()
        return features + attended


class Resize(nn.Module):
    """Resizes features to another level's size and number of channels.

    Bilinear between the centres of pixels; antialiased when it shrinks, as in jax.image.resize.

    inputs, outputs: channels. ratio: of the sides: 1/4, 1/2, or 1 and more.
    """

    kernel: Tensor

    def __init__(self, inputs: int, outputs: int, ratio: float) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, outputs)
        self.ratio = ratio
        if ratio < 1:
            self.shrink = round(1 / ratio)
            self.register_buffer("kernel", _triangle(self.shrink), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, H, W, inputs) to (N, ratio H, ratio W, outputs)."""
        resized: Tensor = self.project(self.resize(features))
        return resized

    def resize(self, features: Tensor) -> Tensor:
        """Change only the size."""
        if self.ratio == 1:
            return features
        planes = to_planes(features)
        if self.ratio > 1:
            resized = F.interpolate(planes, scale_factor=self.ratio, mode="bilinear")
            return to_pixels(resized)
        # A fixed convolution: F.interpolate's antialiasing is not in ONNX, nor in half precision.
        channels, shrink = planes.shape[1], self.shrink
        kernel = self.kernel.to(planes.dtype).expand(channels, 1, -1, -1)
        shrunk = F.conv2d(planes, kernel, None, shrink, shrink // 2, 1, channels)
        return to_pixels(_correct_rim(shrunk))


def _correct_rim(shrunk: Tensor) -> Tensor:
    """Correct the outermost pixels, of whose weights an eighth fell on zeros beyond the border."""
    factors = []
    for size in shrunk.shape[-2:]:
        factor = shrunk.new_ones(size)
        factor[0] = factor[-1] = 8 / 7
        factors.append(factor)
    return shrunk * (factors[0][:, None] * factors[1])


def _triangle(shrink: int) -> Tensor:
    """Return the kernel (1, 1, 2 s, 2 s) that shrinks by s: a triangle along each side."""
    distance = (torch.arange(2 * shrink) + 0.5 - shrink).abs() / shrink
    weights = (1 - distance) / shrink
    return torch.outer(weights, weights)[None, None]


def _each(layers: Any, features: Sequence[Tensor]) -> list[Tensor]:
    """Apply a layer to each of the levels' features."""
    return [layer(each) for layer, each in zip(layers, features)]


def _resize_all(channels: Sequence[int], level: int) -> nn.ModuleList:
    """Return the layers that resize the features of each level, the finest first, to `level`."""
    return nn.ModuleList(
        Resize(inputs, channels[level], 2.0 ** (source - level))
        for source, inputs in enumerate(channels)
    )


class Conv(nn.Conv2d):
    """A convolution of (N, H, W, C), padded with zeros so that its stride divides the size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, H, W, C) to (N, H / stride, W / stride, C')."""
        return to_pixels(super().forward(to_planes(features)))


class ChannelAttention(nn.Module):
    """Scales channels by a function of their means (Hu et al., CVPR 2018), reduced to a quarter."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // 4)
        self.excite = nn.Linear(channels // 4, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, H, W, C) to the same shape."""
        return features * self.weigh(features.mean((1, 2), keepdim=True))

    def weigh(self, means: Tensor) -> Tensor:
        """Map channels' means (N, 1, 1, C) to their factors."""
        weights: Tensor = self.excite(self.squeeze(means).relu()).sigmoid()
        return weights


class ConvBlock(nn.Module):
    """A residual block of two 3x3 convolutions with channel attention (the paper's RCAB)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, EPS)
        self.conv1 = Conv(channels, channels, 3)
        self.conv2 = Conv(channels, channels, 3)
        self.attention = ChannelAttention(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, H, W, C) to the same shape."""
        changed = self.conv2(F.leaky_relu(self.conv1(self.norm(features)), 0.2))
        attended: Tensor = self.attention(changed)
        return features + attended


class DenseBlock(nn.Module):
    """A residual block of two dense layers with channel attention (the code's RDCAB)."""

    def __init__(self, channels: int, gelu: GELU) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, EPS)
        self.dense1 = nn.Linear(channels, channels)
        self.dense2 = nn.Linear(channels, channels)
        self.attention = ChannelAttention(channels)
        self.gelu = gelu

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, H, W, C) to the same shape."""
        changed = self.dense2(activate(self.dense1(self.norm(features)), self.gelu))
        attended: Tensor = self.attention(changed)
        return features + attended
