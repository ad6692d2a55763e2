"""How far a picture lies from another that shows the same."""

import numpy as np
from numpy.typing import NDArray

from deblur.media.images import Pixels

CUTOFFS = (1 / 128, 1 / 32)
"""Frequencies, in cycles a pixel: the first finds shifts of up to 64 pixels, the last refines."""


def offset(blurred: Pixels, sharp: Pixels) -> tuple[float, float]:
    """Measure how far blurred lies below and right of sharp, (rows, columns), in pixels.

    Both: (H, W, 3). A blur's kernel turns the phases of low frequencies as a shift to its
    centroid would; returns the shift whose phases fit best (least squares, weighted by strength).
    """
    whole = np.zeros(2, int)
    rest = _offset(blurred, sharp)
    for _ in range(2):
        # What both show lies elsewhere under the fading borders: once more, without the shift.
        if not np.abs(rest).max() >= 0.5:
            break
        whole += np.round(rest).astype(int)
        if np.any(np.abs(whole) > np.array(sharp.shape[:2]) // 2):
            break
        rest = _offset(_slide(blurred, whole), _slide(sharp, -whole))
    return float(whole[0] + rest[0]), float(whole[1] + rest[1])


def _slide(picture: Pixels, shift: NDArray[np.int64]) -> Pixels:
    """Cut off what a picture shows only before it is moved back by a shift."""
    rows, columns = (slice(max(s, 0), n + min(s, 0)) for s, n in zip(shift, picture.shape))
    return picture[rows, columns]


def _offset(blurred: Pixels, sharp: Pixels) -> NDArray[np.float64]:
    rows, columns = np.fft.fftfreq(sharp.shape[0])[:, None], np.fft.rfftfreq(sharp.shape[1])
    frequencies = np.hypot(rows, columns)
    cross = _spectrum(blurred) * _spectrum(sharp).conj()
    found = np.zeros(2)
    for cutoff in CUTOFFS:
        down, right = np.nonzero((frequencies < cutoff) & (frequencies > 0))
        waves = -2 * np.pi * np.stack([rows[down, 0], columns[right]], -1)
        low = cross[down, right]
        left = np.angle(low * np.exp(-1j * waves @ found))
        weights = np.sqrt(np.abs(low))
        found += np.linalg.lstsq(waves * weights[:, None], left * weights, rcond=None)[0]
    return found


def _spectrum(picture: Pixels) -> NDArray[np.complex128]:
    """Transform the luma, faded out towards the borders, where the two do not show the same."""
    luma = picture @ np.array([0.299, 0.587, 0.114])
    fade = [np.hanning(length + 2)[1:-1] for length in luma.shape]
    luma = (luma - luma.mean()) * fade[0][:, None] * fade[1]
    spectrum: NDArray[np.complex128] = np.fft.rfft2(luma)
    return spectrum
