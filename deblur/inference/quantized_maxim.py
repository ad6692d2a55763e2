"""Which of MAXIM's layers are computed in 8-bit integers.

These are its pairs of 3x3 convolutions, and the wider ones of the dense layers that follow a layer
norm, which can return integers itself. To round the floats before the others, and before narrower
ones, takes the time that integers save.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import nn

from deblur.inference.convolutions import Conv
from deblur.inference.integers import (
    TINY,
    Quantized,
    QuantizedDense,
    QuantizedLeaky,
    QuantizedNorm,
    Scale,
)
from deblur.inference.maxim_blocks import SwiftConvBlock, SwiftDenseBlock
from deblur.inference.multi_axis import Dense, SwiftCrossGating, SwiftMultiAxisMLP

LEAST = 64
"""The least number of channels for which dense layers are faster in integers."""
HEADROOM = 1.25
"""The ranges of integers beside those measured: one clipped block may cost 0.08 dB."""


class Site(NamedTuple):
    """A layer whose output is rounded, and the layers that read it."""

    source: Any
    readers: Sequence[Any]


Unit = Sequence[Site]
"""Layers that become integers together."""


def find_units(network: nn.Module) -> Iterator[Unit]:
    """Yield the parts of a streamlined network with MAXIM's layers that can be integers."""
    for module in network.modules():
        unit: Unit = [*_list_sites(module)]
        if isinstance(module, SwiftConvBlock) or (unit and len(unit[0].source.ones) >= LEAST):
            yield unit


def _list_sites(module: nn.Module) -> Iterator[Site]:
    if isinstance(module, SwiftConvBlock):
        yield Site(module.norm, [module.conv1])
        yield Site(module.conv1, [module.conv2])
    elif isinstance(module, SwiftDenseBlock):
        yield Site(module.normalize, [module.dense1])
    elif isinstance(module, SwiftMultiAxisMLP):
        yield Site(module.normalize, [module.grid.enter, module.block.enter])
        for axis in (module.grid, module.block):
            yield Site(axis.normalize, [axis.content, axis.gate])
    elif isinstance(module, SwiftCrossGating):
        for side in (module.first, module.second):
            yield Site(side.normalize, [side.enter, side.grid.enter, side.block.enter])


def convert(unit: Unit, limits: Sequence[float]) -> dict[nn.Module, nn.Module]:
    """Return the integer versions of a unit's layers.

    limits: the least and the largest value of each source, in turn. Raises ValueError if they
    belong to another unit.
    """
    given: dict[nn.Module, Scale] = {}
    gives: dict[nn.Module, Scale] = {}
    pairs = zip(limits[::2], limits[1::2], strict=True)
    for site, (low, high) in zip(unit, pairs, strict=True):
        scale = gives[site.source] = _fit(low * HEADROOM, high * HEADROOM)
        given |= dict.fromkeys(site.readers, scale)
    return {layer: _build(layer, given.get(layer), gives.get(layer)) for layer in given | gives}


def _build(layer: Any, given: Any, gives: Scale | None) -> nn.Module:
    """Return the integer version of a layer; given, gives: the scales of its input and output."""
    if isinstance(layer, Dense):
        return QuantizedDense(layer, given)
    if isinstance(layer, Conv):
        return QuantizedLeaky(layer, given, gives) if gives else Quantized(layer, given, None)
    assert gives is not None
    return QuantizedNorm(layer, gives)


def _fit(low: float, high: float) -> Scale:
    """Return the scale of values between two limits."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = max(high - low, TINY) / 255
    return Scale(step, round(-low / step))
