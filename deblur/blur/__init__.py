"""Makes blur as cameras make it.

A `Motion` smears light over an exposure; a `Camera` (camera.py) puts light, motion, sensor and
file together. What happens to a picture is drawn first, by a random generator of its own, and then
done, for a batch at a time and on any device: neither its neighbours in the batch nor the batch's
size change a picture.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from torch import Tensor

LONGEST = 2000.0
"""Pixels: of a path. Longer ones are mistakes, and pictures with such margins fill memories."""

Range = float | Sequence[float]
"""A number, or [low, high] to draw from evenly."""


class Motion(Protocol):
    """What moves while the shutter is open."""

    margin: int
    """How many pixels it needs around the picture, on each side."""

    def draw(self, rng: np.random.Generator, size: Sequence[int]) -> Any:
        """Draw how a picture of (H, W), `size`, is smeared: arrays and numbers, no tensors."""
        ...

    def expose(self, light: Tensor, plans: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Give the blurred and the sharp light, (N, C, H, W), of (N, C, H + 2m, W + 2m) linear
        light, with m the margin and what was drawn for each of the N."""
        ...


def check_range(name: str, value: Range, most: float, least: float = 0) -> tuple[float, float]:
    """Give the ends of a range; raise ValueError if they are not `least` to `most`, in order."""
    ends = [value, value] if isinstance(value, (int, float)) else list(value)
    if len(ends) != 2 or not least <= ends[0] <= ends[1] <= most:
        raise ValueError(
            f"{name} must be a number or [low, high], from {least:g} to {most:g}, got {value}"
        )
    return ends[0], ends[1]
