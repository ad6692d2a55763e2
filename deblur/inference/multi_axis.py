"""MAXIM's gated MLPs for fast inference on a CPU: in bands that fit its cache, by fused layers.

A band is (tokens, groups, channels): all tokens of some groups. Grid and blocks are two views of
the same pixels as tokens. Gathering a band is the only copy that either requires, since all other
operations work on pixels or on whole tokens.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.networks.multi_axis import (
    EPS,
    GELU,
    CrossGating,
    GatedMLP,
    GatingWeights,
    MultiAxisMLP,
    activate,
)

ONEDNN: Any = torch.ops.mkldnn
IN_PLACE: Any = torch.ops.aten.gelu_
Band = tuple[slice, slice]
BAND = 300_000
"""Values per band, chosen so that all intermediate results fit into a processor's cache."""


class Dense(nn.Module):
    """A dense layer with its GELU or sum, in one pass.

    Args:
        weight: (outputs, inputs).
        bias: (outputs,), or None.
        dtype: The type of its arithmetic and output.
        gelu: The form of GELU in float32; None for no GELU. In bfloat16 it is always the exact one,
            in a separate pass, which is the fastest there.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, gelu: GELU | None = None
    ) -> None:
        super().__init__()
        self.weight = nn.Buffer(weight.detach().to(dtype).contiguous())
        self.bias = None if bias is None else nn.Buffer(bias.detach().to(dtype))
        self.gelu = gelu
        fused = gelu is not None and dtype == torch.float32
        form = "tanh" if gelu == "tanh" else "none"
        self.activation: Any = ("gelu", [], form) if fused else ("none", [], "")
        self.after = gelu is not None and not fused

    def forward(self, features: Tensor, add: Tensor | None = None) -> Tensor:
        """Map (..., inputs) to (..., outputs). add: of the output's shape, without GELU."""
        if not torch._C._has_mkldnn:
            output = F.linear(features, self.weight, self.bias)
            if self.gelu is not None:
                return activate(output, self.gelu)
            return output if add is None else output.add_(add)
        given = features, self.weight, self.bias
        if add is not None:
            summed: Tensor = ONEDNN._linear_pointwise.binary(given[0], add, *given[1:], "add")
            return summed
        mapped: Tensor = ONEDNN._linear_pointwise(*given, *self.activation)
        return IN_PLACE(mapped) if self.after else mapped


