"""An object that moves by itself in front of a moving camera."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from deblur.blur import LONGEST, Range, read_range
from deblur.blur.light import trim
from deblur.blur.shake import POSES, STEP, ShakeBlur, at_poses, average, warp
from deblur.blur.trajectory import trajectory


class ObjectBlur:
    """Blur of an object that crosses a shaken picture; the sharp picture is the middle pose.

    The object is a blob with soft edges, filled with the picture turned upside down. At each pose
    it hides what is behind it, so that the background shows through its smeared edges as in a
    photograph. Each argument but background is a number or a [low, high] range to draw from
    uniformly.

    Args:
        background: The motion of the camera.
        length: The length of the object's own path, in pixels, as in `trajectory`.
        anxiety: The shakiness of that path, as in `trajectory`.
        radius: The object's radius, as a share of the picture's shorter side.

    Raises:
        ValueError: A value is out of its range, or a range is not [low, high].
    """

    def __init__(
        self,
        *,
        background: ShakeBlur,
        length: Range,
        anxiety: Range,
        radius: Range,
    ) -> None:
        self.background = background
        self.length = read_range("length", length, LONGEST)
        self.anxiety = read_range("anxiety", anxiety, 1)
        self.radius = read_range("radius", radius, 10)
        self.margin = max(background.margin, int(np.ceil(self.length[1] / 2)) + 1)

    def draw(self, rng: np.random.Generator, size: Sequence[int]) -> "Crossing":
        """Draw a camera's path, an object and its path."""
        path = trajectory(rng, rng.uniform(*self.length), rng.uniform(*self.anxiety))
        least = max(POSES, np.abs(np.diff(path)).sum() / STEP)
        poses = self.background.draw(rng, size, least=least)
        return Crossing(poses, _shifts(at_poses(path, len(poses))), self._cover(rng, size))

    def expose(self, light: Tensor, plans: Sequence["Crossing"]) -> tuple[Tensor, Tensor]:
        """Blur (N, C, H, W) linear light; see `deblur.blur.Motion`."""
        pairs = [self._expose(one, plan) for one, plan in zip(light, plans)]
        blurred, sharp = (torch.stack(images) for images in zip(*pairs))
        return blurred, sharp

    def _expose(self, light: Tensor, plan: "Crossing") -> tuple[Tensor, Tensor]:
        cover = torch.from_numpy(plan.cover).to(light.device)
        layer = torch.cat([light.flip(-1, -2) * cover, cover])

        def see(poses: NDArray[np.float64], moves: NDArray[np.float64]) -> Tensor:
            behind = warp(light, poses, margin=self.margin)
            before = warp(layer, moves, margin=self.margin)
            return behind * (1 - before[:, -1:]) + before[:, :-1]

        sharp = trim(light * (1 - cover) + layer[:-1], self.margin)
        return average(see, light.device, plan.poses, plan.moves), sharp

    def _cover(self, rng: np.random.Generator, size: Sequence[int]) -> NDArray[np.float32]:
        """Draw the share of each pixel that the object hides: (1, H + 2m, W + 2m)."""
        row, column = self.margin + rng.uniform((0, 0), size)
        radius = rng.uniform(*self.radius) * min(size)
        waves = np.arange(2, 6)
        heights, phases = rng.uniform((0, 0), (0.4, 2 * np.pi), (4, 2)).T
        height, width = (length + 2 * self.margin for length in size)
        # The signed distance to the outline is smooth, so it is computed for every fourth pixel.
        y, x = np.arange(0, height + 4, 4)[:, None] - row, np.arange(0, width + 4, 4) - column
        angles = np.arctan2(y, x)[..., None]
        outline = radius * (1 + (heights / waves * np.cos(waves * angles + phases)).sum(-1))
        inside = torch.from_numpy((outline - np.hypot(y, x)).astype(np.float32))[None, None]
        grown = F.interpolate(inside, scale_factor=4, mode="bilinear")[0, :, :height, :width]
        return torch.sigmoid(grown / rng.uniform(0.3, 1.5)).numpy()


class Crossing(NamedTuple):
    """The parameters of an object that crosses a picture."""

    poses: NDArray[np.float64]
    """The camera's poses, (T, 3, 3), see `ShakeBlur.draw`."""
    moves: NDArray[np.float64]
    """The object's poses, (T, 3, 3), in the same form."""
    cover: NDArray[np.float32]
    """The share of each pixel that it hides in mid-exposure: (1, H + 2m, W + 2m), in [0, 1]."""


def _shifts(path: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Convert a path (T) of x + iy to poses, see `ShakeBlur.draw`."""
    poses = np.tile(np.eye(3), (len(path), 1, 1))
    poses[:, 0, 2], poses[:, 1, 2] = -path.real, -path.imag
    return poses
