"""A wandering camera: paths of a Gaussian process, which turn often and cross themselves.

After Schuler et al., "Learning to deblur" (IEEE TPAMI 2016), Section 4: two independent processes,
one for each axis, with a Matern covariance of smoothness 3/2 over the exposure.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deblur.blur import LONGEST, Range, read_range
from deblur.blur.trajectory import convolve, motion_kernel

SAMPLES = 256
"""Samples per path: several per pixel for the extents in use."""


def wander(rng: np.random.Generator, extent: float, memory: float) -> NDArray[np.complex128]:
    """Draw a path whose bounding box has a longer side of `extent` pixels.

    memory: the length scale of the covariance, in exposures: with 0.1 the path turns many times,
    with 1 hardly at all. Returns SAMPLES positions x + iy, in pixels.
    """
    times = np.linspace(0, 1, SAMPLES)
    distance = np.sqrt(3) * np.abs(times[:, None] - times) / memory
    covariance = (1 + distance) * np.exp(-distance) + 1e-9 * np.eye(SAMPLES)
    x, y = (np.linalg.cholesky(covariance) @ rng.normal(size=(SAMPLES, 2))).T
    widest = max(np.ptp(x), np.ptp(y))
    path: NDArray[np.complex128] = (x + 1j * y) * (extent / widest)
    return path


class WanderingBlur:
    """Blur of a camera that wanders during the exposure: one kernel for the whole picture.

    The sharp picture lies at the kernel's centroid. Each argument is a number or a [low, high]
    range to draw from uniformly.

    Args:
        extent: The longer side of the path's bounding box, in pixels, 0 to 2000.
        memory: The length scale of the covariance, in exposures, 0.01 to 10, see `wander`.

    Raises:
        ValueError: A value is out of its range, or a range is not [low, high].
    """

    def __init__(self, *, extent: Range, memory: Range) -> None:
        self.extent = read_range("extent", extent, LONGEST)
        self.memory = read_range("memory", memory, 10, least=0.01)
        # The centroid of a path lies in its bounding box.
        self.margin = int(np.ceil(self.extent[1])) + 1

    def draw(self, rng: np.random.Generator, size: Sequence[int]) -> NDArray[np.float32]:
        """Draw a motion kernel, (K, K), K at most 2 * margin + 1."""
        return motion_kernel(wander(rng, rng.uniform(*self.extent), rng.uniform(*self.memory)))

    def expose(self, light: Tensor, plans: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
        """Blur (N, C, H, W) linear light with kernels; see `deblur.blur.Motion`."""
        return convolve(light, plans, self.margin)
