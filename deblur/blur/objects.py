"""Something that moves on its own before a camera that moves as well."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from deblur.blur import check_range
from deblur.blur.light import trim
from deblur.blur.shake import POSES, STEP, ShakeBlur, at_poses, average, warp
from deblur.blur.trajectory import trajectory


class ObjectBlur:
    """Blur of an object that crosses a shaken picture; both are sharp in the middle pose.

    The object is a soft-edged blot of the picture turned upside down. At each pose it hides what
    is behind it, so that the background shines through its smeared edges as it does in a
    photograph.

    background: what the camera does. length and anxiety: the object's own path over the picture,
    as in `trajectory`. radius: the object's, in lengths of the picture's shorter side. Each but
    background is a number or a [low, high] range to draw from uniformly.
    """

    def __init__(
        self,
        *,
        background: ShakeBlur,
        length: float | list[float],
        anxiety: float | list[float],
        radius: float | list[float],
    ) -> None:
        self.background = background
        self.length = check_range("length", length)
        self.anxiety = check_range("anxiety", anxiety)
        self.radius = check_range("radius", radius)
        self.margin = max(background.margin, int(np.ceil(self.length[1] / 2)) + 1)

    def __call__(self, light: Tensor, rngs: Sequence[np.random.Generator]) -> tuple[Tensor, Tensor]:
        """Blur (N, C, H, W) linear light; see `deblur.blur.Motion`."""
        pairs = [self._expose(one, rng) for one, rng in zip(light, rngs)]
        blurred, sharp = (torch.stack(images) for images in zip(*pairs))
        return blurred, sharp

    def _expose(self, light: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        size = trim(light, self.margin).shape[-2:]
        path = trajectory(rng, rng.uniform(*self.length), rng.uniform(*self.anxiety))
        least = max(POSES, np.abs(np.diff(path)).sum() / STEP)
        poses = self.background.poses(rng, size, self.margin, least=least)
        moves = _shifts(at_poses(path, len(poses)), self.margin)
        cover = self._cover(rng, light.shape[-2:]).to(light.device)
        layer = torch.cat([light.flip(-1, -2) * cover, cover])

        def see(poses: Tensor, moves: Tensor) -> Tensor:
            behind, before = warp(light, poses, size=size), warp(layer, moves, size=size)
            return behind * (1 - before[:, -1:]) + before[:, :-1]

        sharp = trim(light * (1 - cover) + layer[:-1], self.margin)
        return average(see, poses, moves), sharp

    def _cover(self, rng: np.random.Generator, size: Sequence[int]) -> Tensor:
        """Draw a blot: how much of each pixel the object hides, (1, H, W), in [0, 1]."""
        sides = np.array(size) - 2 * self.margin
        row, column = self.margin + rng.uniform((0, 0), sides)
        radius = rng.uniform(*self.radius) * min(sides)
        waves = torch.arange(2, 6)
        heights, phases = torch.from_numpy(rng.uniform((0, 0), (0.4, 2 * np.pi), (4, 2)).T)
        # The signed distance to its outline is smooth: every fourth pixel will do.
        y, x = (torch.arange(0, length + 4, 4) for length in size)
        y, x = y[:, None] - row, x - column
        angles = torch.atan2(y, x)[..., None]
        outline = radius * (1 + (heights / waves * torch.cos(waves * angles + phases)).sum(-1))
        inside = (outline - torch.hypot(y, x))[None, None].float()
        grown = F.interpolate(inside, scale_factor=4, mode="bilinear")[..., : size[0], : size[1]]
        return torch.sigmoid(grown[0] / rng.uniform(0.3, 1.5))


def _shifts(path: NDArray[np.complex128], margin: int) -> Tensor:
    """Write a path (T) of x + iy as poses of a picture with a margin, see `ShakeBlur.poses`."""
    poses = torch.eye(3, dtype=torch.float64).repeat(len(path), 1, 1)
    poses[:, 0, 2] = torch.from_numpy(margin - path.real)
    poses[:, 1, 2] = torch.from_numpy(margin - path.imag)
    return poses
