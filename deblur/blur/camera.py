"""A camera: light to file, with what each step between does to a picture.

The order and the noise are those of the RSBlur pipeline (Rim et al., "Realistic blur synthesis
for learning image deblurring", ECCV 2022): highlights, exposure, sensor, sRGB curve, compression.
"""

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deblur.blur import Motion, check_range
from deblur.blur.light import soften, to_light, to_pixels
from deblur.blur.mosaic import demosaic, mosaic

INGREDIENTS = ("linear", "optics", "highlights", "noise", "mosaic", "jpeg")


class Camera:
    """Takes a sharp photograph, and gives what a moving camera would have made of its scene.

    motion: smears the light. shares: of how many pictures, 0 to 1, an ingredient is part:

    - linear: the exposure adds up light; in the others, 8-bit pixels, as where frames of a video
      are averaged (GoPro's folder `blur`). Left out it is 1, the others 0.
    - optics: the lens is soft, before anything moves, by a Gaussian of `optics` pixels (sigma). A
      small photograph is sharper than any camera sees the world.
    - highlights: white areas are brighter than white, by up to `highlights` times (drawn), and
      smear into white streaks.
    - noise: shot noise of variance `shot` times the light and read noise of variance `read`, light
      being in [0, 1]; their standard deviations are drawn evenly.
    - mosaic: the sensor sees one colour a pixel (RGGB), behind white balance gains of `red` and
      `blue`; noise enters before demosaicing. The sharp picture goes through it too, noiseless.
    - jpeg: the blurred picture is compressed at a `quality` from its range.
    """

    def __init__(
        self,
        *,
        motion: Motion,
        shares: Mapping[str, float] | None = None,
        optics: float | list[float] = [0.4, 1.0],
        highlights: float | list[float] = [0.25, 1.75],
        shot: float | list[float] = [1e-5, 1e-3],
        read: float | list[float] = [1e-6, 1e-4],
        red: float | list[float] = [1.9, 2.4],
        blue: float | list[float] = [1.5, 1.9],
        quality: float | list[float] = [60, 98],
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
        self.optics = check_range("optics", optics)
        self.highlights = check_range("highlights", highlights)
        self.shot = check_range("shot", shot)
        self.read = check_range("read", read)
        self.red = check_range("red", red)
        self.blue = check_range("blue", blue)
        self.quality = check_range("quality", quality)

    def __call__(
        self, pixels: Tensor, rngs: Sequence[np.random.Generator]
    ) -> tuple[Tensor, Tensor]:
        """Give the blurred and the sharp picture, uint8 (N, 3, H, W).

        pixels: uint8 (N, 3, H + 2m, W + 2m), sharp, with m the `margin`, on any device. rngs: a
        random generator for each of the N.
        """
        # By streams of their own: what a sensor does changes no motion.
        shots = [self._draw(rng.spawn(1)[0]) for rng in rngs]
        light = torch.stack([_see(*one) for one in zip(pixels, shots)])
        pairs = zip(*self.motion(light, rngs), shots)
        blurred, sharp = (torch.stack(files) for files in zip(*(_develop(*pair) for pair in pairs)))
        return blurred, sharp

    def _draw(self, rng: np.random.Generator) -> "_Shot":
        """Draw one picture's settings; a share changes nothing but its own ingredient."""
        on = {name: rng.random() < self.shares.get(name, 0.0) for name in INGREDIENTS}
        shot, read = (rng.uniform(*np.sqrt(span)) ** 2 for span in (self.shot, self.read))
        gains = (rng.uniform(*self.red), 1.0, rng.uniform(*self.blue))
        quality = round(rng.uniform(*self.quality))
        return _Shot(
            linear=on["linear"],
            sigma=rng.uniform(*self.optics) * on["optics"],
            highlights=rng.uniform(*self.highlights) * on["highlights"],
            noise=(shot, read) if on["noise"] else None,
            seed=int(rng.integers(2**63)),
            gains=gains if on["mosaic"] else None,
            quality=quality if on["jpeg"] else None,
        )


class _Shot(NamedTuple):
    """One picture's settings; 0 or None where an ingredient is left out."""

    linear: bool
    sigma: float
    highlights: float
    noise: tuple[float, float] | None
    seed: int
    gains: tuple[float, float, float] | None
    quality: int | None


def _see(pixels: Tensor, shot: _Shot) -> Tensor:
    """Turn a sharp picture, (3, H, W), into the light that reaches the sensor."""
    light = to_light(pixels) if shot.linear else pixels / 255
    if shot.highlights:
        white = (pixels.amax(0) / 255 - 0.9).clamp(min=0) / 0.1
        light = light * (1 + shot.highlights * white)
    return soften(light, shot.sigma)


def _develop(blurred: Tensor, sharp: Tensor, shot: _Shot) -> tuple[Tensor, Tensor]:
    """Turn a pair's light, (3, H, W), into pictures: sensor, sRGB curve, compression."""
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


def _add_noise(light: Tensor, shot: _Shot) -> Tensor:
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
