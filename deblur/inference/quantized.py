"""Convolutions in 8-bit integers: about half the time of bfloat16, and less accurate."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from deblur.inference.convolutions import Conv
from deblur.inference.integers import TINY, Quantized, Scale
from deblur.inference.quantized_maxim import convert, find_units
from deblur.inference.streamline import SwiftResidual

Ranges = list[list[float] | None]
"""For each row of convolutions, the largest absolute values of its input and of its parts' outputs;
then for each of MAXIM's units, the least and the largest values that it rounds; None for a row or a
unit that stays in floats."""
LEAST = 32
"""The least number of output channels for which integers are faster."""


class QuantizedResidual(nn.Module):
    """A residual block in integers; scale: that of its input."""

    def __init__(self, layers: Sequence[nn.Module], scale: Scale) -> None:
        super().__init__()
        *first, self.last = layers
        self.layers, self.scale = nn.Sequential(*first), scale

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) in uint8, which is overwritten, to the same shape."""
        changed: Tensor = self.last(self.layers(features), features, self.scale)
        return changed


class Row(nn.Module):
    """A sequence of layers in integers, between features in floats.

    Args:
        layers: The layers.
        given: The scale of the first one's input, with a zero of 128.
        gives: The scale of the last one's output; None if that is in floats.
        dtype: The type of the floats.
    """

    def __init__(
        self, layers: Sequence[nn.Module], given: Scale, gives: Scale | None, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.layers, self.given, self.gives = nn.Sequential(*layers), given, gives
        self.dtype = dtype

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W)."""
        features = features.contiguous(memory_format=torch.channels_last)
        step, zero = self.given
        steps = features.mul(1 / step).round().clamp(-zero, zero - 1).to(torch.int8)
        # Flipping the highest bit adds 128, faster than a sum and a conversion to uint8.
        output: Tensor = self.layers(steps.view(torch.uint8).bitwise_xor_(zero))
        if self.gives is None:
            return output
        step, zero = self.gives
        return output.to(self.dtype).sub(zero).mul(step)


def calibrate(network: nn.Module, images: Iterable[Tensor]) -> Ranges:
    """Measure the ranges of a streamlined network's features on some images, row by row.

    images: (N, 3, H, W) in [-1, 1]. Features beyond these ranges will be clipped.
    """
    rows, units = [*_find_rows(network)], [*find_units(network)]
    limits = {site.source: (0.0, 0.0) for unit in units for site in unit}
    tops = {part: TINY for row in rows for layer in row for part in layer.modules()}
    firsts = {row[0]: TINY for row in rows}

    def note(part: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        tops[part] = max(tops[part], float(output.abs().max()))
        if part in firsts:
            firsts[part] = max(firsts[part], float(given[0].abs().max()))

    def widen(part: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        low, high = limits[part]
        limits[part] = min(low, float(output.min())), max(high, float(output.max()))

    hooks = [part.register_forward_hook(note) for part in tops]
    hooks += [part.register_forward_hook(widen) for part in limits]
    for image in images:
        network(image)
    for hook in hooks:
        hook.remove()
    return [
        *([firsts[row[0]], *(tops[part] for part in _list_parts(row))] for row in rows),
        *([limit for site in unit for limit in limits[site.source]] for unit in units),
    ]


def quantize(network: nn.Module, ranges: Ranges) -> nn.Module:
    """Convert layers of a streamlined network on a CPU to integers, in place.

    ranges: see `calibrate`. Returns the network. Raises ValueError if they belong to another one.
    """
    swapped: dict[nn.Module, nn.Module] = {}
    rows, units = [*_find_rows(network)], [*find_units(network)]
    for row, own in zip(rows, ranges[: len(rows)], strict=True):
        if own is not None:
            first, *others = own
            tops = dict(zip(_list_parts(row), others, strict=True))
            swapped |= {layer: nn.Identity() for layer in row}
            swapped[row[0]] = _build(row, first, tops)
    for unit, limits in zip(units, ranges[len(rows) :], strict=True):
        if limits is not None:
            swapped |= convert(unit, limits)
    for module in [*network.modules()]:
        for name, child in module.named_children():
            setattr(module, name, swapped.get(child, child))
    return network


def _list_parts(row: Iterable[Any]) -> list[nn.Module]:
    """List the parts with a range: convolutions, and blocks in place of their last convolution."""
    return [
        part
        for layer in row
        for part in ([layer] if type(layer) is Conv else [*layer.layers, layer])
    ]


def _find_rows(module: nn.Module) -> Iterator[list[nn.Module]]:
    """Yield sequences of layers, with two convolutions or more, that can be integers."""
    chained = isinstance(module, nn.Sequential)
    for pays, group in groupby(module.children(), _pays):
        layers = [*group]
        parts = [part for layer in layers for part in layer.modules()]
        if chained and pays and sum(type(part) is Conv for part in parts) > 1:
            yield layers
        else:
            for layer in layers:
                yield from _find_rows(layer)


def _pays(layer: Any) -> bool:
    if type(layer) is SwiftResidual:
        return all(_pays(part) for part in (*layer.layers, layer.last))
    if type(layer) is not Conv or layer.groups > 1:
        return False
    outputs, _, *kernel = layer.weight.shape
    return outputs >= LEAST and kernel != [1, 1]


def _build(row: list[Any], first: float, tops: dict[nn.Module, float]) -> Row:
    """Build the integer version of a row.

    first, tops: the largest absolute values of its input and of each part's output.
    """
    last = row[-1] if type(row[-1]) is Conv else row[-1].last

    given = scale = Scale(first / 127, 128)
    layers: list[nn.Module] = []
    for layer in row:
        if type(layer) is Conv:
            gives = None if layer is row[-1] else _scale(layer, tops[layer])
            layers.append(Quantized(layer, scale, gives))
        else:
            inner = [scale, *(_scale(part, tops[part]) for part in layer.layers)]
            gives = _scale(layer, tops[layer])
            parts = map(Quantized, [*layer.layers, layer.last], inner, [*inner[1:], gives])
            layers.append(QuantizedResidual([*parts], scale))
        scale = gives or scale
    return Row(layers, given, gives, last.weight.dtype)


def _scale(layer: nn.Module, top: float) -> Scale:
    """Return the scale of a layer's output, which is not negative after an activation."""
    positive = type(layer) is Conv and layer.activation != "none"
    return Scale(top / 255, 0) if positive else Scale(top / 127, 128)
