"""Synthetic blur, made as in a camera.

A `Motion` smears light over an exposure; a `Camera` (camera.py) combines light, motion, sensor and
file format. The parameters of each picture are drawn first, from its own random generator, and then
applied to a batch at a time, on any device: a picture depends neither on the other pictures in its
batch nor on the batch's size.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from torch import Tensor

LONGEST = 2000.0
"""The longest path, in pixels. Longer ones are mistakes, and their margins would fill memory."""

Range = float | Sequence[float]
"""A number, or [low, high] to draw from uniformly."""


class Motion(Protocol):
    """A kind of motion while the shutter is open."""

    margin: int
    """The pixels that it needs around the picture, on each side."""

    def draw(self, rng: np.random.Generator, size: Sequence[int]) -> Any:
        """Draw how a picture of `size` (H, W) is smeared: arrays and numbers, no tensors."""
        ...

    def expose(self, light: Tensor, plans: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Return the blurred and the sharp light, (N, C, H, W).

        light: linear, (N, C, H + 2m, W + 2m), with m the margin. plans: what `draw` returned for
        each of the N.
        """
        ...


def read_range(name: str, value: Range, most: float, least: float = 0) -> tuple[float, float]:
    """Return the ends of a range; raise ValueError if they are not in order in [least, most]."""
    ends = [value, value] if isinstance(value, (int, float)) else list(value)
    if len(ends) != 2 or not least <= ends[0] <= ends[1] <= most:
        raise ValueError(
            f"{name} must be a number or [low, high], from {least:g} to {most:g}, got {value}"
        )
    return ends[0], ends[1]
