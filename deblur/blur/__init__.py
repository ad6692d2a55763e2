"""Makes blur as cameras make it.

A `Motion` smears light over an exposure; a `Camera` (camera.py) puts light, motion, sensor and
file together. Both work on batches on any device, and each sample is a function of its own random
generator alone: neither its neighbours in the batch nor the batch's size change it.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor


class Motion(Protocol):
    """What moves while the shutter is open."""

    margin: int
    """How many pixels it needs around the picture, on each side."""

    def __call__(self, light: Tensor, rngs: Sequence[np.random.Generator]) -> tuple[Tensor, Tensor]:
        """Give the blurred and the sharp light, (N, C, H, W), of (N, C, H + 2m, W + 2m) linear
        light, with m the margin and a random generator for each of the N."""
        ...


def check_range(name: str, value: float | list[float]) -> tuple[float, float]:
    """Read a number, or a [low, high] range to draw from; raises ValueError if it is neither."""
    low, high = (value, value) if isinstance(value, (int, float)) else value
    if not 0 <= low <= high:
        raise ValueError(f"{name} must be a number or [low, high] with 0 <= low <= high: {value}")
    return low, high
