"""Convolutions of 8-bit integers: about half the time of bfloat16's, and less exact."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deblur.inference.convolutions import FUSED, Conv
from deblur.inference.streamline import SwiftResidual
from deblur.networks.padding import reflect

ONEDNN: Any = torch.ops.onednn
Ranges = list[list[float] | None]
"""The largest absolute values of the features of each row of convolutions: of its input, and of its
parts' outputs. None for a row that is not to be of integers."""
LEAST = 32
"""Output channels from which integers pay."""
TINY = 1e-12


class Scale(NamedTuple):
    """How features are written in integers from 0 to 255: as value / step + zero."""

    step: float
    zero: int


class Quantized(nn.Module):
    """A `Conv` of integers.

    given, gives: the scales of its input and its output; None for an output of the type of `conv`.
    """

    def __init__(self, conv: Conv, given: Scale, gives: Scale | None) -> None:
        super().__init__()
        self.given, self.rim = given, conv.rim
        weight = conv.weight.float()
        self.steps = nn.Buffer(weight.abs().amax((1, 2, 3)).clamp(min=TINY) / 127)
        self.zeros = nn.Buffer(torch.zeros(len(weight), dtype=torch.int64))
        whole = (weight / self.steps[:, None, None, None]).round().to(torch.int8)
        self.settings: Any = [*conv.stride], [*conv.padding], [*conv.dilation], conv.groups
        self.weight = ONEDNN.qconv_prepack(whole, self.steps, *given, *self.settings, None)
        self.bias, self.activation = conv.bias, FUSED[conv.activation]
        self.gives: Any = (*gives, torch.uint8) if gives else (1.0, 0, conv.weight.dtype)

    def forward(self, features: Tensor, add: Tensor | None = None, scale: Any = None) -> Tensor:
        """Map (N, C, H, W) in uint8; `add`, of the output's shape and in its scale, is used up."""
        if self.rim:
            features = reflect(features, *self.rim)
        given = features, *self.given, self.weight, self.steps, self.zeros
        rest = self.bias, *self.settings, *self.gives
        output: Tensor = (
            ONEDNN.qconv_pointwise(*given, *rest, *self.activation, "")
            if add is None
            else ONEDNN.qconv2d_pointwise.binary(
                *(*given, add, *rest, *scale, "sum", 1.0, *self.activation, "")
            )
        )
        return output


class QuantizedResidual(nn.Module):
    """A residual block of integers.

    scale: of its input.
    """

    def __init__(self, layers: Sequence[nn.Module], scale: Scale) -> None:
        super().__init__()
        *first, self.last = layers
        self.layers, self.scale = nn.Sequential(*first), scale

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) in uint8, which is used up, to the same shape."""
        changed: Tensor = self.last(self.layers(features), features, self.scale)
        return changed


class Row(nn.Module):
    """Layers of integers, one after the other, between features of `dtype`.

    given, gives: the scales of the first one's input, with a zero of 128, and of the last one's
    output where that is integers.
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
        # A flipped bit adds 128, faster than a sum and a cast to uint8.
        output: Tensor = self.layers(steps.view(torch.uint8).bitwise_xor_(zero))
        if self.gives is None:
            return output
        step, zero = self.gives
        return output.to(self.dtype).sub(zero).mul(step)


def calibrate(network: nn.Module, images: Iterable[Tensor]) -> Ranges:
    """Find the ranges of a streamlined network's features on some images, row by row.

    images: (N, 3, H, W) in [-1, 1]; what is beyond their ranges will be clipped.
    """
    rows = [*_find_rows(network)]
    tops = {part: TINY for row in rows for layer in row for part in layer.modules()}
    firsts = {row[0]: TINY for row in rows}

    def note(part: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        tops[part] = max(tops[part], float(output.abs().max()))
        if part in firsts:
            firsts[part] = max(firsts[part], float(given[0].abs().max()))

    hooks = [part.register_forward_hook(note) for part in tops]
    for image in images:
        network(image)
    for hook in hooks:
        hook.remove()
    return [[firsts[row[0]], *(tops[part] for part in _list_parts(row))] for row in rows]


def quantize(network: nn.Module, ranges: Ranges) -> nn.Module:
    """Let rows of convolutions of a streamlined network be of integers, on a CPU; return it.

    ranges: see `calibrate`. Raises ValueError where they are those of another network.
    """
    swapped: dict[nn.Module, nn.Module] = {}
    for row, own in zip(_find_rows(network), ranges, strict=True):
        if own is not None:
            first, *others = own
            tops = dict(zip(_list_parts(row), others, strict=True))
            swapped |= {layer: nn.Identity() for layer in row}
            swapped[row[0]] = _build(row, first, tops)
    for module in [*network.modules()]:
        for name, child in module.named_children():
            setattr(module, name, swapped.get(child, child))
    return network


def _list_parts(row: Iterable[Any]) -> list[nn.Module]:
    """List what has a range of its own: convolutions, and blocks instead of their last one."""
    return [
        part
        for layer in row
        for part in ([layer] if type(layer) is Conv else [*layer.layers, layer])
    ]


def _find_rows(module: nn.Module) -> Iterator[list[nn.Module]]:
    """Give the neighbours that can be integers, of two convolutions or more."""
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
    """Make a row integers.

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
    """Give the scale of a layer's output: what an activation has cut is never negative."""
    positive = type(layer) is Conv and layer.activation != "none"
    return Scale(top / 255, 0) if positive else Scale(top / 127, 128)
