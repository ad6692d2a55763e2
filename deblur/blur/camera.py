"""A camera: all steps from light to file that change a picture.

The order and the noise are those of the RSBlur pipeline (Rim et al., "Realistic blur synthesis
for learning image deblurring", ECCV 2022): highlights, exposure, sensor, sRGB curve, compression.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deblur.blur import Motion, Range, read_range
from deblur.blur.light import soften, to_light, to_pixels, trim
from deblur.blur.mosaic import demosaic, mosaic

INGREDIENTS = ("linear", "optics", "highlights", "noise", "mosaic", "jpeg")


class Camera:
    """Turns sharp photographs into the pictures that a moving camera would have taken.

    Each of these ingredients applies to a share of the pictures:

    - linear: the exposure sums linear light. In the other pictures it sums 8-bit pixels, as when
      frames of a video are averaged (GoPro's folder `blur`).
    - optics: the lens is soft: a Gaussian blur before any motion, since a photograph reduced in
      size is sharper than a camera's picture.
    - highlights: white areas are brighter than white, and smear into white streaks.
    - noise: shot and read noise.
    - mosaic: the sensor sees one colour per pixel (RGGB), behind white balance gains; noise is
      added before demosaicing. The sharp picture passes through it, too, without noise.
    - jpeg: the blurred picture is compressed.

    Args:
        motion: Smears the light.
        shares: The share of pictures, 0 to 1, of each ingredient; by default 1 for linear and 0
            for the others.
        optics: The Gaussian's sigma, in pixels.
        highlights: By how many times white areas are brighter.
        shot: The variance of the shot noise, to be multiplied by the light in [0, 1].
        read: The variance of the read noise. Both standard deviations are drawn uniformly.
        red: The white balance gain of red.
        blue: The white balance gain of blue.
        quality: The JPEG quality, 1 to 100.

    Raises:
        ValueError: A value is out of its range, a range is not [low, high], or a key of `shares` is
            not an ingredient.
    """

    def __init__(
        self,
        *,
        motion: Motion,
        shares: Mapping[str, float] | None = None,
        optics: Range = (0.4, 1.0),
        highlights: Range = (0.25, 1.75),
        shot: Range = (1e-5, 1e-3),
        read: Range = (1e-6, 1e-4),
        red: Range = (1.9, 2.4),
        blue: Range = (1.5, 1.9),
        quality: Range = (60, 98),
    ) -> None:
        self.motion = motion
        self.margin = motion.margin
        self.shares = {"linear": 1.0, **(shares or {})}
        for name, share in self.shares.items():
            if name not in INGREDIENTS or not 0 <= share <= 1:
                raise ValueError(
                    f"shares has {name}: {share}, expected a number from 0 to 1 for each of "
                    f"{', '.join(INGREDIENTS)}"
                )
        self.optics = read_range("optics", optics, 20)
        self.highlights = read_range("highlights", highlights, 100)
        self.shot = read_range("shot", shot, 1)
        self.read = read_range("read", read, 1)
        self.red = read_range("red", red, 100, least=0.01)
        self.blue = read_range("blue", blue, 100, least=0.01)
        self.quality = read_range("quality", quality, 100, least=1)

    def draw(self, rng: np.random.Generator, size: Sequence[int]) -> "Shot":
        """Draw the parameters for a picture of `size` (H, W)."""
        # A separate stream, and always all draws: no ingredient changes another one's draws.
        own = rng.spawn(1)[0]
        on = {name: own.random() < self.shares.get(name, 0.0) for name in INGREDIENTS}
        shot, read = (own.uniform(*np.sqrt(span)) ** 2 for span in (self.shot, self.read))
        gains = (own.uniform(*self.red), 1.0, own.uniform(*self.blue))
        quality = round(own.uniform(*self.quality))
        return Shot(
            linear=on["linear"],
            sigma=own.uniform(*self.optics) * on["optics"],
            highlights=own.uniform(*self.highlights) * on["highlights"],
            noise=(shot, read) if on["noise"] else None,
            seed=int(own.integers(2**63)),
            gains=gains if on["mosaic"] else None,
            quality=quality if on["jpeg"] else None,
            motion=self.motion.draw(rng, size),
        )

    def expose(self, pixels: Tensor, shots: Sequence["Shot"]) -> tuple[Tensor, Tensor]:
        """Return the blurred and the sharp pictures, uint8 (N, 3, H, W).

        pixels: uint8 (N, 3, H + 2m, W + 2m), sharp, with m the `margin`, on any device. shots:
        what `draw` returned for each of the N.
        """
        if not shots:  # there is nothing to stack or to transform
            empty = trim(pixels, self.margin)
            return empty, empty
        light = torch.stack([_see(*one) for one in zip(pixels, shots)])
        pairs = zip(*self.motion.expose(light, [shot.motion for shot in shots]), shots)
        blurred, sharp = (torch.stack(files) for files in zip(*(_develop(*pair) for pair in pairs)))
        return blurred, sharp

    def __call__(
        self, pixels: Tensor, rngs: Sequence[np.random.Generator]
    ) -> tuple[Tensor, Tensor]:
        """Draw the parameters of each picture, and `expose` the batch."""
        size = [length - 2 * self.margin for length in pixels.shape[-2:]]
        return self.expose(pixels, [self.draw(rng, size) for rng in rngs])


class Shot(NamedTuple):
    """The parameters of one picture; 0 or None for ingredients that are left out."""

    linear: bool
    sigma: float
    highlights: float
    noise: tuple[float, float] | None
    seed: int
    gains: tuple[float, float, float] | None
    quality: int | None
    motion: Any


def _see(pixels: Tensor, shot: Shot) -> Tensor:
    """Convert a sharp picture, (3, H, W), to the light that reaches the sensor."""
    light = to_light(pixels) if shot.linear else pixels / 255
    if shot.highlights:
        white = (pixels.amax(0) / 255 - 0.9).clamp(min=0) / 0.1
        light = light * (1 + shot.highlights * white)
    return soften(light, shot.sigma)


def _develop(blurred: Tensor, sharp: Tensor, shot: Shot) -> tuple[Tensor, Tensor]:
    """Convert a pair's light, (3, H, W), to pictures: sensor, sRGB curve, compression."""
    blurred, sharp = blurred.clamp(0, 1), sharp.clamp(0, 1)
    if not shot.linear:
        blurred, sharp = (
            to_light((255 * light).round().to(torch.uint8)) for light in (blurred, sharp)
        )
    if shot.gains is None:
        blurred = _add_noise(blurred, shot)
    else:
        gains = torch.tensor(shot.gains, device=blurred.device)[:, None, None]
        blurred = demosaic(_add_noise(mosaic(blurred / gains), shot)) * gains
        sharp = demosaic(mosaic(sharp / gains)) * gains
    picture = to_pixels(blurred)
    return picture if shot.quality is None else jpeg(picture, shot.quality), to_pixels(sharp)


def _add_noise(light: Tensor, shot: Shot) -> Tensor:
    """Add shot noise, approximated as Gaussian, and read noise."""
    if shot.noise is None:
        return light
    generator = torch.Generator(light.device).manual_seed(shot.seed)
    noise = torch.randn(light.shape, generator=generator, device=light.device)
    return light + noise * (shot.noise[0] * light + shot.noise[1]).sqrt()


def jpeg(pixels: Tensor, quality: int) -> Tensor:
    """Save and open uint8 pixels (3, H, W) as JPEG of a quality from 1 to 100, as Pillow does."""
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy()).save(file, "JPEG", quality=quality)
    decoded = torch.from_numpy(np.array(Image.open(file)))
    return decoded.permute(2, 0, 1).to(pixels.device)
