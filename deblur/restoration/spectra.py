"""The spectrum of a picture's most detailed parts, in polar coordinates.

Motion blur takes away high frequencies along its direction and defocus takes them away in all;
what is left of a sharp photo falls off evenly (Field, "Relations between the statistics of natural
images and the response properties of cortical cells", 1987).
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SIDE = 256
"""The side of a window, in pixels; a smaller picture's is shorter, its spectrum interpolated."""
WINDOWS = 12
ANGLES, RADII = 24, 32
"""The number of angles over half a turn, and of frequencies, evenly spaced in octaves."""
LOWEST, HIGHEST = 3 / SIDE, 0.5
"""The lowest and the highest frequency, in cycles per pixel."""
BLOCK = 64
"""The side, in pixels, of the blocks in which detail is measured."""
LARGE = 6_000_000
"""The number of pixels from which only every other sample of detail is looked at."""
FLOOR = 1e-8
"""The least power, of white squared per pixel: a hundredth of what rounding to 8 bits adds."""


def choose_windows(luma: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the top left corners of the most detailed windows, most detail first.

    luma: (H, W). No two windows overlap by more than half a side. Windows are of `SIDE` or the
    picture's shorter side, if that is less.
    """
    height, width = luma.shape
    side = min(SIDE, height, width)
    detail = _measure_detail(luma)
    if side < BLOCK or 0 in detail.shape:
        return [(0, 0)]
    blocks = min(side // BLOCK, *detail.shape)
    left = np.lib.stride_tricks.sliding_window_view(detail, (blocks, blocks)).mean((2, 3))
    apart = max(1, blocks // 2)
    chosen: list[tuple[int, int]] = []
    while len(chosen) < WINDOWS and left.max() >= 0:
        row, column = (int(place) for place in np.unravel_index(left.argmax(), left.shape))
        chosen.append((min(row * BLOCK, height - side), min(column * BLOCK, width - side)))
        above, before = max(0, row - apart + 1), max(0, column - apart + 1)
        left[above : row + apart, before : column + apart] = -1
    return chosen


def _measure_detail(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Measure the mean gradient of a picture's blocks; of a large picture, by samples."""
    step = 2 if luma.size < LARGE else 4
    height, width = (length // step * step for length in luma.shape)
    corners = [luma[y:height:step, x:width:step].astype(np.int16) for y in (0, 1) for x in (0, 1)]
    small = sum(corners[1:], corners[0])
    steep = np.abs(np.diff(small, axis=0))[:, :-1] + np.abs(np.diff(small, axis=1))[:-1]
    side = BLOCK // step
    rows, columns = (length // side for length in steep.shape)
    whole = steep[: rows * side, : columns * side]
    detail: NDArray[np.float64] = whole.reshape(rows, side, columns, side).mean((1, 3))
    return detail


def cut_windows(luma: NDArray[np.uint8]) -> Tensor:
    """Cut out the windows that `choose_windows` chooses: (N, side, side), in [0, 1]."""
    side = min(SIDE, *luma.shape)
    cut = [luma[y : y + side, x : x + side] for y, x in choose_windows(luma)]
    return torch.from_numpy(np.stack(cut)).float() / 255


def measure_spectra(windows: Tensor) -> Tensor:
    """Measure power over direction and frequency.

    windows: (N, side, side), luma in [0, 1]. Returns the decimal logarithm of the mean power,
    (N, ANGLES, RADII); an angle is that of the waves, counter-clockwise from the horizontal.
    """
    side = windows.shape[-1]
    taper = torch.hann_window(side, periodic=side < 3)  # of two the other one has only zeros
    taper = taper[:, None] * taper
    weight = taper.sum()
    centred = windows - (windows * taper).sum((-2, -1), keepdim=True) / weight
    spectrum = torch.fft.rfft2(centred * taper, s=(SIDE, SIDE))
    power = torch.fft.fftshift(spectrum.abs().square(), dim=-2) / taper.square().sum()
    seen = F.grid_sample(
        power[:, None],
        _GRID.expand(len(windows), -1, -1, -1),
        padding_mode="border",
        align_corners=True,
    )
    cells = seen.view(-1, ANGLES, _FINE, RADII, _FINE).mean((2, 4))
    levels: Tensor = (cells + FLOOR).log10()
    return levels


_FINE = 3
"""The number of samples of a cell, in each direction."""


def _place_samples() -> Tensor:
    """Return where in half a spectrum each sample lies, for grid_sample; 0 is the middle row."""
    angles = (torch.arange(ANGLES * _FINE) - (_FINE - 1) / 2) * (torch.pi / ANGLES / _FINE)
    octaves = torch.linspace(0, 1, RADII * _FINE)
    radii = LOWEST * (HIGHEST / LOWEST) ** octaves
    across, up = angles.cos()[:, None] * radii, angles.sin()[:, None] * radii
    # Half of the spectrum of a real picture is the other half's mirror image.
    sign = torch.where(across < 0, -1.0, 1.0)
    x, y = across * sign * SIDE, -up * sign * SIDE
    return torch.stack([x / (SIDE / 2) * 2 - 1, (y + SIDE / 2) / (SIDE - 1) * 2 - 1], -1)[None]


_GRID = _place_samples()
