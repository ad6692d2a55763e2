"""Pictures with known blur, made from sharp photos, to train and check the diagnosis on."""

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from deblur.blur import LONGEST, Range, read_range
from deblur.blur.camera import Camera
from deblur.blur.defocus import Defocus
from deblur.blur.light import to_light, to_pixels
from deblur.blur.scenes import Scene, in_bokeh, in_fog, under_sky
from deblur.blur.shake import ShakeBlur
from deblur.blur.trajectory import TrajectoryBlur

Kind = Literal["sharp", "motion", "defocus"]
SCENES: dict[str, Scene | None] = {
    "plain": None,
    "bokeh": in_bokeh,
    "fog": in_fog,
    "sky": under_sky,
}
SENSOR = {"linear": 0.7, "optics": 0.4, "highlights": 0.3, "noise": 0.5, "mosaic": 0.2, "jpeg": 0.6}
"""The `shares` of a `Camera`."""


class Smear(NamedTuple):
    """How far, and in which direction, a point is smeared.

    An extent of motion is the square root of 12 times the variance along it: for a uniform line,
    its length. Of defocus, both are the disc's diameter.
    """

    length: float
    """Extent along the main direction, in pixels."""
    width: float
    """Extent across it, in pixels; near zero for a straight path."""
    direction: float
    """Degrees from the horizontal, counter-clockwise, in [0, 180)."""


class Labelled(NamedTuple):
    """A picture and its true blur."""

    pixels: NDArray[np.uint8]
    """(H, W, 3)."""
    kind: Kind
    smear: Smear


def make_labelled(
    photo: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    kind: Kind,
    scene: str = "plain",
    extent: Range = (8, 40),
    shake: float = 0.4,
    sensor: dict[str, float] = SENSOR,
) -> Labelled:
    """Blur a sharp photo in a known way.

    Args:
        photo: (H, W, 3), sharp; the result is smaller by the blur's margins.
        rng: The random generator.
        kind: "motion", "defocus" or "sharp".
        scene: A key of SCENES, applied before the blur.
        extent: The length of the motion's path, or the diameter of the defocus, in pixels.
        shake: The share of motions, 0 to 1, by a rotating camera, whose blur varies over the
            picture.
        sensor: The `shares` of a `Camera`.
    """
    motion: TrajectoryBlur | ShakeBlur | Defocus
    low, high = read_range("extent", extent, LONGEST)
    length = float(rng.uniform(low, high))
    anxiety = float(rng.choice([0.0, 0.002, 0.005, 0.01]))
    if kind == "defocus":
        motion = Defocus(radius=length / 2)
    elif kind == "motion" and rng.random() < shake:
        roll = float(rng.uniform(0, 0.3))
        motion = ShakeBlur(length=length, anxiety=anxiety, roll=roll)
    else:
        motion = TrajectoryBlur(length=length if kind == "motion" else 0, anxiety=anxiety)
    pixels = torch.from_numpy(photo).permute(2, 0, 1)
    paint = SCENES[scene]
    if paint is not None:
        pixels = to_pixels(paint(to_light(pixels), rng))
    camera = Camera(motion=motion, shares=sensor)
    size = [side - 2 * camera.margin for side in pixels.shape[-2:]]
    shot = camera.draw(rng, size)
    blurred, _ = camera.expose(pixels[None].contiguous(), [shot])
    smear = _measure_poses(shot.motion, size) if shot.motion.ndim == 3 else measure(shot.motion)
    if kind == "defocus":
        smear = Smear(length, length, 0.0)
    return Labelled(blurred[0].permute(1, 2, 0).numpy(), kind, smear)


def measure(kernel: NDArray[np.float32]) -> Smear:
    """Measure the smear of a kernel, (K, K), of sum one."""
    radius = len(kernel) // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    places = np.stack([x.ravel(), y.ravel()])
    # Distributing light among four pixels adds up to 1/12 to the variance; a single point has 0.
    return _from_covariance(np.cov(places, aweights=kernel.ravel(), ddof=0))


def _measure_poses(poses: NDArray[np.float64], size: list[int]) -> Smear:
    """Measure the mean smear of a picture's points under poses, homographies (T, 3, 3)."""
    y, x = (np.linspace(0.1, 0.9, 5) * side for side in size)
    points = np.stack([*(grid.ravel() for grid in np.meshgrid(x, y)), np.ones(25)])
    seen = poses @ points
    places = seen[:, :2] / seen[:, 2:]
    spread = places - places.mean(0)
    return _from_covariance(np.einsum("tip,tjp->ij", spread, spread) / (len(poses) * 25))


def _from_covariance(covariance: NDArray[np.float64]) -> Smear:
    (short, long), axes = np.linalg.eigh(covariance)
    along = axes[:, 1]
    direction = float(np.degrees(np.arctan2(-along[1], along[0])) % 180)
    length, width = (float(np.sqrt(12 * max(value, 0))) for value in (long, short))
    return Smear(length, width, direction)
