"""An out-of-focus lens: each point of the scene becomes a disc."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deblur.blur import Range, read_range
from deblur.blur.trajectory import convolve

WIDEST = 500.0
"""The largest radius of a disc, in pixels."""
FINE = 8
"""Samples per pixel, in each direction, that antialias the disc's edge."""


class Defocus:
    """Blur of an out-of-focus lens: one disc for the whole picture.

    Args:
        radius: The disc's radius, in pixels, 0 to 500: a number, or a [low, high] range to draw
            from uniformly.

    Raises:
        ValueError: A value is out of its range, or a range is not [low, high].
    """

    def __init__(self, *, radius: Range) -> None:
        self.radius = read_range("radius", radius, WIDEST)
        self.margin = int(np.ceil(self.radius[1])) + 1

    def draw(self, rng: np.random.Generator, size: Sequence[int]) -> NDArray[np.float32]:
        """Draw a disc, (K, K), K odd and at most 2 * margin + 1."""
        return disc(rng.uniform(*self.radius))

    def expose(self, light: Tensor, plans: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
        """Blur (N, C, H, W) linear light with discs; see `deblur.blur.Motion`."""
        return convolve(light, plans, self.margin)


def disc(radius: float) -> NDArray[np.float32]:
    """Return a disc of sum one, (K, K), K odd and just large enough; its edge is antialiased."""
    reach = int(np.ceil(radius))
    count = (2 * reach + 1) * FINE
    places = (np.arange(count) + 0.5) / FINE - reach - 0.5
    inside = (np.hypot(places[:, None], places) <= max(radius, 0.5)).astype(np.float32)
    cells = inside.reshape(2 * reach + 1, FINE, 2 * reach + 1, FINE).sum((1, 3))
    kernel: NDArray[np.float32] = (cells / cells.sum()).astype(np.float32)
    return kernel
