"""Blur of a hand-held camera that rotates.

The camera moves through poses, each a rotation about its centre and therefore a homography of the
picture. The blurred picture is the mean over the poses; its blur varies over the picture. After
Whyte et al., "Non-uniform deblurring for shaken images" (CVPR 2010).
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from kornia.geometry.conversions import axis_angle_to_rotation_matrix
from numpy.typing import NDArray
from torch import Tensor

from deblur.blur import LONGEST, Range, read_range
from deblur.blur.light import trim
from deblur.blur.trajectory import trajectory

POSES = 15
STEP = 1.5
"""The largest step between poses, in pixels: small enough that no single copies are visible."""


class ShakeBlur:
    """Blur of a camera that rotates about three axes; the sharp picture is the middle pose.

    Each argument but frame is a number or a [low, high] range to draw from uniformly.

    Args:
        length: The path of the picture's centre by yaw and pitch, in pixels.
        anxiety: The shakiness of the path, as in `trajectory`.
        roll: The path about the optical axis, in degrees.
        focal: The focal length, in widths of the frame.
        frame: Width and height, in pixels, of the photograph of which smaller pictures are crops;
            the crop's place in it is drawn.
        frames: Average this odd number of instants, evenly spaced in time, as data sets of averaged
            video frames do (GoPro: 7 to 13); None for an exposure without gaps.

    Raises:
        ValueError: A value is out of its range, or a range is not [low, high].
    """

    def __init__(
        self,
        *,
        length: Range,
        anxiety: Range,
        roll: Range,
        focal: Range = (0.8, 1.5),
        frame: tuple[int, int] = (1280, 720),
        frames: Range | None = None,
    ) -> None:
        self.length = read_range("length", length, LONGEST)
        self.anxiety = read_range("anxiety", anxiety, 1)
        self.roll = read_range("roll", roll, 180)
        self.focal = read_range("focal", focal, 100, least=0.1)
        if len(frame) != 2 or not 1 <= min(frame) <= max(frame) <= 100_000:
            raise ValueError(f"frame must be a width and a height in pixels, got {frame}")
        self.frame = frame
        self.frames = None if frames is None else read_range("frames", frames, 1000, least=3)
        # Half the path, longer towards the frame's sides, and half the roll at its corners.
        across = self.length[1] / 2 * (1 + 0.25 / self.focal[0] ** 2)
        around = np.deg2rad(self.roll[1]) / 2 * np.hypot(*frame) / 2
        self.margin = int(np.ceil(across + around)) + 1

    def draw(
        self, rng: np.random.Generator, size: Sequence[int], *, least: float = POSES
    ) -> NDArray[np.float64]:
        """Draw a path: (T, 3, 3) homographies, T odd and at least `least` unless `frames` is set.

        Each maps a pixel (x, y, 1) of a picture of `size` (H, W) to the place where that pose sees
        it. The middle one is the identity.
        """
        length, roll = rng.uniform(*self.length), np.deg2rad(rng.uniform(*self.roll))
        turn = trajectory(rng, length, rng.uniform(*self.anxiety))
        spin = trajectory(rng, roll, rng.uniform(*self.anxiety))
        frame = np.maximum(self.frame, size[::-1])
        focal = rng.uniform(*self.focal) * frame[0]
        # The optical axis, in the picture's pixels.
        x, y = (frame - 1) / 2 - rng.uniform((0, 0), frame - size[::-1])
        longest = length + roll * np.hypot(*frame) / 2
        if self.frames is None:
            least = max(least, longest / STEP)
        else:
            fewest, most = (int(count) // 2 for count in self.frames)
            least = 2 * int(rng.integers(fewest, most + 1)) + 1
        turn, spin = at_poses(turn, least), at_poses(spin, least)
        angles = np.stack([-turn.imag / focal, turn.real / focal, spin.real], -1)
        rotations = axis_angle_to_rotation_matrix(torch.from_numpy(angles)).numpy()
        lens = np.array([[focal, 0, x], [0, focal, y], [0, 0, 1]])
        poses: NDArray[np.float64] = lens @ rotations @ np.linalg.inv(lens)
        return poses

    def expose(self, light: Tensor, plans: Sequence[NDArray[np.float64]]) -> tuple[Tensor, Tensor]:
        """Blur (N, C, H, W) linear light from poses; see `deblur.blur.Motion`."""
        blurred = [
            average(partial(warp, one, margin=self.margin), light.device, poses)
            for one, poses in zip(light, plans)
        ]
        return torch.stack(blurred), trim(light, self.margin)


def average(
    see: Callable[..., Tensor], device: torch.device, *poses: NDArray[np.float64]
) -> Tensor:
    """Average the T views that `see` returns, (T, C, H, W); on a CPU a few at a time (caches).

    poses: arrays of T poses, the arguments of `see`.
    """
    count = len(poses[0])
    few = 4 if device.type == "cpu" else count
    parts = [see(*(path[i : i + few] for path in poses)).sum(0) for i in range(0, count, few)]
    return torch.stack(parts).sum(0) / count


def at_poses(path: NDArray[np.complex128], least: float) -> NDArray[np.complex128]:
    """Sample a path at an odd number of places, `least` or more, and shift its middle to zero."""
    count = 2 * int(np.ceil((least - 1) / 2)) + 1
    times = np.linspace(0, len(path) - 1, count)
    samples: NDArray[np.complex128] = np.interp(times, np.arange(len(path)), path)
    middle: NDArray[np.complex128] = samples - samples[count // 2]
    return middle


def warp(light: Tensor, poses: NDArray[np.float64], *, margin: int) -> Tensor:
    """Return the views (T, C, H, W) of a picture (C, H + 2m, W + 2m), m its margin, from T poses.

    poses: see `ShakeBlur.draw`. Equals kornia's warp_perspective with border padding, in half the
    time.
    """
    height, width = light.shape[-2:]
    shift = np.array([[1, 0, margin], [0, 1, margin], [0, 0, 1]])
    to_grid = np.array([[2 / (width - 1), 0, -1], [0, 2 / (height - 1), -1], [0, 0, 1]])
    matrices = torch.from_numpy((to_grid @ shift @ poses).astype(np.float32)).to(light.device).mT
    size = trim(light, margin).shape[-2:]
    y, x = (torch.arange(length, device=light.device).float() for length in size)
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    pixels = torch.stack([columns, rows, torch.ones_like(rows)], -1)
    seen = pixels.reshape(-1, 3) @ matrices
    grid = (seen[..., :2] / seen[..., 2:]).view(-1, *size, 2)
    sources = light.expand(len(grid), -1, -1, -1)
    return F.grid_sample(sources, grid, padding_mode="border", align_corners=True)
