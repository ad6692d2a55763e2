"""MAXIM's gated MLPs over blocks and grids of pixels (Tu et al., CVPR 2022).

All take and return features (N, H, W, C), channels last, unlike the rest of the package, since most
of their layers are dense over channels. Figures and equations are those of arXiv 2201.02973.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.networks.layout import settle, to_pixels, to_planes

GELU = Literal["tanh", "erf"]
"""The approximation by tanh, which the published weights were trained with, or the exact form."""
EPS = 1e-6
"""Added to the variances of layer norms."""


class Doubling(nn.ConvTranspose2d):
    """A transposed 2x2 convolution of stride 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 2, stride=2)

    def forward(self, features: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map (N, H, W, C) to (N, 2 H, 2 W, C')."""
        return to_pixels(super().forward(to_planes(features), output_size))


class GatedMLP(nn.Module):
    """A gMLP along one axis: each token is gated by a dense layer over all tokens of its group.

    channels: per token. tokens: per group. Source: Figure 3 and Section 3.2; Liu et al., "Pay
    Attention to MLPs" (NeurIPS 2021).
    """

    def __init__(self, channels: int, tokens: int, gelu: GELU) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, EPS)
        self.expand = nn.Linear(channels, 2 * channels)
        self.gate_norm = nn.LayerNorm(channels, EPS)
        self.mix = nn.Linear(tokens, tokens)
        self.project = nn.Linear(channels, channels)
        self.gelu = gelu

    def forward(self, groups: Tensor) -> Tensor:
        """Map groups of tokens (B, T, C) to the same shape."""
        content, gate = activate(self.expand(self.norm(groups)), self.gelu).chunk(2, dim=-1)
        gate = mix(self.mix, self.gate_norm(gate))
        projected: Tensor = self.project(content * (gate + 1))
        return groups + projected


class MultiAxisMLP(nn.Module):
    """The multi-axis gated MLP: half of the channels mix over a grid, half over blocks.

    channels: of the features. size: the side of a block in pixels, and of the grid in cells; height
    and width must be multiples of it. Source: Figure 3(a).
    """

    def __init__(self, channels: int, size: int, gelu: GELU) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, EPS)
        self.expand = nn.Linear(channels, 2 * channels)
        self.grid = GatedMLP(channels, size**2, gelu)
        self.block = GatedMLP(channels, size**2, gelu)
        self.project = nn.Linear(2 * channels, channels)
        self.size, self.gelu = size, gelu

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, H, W, C) to the same shape."""
        far, near = activate(self.expand(self.norm(features)), self.gelu).chunk(2, dim=-1)
        far = from_grid(self.grid(to_grid(far, self.size)), far.shape, self.size)
        near = from_blocks(self.block(to_blocks(near, self.size)), near.shape, self.size)
        projected: Tensor = self.project(torch.cat([far, near], dim=-1))
        return features + projected


class GatingWeights(nn.Module):
    """The weights by which one signal gates another: mixed over a grid and over blocks.

    The arguments are those of `MultiAxisMLP`. Source: Figure 3(b).
    """

    def __init__(self, channels: int, size: int, gelu: GELU) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, EPS)
        self.expand = nn.Linear(channels, 2 * channels)
        self.grid = nn.Linear(size**2, size**2)
        self.block = nn.Linear(size**2, size**2)
        self.project = nn.Linear(2 * channels, channels)
        self.size, self.gelu = size, gelu
        for layer in (self.grid, self.block):
            nn.init.ones_(layer.bias)  # gates start open

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, H, W, C) to the same shape."""
        far, near = activate(self.expand(self.norm(features)), self.gelu).chunk(2, dim=-1)
        far = from_grid(mix(self.grid, to_grid(far, self.size)), far.shape, self.size)
        near = from_blocks(mix(self.block, to_blocks(near, self.size)), near.shape, self.size)
        weights: Tensor = self.project(torch.cat([far, near], dim=-1))
        return weights


class CrossGating(nn.Module):
    """Two signals that gate each other. Source: Figure 3(b).

    Args:
        inputs: Channels of the first signal.
        channels: Channels of the output, and of the second signal unless `below` is given.
        size, gelu: See `MultiAxisMLP`.
        below: Channels of a second signal from the next lower resolution; None if it has the same
            resolution.
    """

    def __init__(
        self, inputs: int, channels: int, size: int, gelu: GELU, below: int | None = None
    ) -> None:
        super().__init__()
        self.up = nn.Identity() if below is None else Doubling(below, channels)
        self.first_in = nn.Linear(inputs, channels)
        self.second_in = nn.Linear(channels, channels)
        self.first, self.second = (_Side(channels, size, gelu) for _ in range(2))

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Map the signals to (N, H, W, channels) each; the first includes the second."""
        first, second = self.first_in(first), self.second_in(self.up(second))
        signal, weights = self.first.open(first)
        other, other_weights = self.second.open(second)
        second = second + self.second.project(other * weights)
        return first + second + self.first.project(signal * other_weights), second


class _Side(nn.Module):
    """The layers of cross gating for one of its signals."""

    def __init__(self, channels: int, size: int, gelu: GELU) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, EPS)
        self.enter = nn.Linear(channels, channels)
        self.weigh = GatingWeights(channels, size, gelu)
        self.project = nn.Linear(channels, channels)
        self.gelu = gelu

    def open(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the signal to be gated, and the weights that gate the other signal."""
        signal = activate(self.enter(self.norm(features)), self.gelu)
        return signal, self.weigh(signal)


def activate(features: Tensor, gelu: GELU) -> Tensor:
    """Apply GELU."""
    return F.gelu(features, approximate="tanh" if gelu == "tanh" else "none")


def mix(layer: nn.Linear, groups: Tensor) -> Tensor:
    """Apply a dense layer over the tokens of groups (B, T, C)."""
    mixed: Tensor = settle(layer(settle(groups.transpose(1, 2))).transpose(1, 2))
    return mixed


def to_blocks(features: Tensor, size: int) -> Tensor:
    """Cut (N, H, W, C) into blocks of size x size pixels: (N * H/size * W/size, size^2, C)."""
    count, height, width, channels = features.shape
    cut = settle(features).reshape(count, height // size, size, width // size, size, channels)
    return settle(cut.transpose(2, 3)).reshape(-1, size**2, channels)


def from_blocks(groups: Tensor, shape: torch.Size, size: int) -> Tensor:
    """Invert `to_blocks`: return features of the shape (N, H, W, C)."""
    count, height, width, channels = shape
    cut = groups.reshape(count, height // size, width // size, size, size, channels)
    return settle(cut.transpose(2, 3)).reshape(shape)


def to_grid(features: Tensor, size: int) -> Tensor:
    """Group (N, H, W, C) into grids of size x size pixels that lie H/size and W/size pixels apart.

    Returns (N * H/size * W/size, size^2, C).
    """
    count, height, width, channels = features.shape
    cut = settle(features).reshape(count, size, height // size, size, width // size, channels)
    return settle(cut.permute(0, 2, 4, 1, 3, 5)).reshape(-1, size**2, channels)


def from_grid(groups: Tensor, shape: torch.Size, size: int) -> Tensor:
    """Invert `to_grid`: return features of the shape (N, H, W, C)."""
    count, height, width, channels = shape
    cut = groups.reshape(count, height // size, width // size, size, size, channels)
    return settle(cut.permute(0, 3, 1, 4, 2, 5)).reshape(shape)