class Normalize(nn.Module):
    """A layer norm without a learned scale.

    With a scale of ones, torch's kernel takes two thirds of the time that it takes without any.
    """

    def __init__(self, channels: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.ones = nn.Buffer(torch.ones(channels, dtype=dtype))
        self.zeros = nn.Buffer(torch.zeros(channels, dtype=dtype))

    def forward(self, features: Tensor) -> Tensor:
        """Normalize (..., C) over its channels."""
        return F.layer_norm(features, self.ones.shape, self.ones, self.zeros, EPS)


class SwiftGatedMLP(nn.Module):
    """Half of a `MultiAxisMLP`: the contribution of one of its axes to the output.

    Args:
        outer: The whole module.
        inner: The gated MLP of this axis.
        rows: The rows of the outer layers that belong to this axis.
        bias: Whether to add the outer projection's bias here.
        dtype: The type of the arithmetic.
    """

    def __init__(
        self, outer: MultiAxisMLP, inner: GatedMLP, rows: slice, bias: bool, dtype: torch.dtype
    ) -> None:
        super().__init__()
        channels = outer.norm.normalized_shape[0]
        content, gate = slice(channels), slice(channels, None)
        project = outer.project.weight[:, rows]
        total = project @ inner.project.bias + (outer.project.bias if bias else 0)
        self.enter = _behind(outer.norm, outer.expand, dtype, outer.gelu, rows)
        self.normalize = Normalize(channels, dtype)
        self.content = _behind(inner.norm, inner.expand, dtype, inner.gelu, content)
        self.gate = _behind(inner.norm, inner.expand, dtype, inner.gelu, gate)
        self.norm = inner.gate_norm.to(dtype)
        self.mix = nn.Buffer(inner.mix.weight.detach().to(dtype))
        self.open = nn.Buffer((inner.mix.bias.detach() + 1)[:, None].to(dtype))
        self.keep = Dense(project, None, dtype)
        self.project = Dense(project @ inner.project.weight, total, dtype)

    def forward(self, entered: Tensor, add: Tensor) -> Tensor:
        """Add this axis' contribution for a band (T, P, C) to `add`; entered: after `enter`."""
        normal = self.normalize(entered)
        gate = self.norm(self.gate(normal))
        mixed = torch.mm(self.mix, gate.view(len(gate), -1)).add_(self.open).view_as(gate)
        gated = mixed.mul_(self.content(normal))
        changed: Tensor = self.project(gated, add=self.keep(entered, add=add))
        return changed


class SwiftMultiAxisMLP(nn.Module):
    """`MultiAxisMLP` for one picture."""

    def __init__(self, mlp: MultiAxisMLP, dtype: torch.dtype) -> None:
        super().__init__()
        channels = mlp.norm.normalized_shape[0]
        self.size = mlp.size
        self.normalize = Normalize(channels, dtype)
        self.grid = SwiftGatedMLP(mlp, mlp.grid, slice(channels), True, dtype)
        self.block = SwiftGatedMLP(mlp, mlp.block, slice(channels, None), False, dtype)

    def forward(self, features: Tensor, output: Tensor) -> Tensor:
        """Map (1, H, W, C) into `output`, of the same shape, and return that."""
        near = torch.empty_like(features)
        source, target, aside = (view_grid(each, self.size) for each in (features, output, near))
        for rows in bands(source):
            band = gather(source, rows)
            normal = self.normalize(band)
            scatter(aside, rows, self.block.enter(normal))
            scatter(target, rows, self.grid(self.grid.enter(normal), add=band))
        source, target = (view_blocks(each, self.size) for each in (near, output))
        for rows in bands(source):
            scatter(target, rows, self.block(gather(source, rows), add=gather(target, rows)))
        return output


class _Weigher(nn.Module):
    """One axis of `GatingWeights`."""

    def __init__(
        self, weights: GatingWeights, mix: nn.Linear, rows: slice, bias: bool, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.enter = _behind(weights.norm, weights.expand, dtype, weights.gelu, rows)
        self.mix = nn.Buffer(mix.weight.detach().to(dtype))
        self.open = nn.Buffer(mix.bias.detach()[:, None].to(dtype))
        project = weights.project
        self.project = Dense(project.weight[:, rows], project.bias if bias else None, dtype)

    def forward(self, entered: Tensor, add: Tensor | None = None) -> Tensor:
        """Return the weights of a band (T, P, C), plus `add`; entered: after `enter`."""
        mixed = torch.mm(self.mix, entered.view(len(entered), -1)).add_(self.open)
        weighed: Tensor = self.project(mixed.view_as(entered), add=add)
        return weighed


class _Signal(nn.Module):
    """One of the two signals of `CrossGating`."""

    def __init__(self, side: Any, dtype: torch.dtype) -> None:
        super().__init__()
        channels = side.norm.normalized_shape[0]
        weigh = side.weigh
        self.normalize = Normalize(channels, dtype)
        self.enter = _behind(side.norm, side.enter, dtype, side.gelu)
        self.grid = _Weigher(weigh, weigh.grid, slice(channels), True, dtype)
        self.block = _Weigher(weigh, weigh.block, slice(channels, None), False, dtype)
        self.project = Dense(side.project.weight, side.project.bias, dtype)

    def open(self, features: Tensor, size: int) -> list[Tensor]:
        """Return the features (1, H, W, C), the signal, and two parts of the other one's weights.

        The parts are the result of the grid's axis, and the input of the blocks' axis.
        """
        made = [torch.empty_like(features) for _ in range(3)]
        source, *targets = (view_grid(each, size) for each in (features, *made))
        for rows in bands(source):
            signal = self.enter(self.normalize(gather(source, rows)))
            normal = self.normalize(signal)
            parts = signal, self.grid(self.grid.enter(normal)), self.block.enter(normal)
            for target, part in zip(targets, parts):
                scatter(target, rows, part)
        return [features, *made]


class SwiftCrossGating(nn.Module):
    """`CrossGating` for one picture, without the layers before it, `first_in` and `second_in`."""

    def __init__(self, gating: CrossGating, dtype: torch.dtype) -> None:
        super().__init__()
        self.size = gating.first.weigh.size
        self.first, self.second = (_Signal(s, dtype) for s in (gating.first, gating.second))

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Gate two signals (1, H, W, C) by each other, in place."""
        opened = [*self.first.open(first, self.size), *self.second.open(second, self.size)]
        views = [view_blocks(each, self.size) for each in opened]
        for rows in bands(views[0]):
            parts = [gather(view, rows) for view in views]
            one, signal, grid, block = parts[:4]
            other, other_signal, other_grid, other_block = parts[4:]
            other_signal.mul_(self.first.block(block, add=grid))
            signal.mul_(self.second.block(other_block, add=other_grid))
            other = self.second.project(other_signal, add=other)
            scatter(views[4], rows, other)
            scatter(views[0], rows, self.first.project(signal, add=one.add_(other)))
        return first, second


def view_blocks(features: Tensor, size: int) -> Tensor:
    """View (1, H, W, C) as (size, size, H / size, W / size, C): blocks' pixels first."""
    _, height, width, channels = features.shape
    cut = features.view(height // size, size, width // size, size, channels)
    return cut.permute(1, 3, 0, 2, 4)


def view_grid(features: Tensor, size: int) -> Tensor:
    """View (1, H, W, C) as (size, size, H / size, W / size, C): the grid's cells first."""
    _, height, width, channels = features.shape
    cut = features.view(size, height // size, size, width // size, channels)
    return cut.permute(0, 2, 1, 3, 4)


def bands(view: Tensor) -> Iterator[Band]:
    """Divide the groups of a view, its third and fourth axis, into bands."""
    rows, columns = view.shape[2:4]
    most = max(1, BAND * rows * columns // view.numel())
    wide = -(-columns // -(-columns // most))
    high = max(1, most // columns)
    for top in range(0, rows, high):
        for left in range(0, columns, wide):
            yield slice(top, top + high), slice(left, left + wide)


def gather(view: Tensor, band: Band) -> Tensor:
    """Copy a band of a view: (size^2, groups, C)."""
    part = view[:, :, *band]
    return part.reshape(part.shape[0] * part.shape[1], -1, part.shape[-1])


def scatter(view: Tensor, band: Band, values: Tensor) -> None:
    """Write a band into a view."""
    part = view[:, :, *band]
    part.copy_(values.view(part.shape))


def _behind(
    norm: nn.LayerNorm,
    dense: nn.Linear,
    dtype: torch.dtype,
    gelu: GELU,
    rows: slice = slice(None),
) -> Dense:
    """Return rows of a dense layer with GELU, with the scale of the norm before it merged in."""
    weight = dense.weight[rows]
    return Dense(weight * norm.weight, dense.bias[rows] + weight @ norm.bias, dtype, gelu)
