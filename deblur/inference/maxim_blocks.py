"""The blocks of MAXIM's levels made fast on a CPU: what is pixelwise is done in bands."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from deblur.inference.convolutions import Conv
from deblur.inference.multi_axis import Dense, Normalize, SwiftCrossGating, SwiftMultiAxisMLP
from deblur.networks.layout import to_pixels, to_planes
from deblur.networks.maxim_stage import ConvBlock, DenseBlock
from deblur.networks.multi_axis import MultiAxisMLP

ROWS = 600_000
"""Values of the features of a band of rows under convolution."""


class Groups(nn.Module):
    """The groups of a level or of a bottleneck's block, and the sum around them."""

    def __init__(self, groups: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.groups = nn.ModuleList(_swift(group, dtype) for group in groups)

    def forward(self, entered: Tensor) -> Tensor:
        """Map (1, H, W, C) to the same shape."""
        current, spare = entered, torch.empty_like(entered)
        for group in self.groups:
            if isinstance(group, SwiftMultiAxisMLP):
                group(current, spare)
                # What entered is still needed for the sum.
                freed = torch.empty_like(entered) if current is entered else current
                current, spare = spare, freed
            else:
                current = group(current, spare)
        return current.add_(entered)


class SwiftLevel(nn.Module):
    """`Level` for one picture, behind the layer by which features enter."""

    def __init__(self, level: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.groups = Groups(level.groups, dtype)
        self.cross: SwiftCrossGating | None = None
        if level.cross is not None:
            first, second = level.cross.first_in, level.cross.second_in
            self.first_in = Dense(first.weight, first.bias, dtype)
            self.second_in = Dense(second.weight, second.bias, dtype)
            self.cross = SwiftCrossGating(level.cross, dtype)

    def forward(self, entered: Tensor, past: Tensor | None = None) -> Tensor:
        """Map (1, H, W, C), with past features of the same shape, to the same shape."""
        changed: Tensor = self.groups(entered)
        if self.cross is None:
            return changed
        crossed: Tensor = self.cross(self.first_in(changed), self.second_in(past))[0]
        return crossed


class SwiftBottleneck(nn.Module):
    """`Bottleneck` for one picture."""

    def __init__(self, bottleneck: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.enter = Dense(bottleneck.enter.weight, bottleneck.enter.bias, dtype)
        self.groups = Groups(bottleneck.groups, dtype)

    def forward(self, features: Tensor) -> Tensor:
        """Map (1, H, W, C) to the same shape."""
        changed: Tensor = self.groups(self.enter(features))
        return changed


class SwiftConvBlock(nn.Module):
    """`ConvBlock` for one picture."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.norm = deepcopy(block.norm).to(dtype)
        self.conv1 = Conv(plain(block.conv1), activation="leaky_relu", dtype=dtype)
        self.conv2 = Conv(plain(block.conv2), dtype=dtype)
        self.attention = deepcopy(block.attention)

    def forward(self, features: Tensor, spare: Tensor) -> Tensor:
        """Change (1, H, W, C) in place; spare: memory of its shape, used up."""
        _, height, width, channels = features.shape
        rows = max(16, ROWS // (width * channels))
        total = torch.zeros(channels)
        for start in range(0, height, rows):
            stop = min(start + rows, height)
            above, below = min(start, 2), min(height - stop, 2)
            band = self.norm(features[:, start - above : stop + below])
            changed = to_pixels(self.conv2(self.conv1(to_planes(band))))
            changed = changed[:, above : above + stop - start]
            spare[:, start:stop] = changed
            total += changed.sum((0, 1, 2), dtype=torch.float32)
        factors = self.attention.weigh((total / (height * width)).view(1, 1, 1, -1))
        return features.addcmul_(spare, factors.to(features.dtype))


class SwiftDenseBlock(nn.Module):
    """`DenseBlock` for one picture."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        super().__init__()
        weight, norm = block.dense1.weight, block.norm
        bias = block.dense1.bias + weight @ norm.bias
        self.normalize = Normalize(len(weight), dtype)
        self.dense1 = Dense(weight * norm.weight, bias, dtype, block.gelu)
        self.dense2 = Dense(block.dense2.weight, block.dense2.bias, dtype)
        self.attention = deepcopy(block.attention)

    def forward(self, features: Tensor, spare: Tensor) -> Tensor:
        """Change (1, H, W, C) in place."""
        changed = self.dense2(self.dense1(self.normalize(features)))
        factors = self.attention.weigh(changed.mean((1, 2), keepdim=True, dtype=torch.float32))
        return features.addcmul_(changed, factors.to(features.dtype))


def _swift(group: nn.Module, dtype: torch.dtype) -> nn.Module:
    if isinstance(group, MultiAxisMLP):
        return SwiftMultiAxisMLP(group, dtype)
    if isinstance(group, ConvBlock):
        return SwiftConvBlock(group, dtype)
    assert isinstance(group, DenseBlock)
    return SwiftDenseBlock(group, dtype)


def plain(conv: Any) -> nn.Conv2d:
    """Return a convolution of planes with the weights of one of pixels."""
    plain = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding
    )
    plain.weight, plain.bias = conv.weight, conv.bias
    return plain
