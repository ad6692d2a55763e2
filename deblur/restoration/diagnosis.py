"""Whether a photo is blurred by motion, out of focus, noisy or sharp, by the picture alone.

A picture that is too small, or shows next to nothing, is unclear.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from deblur.media.photo import open_photo
from deblur.restoration.classifier import KINDS, load_classifier, measure_features
from deblur.restoration.noise import measure_noise
from deblur.restoration.sharpness import measure_sharpness
from deblur.restoration.spectra import cut_windows
from deblur.restoration.transparency import fill_hidden

Verdict = Literal["motion", "defocus", "noise", "sharp", "unclear"]
BLURRED = 0.8
"""The likelihood of blur from which a photo is called blurred."""
NOISY = 6.0
"""The noise from which an unblurred photo is called noisy: a standard deviation in 8-bit levels."""
LEAST_SIDE = 64
"""The shortest side, in pixels: the spectrum of a smaller picture does not show its blur."""
LEAST_CONTRAST = 1.0
"""The least standard deviation, in 8-bit levels: with less there is nothing to judge."""
LONGEST = 40.0
"""The longest blur, in pixels, that is within what the bundled models were trained on."""


class Diagnosis(NamedTuple):
    """What was found in a photo."""

    kind: Verdict
    likelihood: float
    """The likelihood that it is blurred, 0 to 1."""
    length: float
    """How far a point is smeared, or the diameter of the defocus, in pixels; 0 without blur."""
    direction: float
    """The motion's angle, in degrees counter-clockwise from the horizontal, in [0, 180); or 0."""
    noise: float
    """The noise's standard deviation, in 8-bit levels."""
    sharpness: float
    """The sharpness, 0 to 1, see `deblur.restoration.sharpness`."""

    @property
    def helps(self) -> bool:
        """Whether restoring would help: motion blur no longer than models were trained on."""
        return self.kind == "motion" and self.length <= LONGEST

    @property
    def advice(self) -> str:
        """Whether restoring would help, in a few words."""
        if self.kind == "motion" and self.length > LONGEST:
            return "scaled down first"
        if self.kind == "motion":
            return "yes"
        return "unknown" if self.kind == "unclear" else "no"

    def describe(self) -> str:
        """Return in a few words why a photo is or is not restored."""
        if self.kind in ("motion", "defocus"):
            what = "blurred by motion" if self.kind == "motion" else "out of focus"
            return f"{what}, {self.length:.0f} pixels"
        if self.kind == "unclear":
            return "too small or too flat to judge"
        return "noisy, not blurred" if self.kind == "noise" else "sharp"


def diagnose(path: Path) -> Diagnosis:
    """Look at a picture's file; raise ValueError or OSError for what cannot be read."""
    return diagnose_luma(read_luma(path))


def diagnose_luma(luma: NDArray[np.uint8]) -> Diagnosis:
    """Look at a picture's luma, (H, W)."""
    windows = cut_windows(luma)
    with torch.inference_mode():
        said = load_classifier()(measure_features(windows))
    shares = dict(zip(KINDS, said.shares[0].tolist()))
    blurred = 1 - shares["sharp"]
    noise = measure_noise(luma)
    kind: Verdict = "sharp" if noise < NOISY else "noise"
    if blurred >= BLURRED:
        kind = "motion" if shares["motion"] > shares["defocus"] else "defocus"
    if min(luma.shape) < LEAST_SIDE or _measure_contrast(windows) < LEAST_CONTRAST:
        kind = "unclear"
    is_blurred = kind in ("motion", "defocus")
    return Diagnosis(
        kind,
        round(blurred, 3),
        round(float(said.lengths[0]), 1) if is_blurred else 0.0,
        round(float(said.directions[0]), 1) if kind == "motion" else 0.0,
        round(noise, 2),
        round(measure_sharpness(windows), 3),
    )


def _measure_contrast(windows: Tensor) -> float:
    """Return the standard deviation of the window that has most, in 8-bit levels."""
    return 255 * float(windows.flatten(1).std(1, correction=0).max())


def read_luma(path: Path) -> NDArray[np.uint8]:
    """Read a picture's first frame, upright, as luma (H, W), by the upper 8 of 16 bits."""
    photo = open_photo(path)
    if photo.format == "JPEG":  # its luma is stored apart: half the time
        with Image.open(path, formats=["JPEG", "MPO"]) as picture:
            picture.draft("L", picture.size)
            return np.asarray(ImageOps.exif_transpose(picture).convert("L"))
    frame = next(photo.frames())
    pixels = frame.pixels if frame.alpha is None else fill_hidden(frame.pixels, frame.alpha)
    return to_luma(pixels)


def to_luma(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Convert pixels, (H, W, 1 or 3), to luma, (H, W), by the upper 8 of 16 bits."""
    if pixels.dtype == np.uint16:
        pixels = np.right_shift(pixels, 8).astype(np.uint8)
    if pixels.shape[2] == 1:
        return np.ascontiguousarray(pixels[..., 0]).astype(np.uint8)
    # Pillow's conversion is in integers, and five times as fast as a product of matrices.
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L"))
