"""Blur of lengths and directions that were measured, as in a video's own frames."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deblur.blur import LONGEST
from deblur.blur.trajectory import convolve, motion_kernel, trajectory

LENGTHS = (0.6, 1.25)
"""Of a measured length: what is drawn around it, for measurements err, and frames differ."""
TURN = 10.0
"""Degrees: the standard deviation of directions around a measured one."""
ANXIETY = (0.0, 0.004)
"""From a straight path to a calm hand's."""
STILL = 0.125
"""The share of pictures without blur: what is sharp in a blurred frame must stay so."""


class Measured(NamedTuple):
    """How far, and in which direction, a point of a picture was smeared."""

    length: float
    """Pixels."""
    direction: float
    """Degrees counter-clockwise from the horizontal."""


class MeasuredBlur:
    """Blur like that of some pictures, one kernel for the whole picture; see `Motion`.

    measured: of which one is drawn for each picture, and varied. Raises ValueError for none, and
    for lengths beyond `deblur.blur.LONGEST`.
    """

    def __init__(self, *, measured: Sequence[Measured]) -> None:
        longest = max((one.length for one in measured), default=0.0)
        if not 0 < longest <= LONGEST:
            raise ValueError(f"measured must have lengths of up to {LONGEST:g}, got {longest:g}")
        self.measured = list(measured)
        self.margin = int(np.ceil(LENGTHS[1] * longest / 2)) + 1

    def draw(self, rng: np.random.Generator, size: Sequence[int]) -> NDArray[np.float32]:
        """Draw a motion kernel, (K, K), K at most 2 * margin + 1."""
        one = self.measured[int(rng.integers(len(self.measured)))]
        length = one.length * rng.uniform(*LENGTHS) * (rng.random() >= STILL)
        path = trajectory(rng, length, rng.uniform(*ANXIETY))
        # Squares have twice the angle, so that moves to and fro are of one direction: the main one.
        found = np.angle(np.square(path - path.mean()).sum()) / 2
        # Rows count downwards: a direction counter-clockwise is a negative angle.
        wanted = -np.deg2rad(rng.normal(one.direction, TURN))
        return motion_kernel(path * np.exp(1j * (wanted - found)))

    def expose(self, light: Tensor, plans: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
        """Blur (N, C, H, W) linear light with kernels; see `deblur.blur.Motion`."""
        return convolve(light, plans, self.margin)
