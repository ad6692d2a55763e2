"""Random camera trajectories and the motion kernels that they leave on a sensor.

The random walk follows Boracchi and Foi, "Modeling the performance of image restoration from motion
blur" (IEEE TIP 2012), as Kupyn et al. programmed it (DeblurGAN, CVPR 2018). Kernels sum to one, and
are centred by their centroid, so that blur neither changes the brightness nor shifts the picture.

A path has 512 steps instead of 2,000, each with their push and pull, and a sudden push is at 90 to
270 degrees to the path instead of 151 to 209. It therefore curls as theirs does at 0.3 times the
anxiety: of a path of 10 pixels, the ends are 0.37 lengths apart on average at an anxiety of 0.01
here, 0.36 at 0.003 there. Their range, 0.003 to 0.01, is 0.01 to 0.033 here.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur.blur import LONGEST, Range, read_range
from deblur.blur.light import expose, trim

STEPS = 512
"""Samples per path: several per pixel for every length in use."""


def trajectory(rng: np.random.Generator, length: float, anxiety: float) -> NDArray[np.complex128]:
    """Draw the path of a hand-held camera over one exposure.

    length: the distance travelled, in pixels. anxiety: 0 gives a straight line, 0.003 a calm hand,
    0.03 a very shaky one. Returns the STEPS positions x + iy, in pixels, starting at 0.
    """
    if length < 0 or anxiety < 0:
        raise ValueError(f"length and anxiety must not be negative, got {length} and {anxiety}")
    # Drawn once per path: pull to the start, chance of a sudden turn, random push, direction.
    pull, turn, push = rng.uniform(0, (0.7, 0.2, 10.0))
    velocity = complex(np.exp(2j * np.pi * rng.random()))
    noise = rng.normal(size=(STEPS, 2)) @ np.array([1, 1j])
    # The published walk has 2000 steps; this keeps its number of turns per path.
    turns = rng.random(STEPS) < turn * anxiety * 2000 / STEPS
    swings = np.exp(1j * np.pi * (rng.random(STEPS) + 0.5))
    step = length / (STEPS - 1)
    position = 0j
    path = [position]
    velocity *= step
    # Plain Python numbers are four times faster here than NumPy scalars.
    for kick, turned, swing in zip(noise.tolist()[1:], turns.tolist()[1:], swings.tolist()[1:]):
        change = anxiety * (push * kick - pull * position) * step
        if turned:
            change += 2 * velocity * swing
        velocity += change
        speed = abs(velocity)
        velocity = velocity * (step / speed) if speed else complex(step)
        position += velocity
        path.append(position)
    return np.array(path)


def motion_kernel(path: NDArray[np.complex128], exposure: float = 1.0) -> NDArray[np.float32]:
    """Integrate a path over an exposure into a kernel.

    exposure: the share of the path, from its start, during which the shutter is open, in (0, 1].
    Returns a (K, K) kernel, K odd and just large enough: non-negative, with sum one, and with its
    centroid on the middle pixel to within rounding errors.
    """
    if not 0 < exposure <= 1:
        raise ValueError(f"exposure must be in (0, 1], got {exposure}")
    seen = path[: max(1, round(exposure * len(path)))]
    seen = seen - seen.mean()
    radius = int(np.ceil(np.abs([seen.real, seen.imag]).max()))
    size = 2 * radius + 1
    # Distributing each sample's light among its four neighbours keeps the centroid exactly.
    column, row = np.floor(seen.real).astype(int), np.floor(seen.imag).astype(int)
    right, down = seen.real - column, seen.imag - row
    kernel = np.zeros((size + 1, size + 1))
    corners = [
        (0, 0, (1 - right) * (1 - down)),
        (0, 1, right * (1 - down)),
        (1, 0, (1 - right) * down),
        (1, 1, right * down),
    ]
    for dy, dx, share in corners:
        np.add.at(kernel, (row + radius + dy, column + radius + dx), share)
    return (kernel[:size, :size] / len(seen)).astype(np.float32)


class TrajectoryBlur:
    """Blur of a camera that shifts during the exposure: one kernel for the whole picture.

    length, anxiety (as in `trajectory`) and exposure (as in `motion_kernel`) are each a number, or
    a [low, high] range to draw from uniformly. The sharp picture lies at the kernel's middle.
    """

    def __init__(
        self,
        *,
        length: Range,
        anxiety: Range,
        exposure: Range = 1.0,
    ) -> None:
        self.length = read_range("length", length, LONGEST)
        self.anxiety = read_range("anxiety", anxiety, 1)
        self.exposure = read_range("exposure", exposure, 1, least=1e-3)
        # No sample of a path is further from its centroid than half the path's length.
        self.margin = int(np.ceil(self.length[1] / 2)) + 1

    def draw(self, rng: np.random.Generator, size: Sequence[int]) -> NDArray[np.float32]:
        """Draw a motion kernel, (K, K), K at most 2 * margin + 1."""
        path = trajectory(rng, rng.uniform(*self.length), rng.uniform(*self.anxiety))
        return motion_kernel(path, rng.uniform(*self.exposure))

    def expose(self, light: Tensor, plans: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
        """Blur (N, C, H, W) linear light with kernels; see `deblur.blur.Motion`."""
        return convolve(light, plans, self.margin)


def convolve(
    light: Tensor, kernels: Sequence[NDArray[np.float32]], margin: int
) -> tuple[Tensor, Tensor]:
    """Blur (N, C, H + 2m, W + 2m) linear light, each with its kernel; m is the margin.

    Returns the blurred and the sharp light, (N, C, H, W).
    """
    radius = max(len(kernel) // 2 for kernel in kernels)
    padded = [np.pad(kernel, radius - len(kernel) // 2) for kernel in kernels]
    stack = torch.from_numpy(np.stack(padded)).to(light.device)
    return expose(trim(light, margin - radius), stack), trim(light, margin)
