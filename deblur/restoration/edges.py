"""How steep a picture's edges are, by direction.

The largest differences between pixels that lie `lag` apart grow with the lag until it is as long
as the edge is wide. In a sharp photo a pixel or two is enough, however few of its edges are in
focus; under motion blur edges across its direction are as wide as it is long. Spectra cannot tell
that, since they do not say where things are.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WINDOWS = 8
DIRECTIONS = 12
"""The number of directions over half a turn, counter-clockwise from the horizontal."""
LAGS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
"""The distances, in pixels, of those compared; rounded to whole ones along each axis."""
WIDE = slice(8, 10)
"""The long lags, with whose differences those of all are compared."""
QUANTILES = np.array([0.9, 0.98, 0.998])
"""The quantiles of the differences; high ones, since edges are few."""
LEVELS = 4 * 255 + 1


def measure_edges(windows: list[NDArray[np.uint8]]) -> Tensor:
    """Measure differences by direction and lag, of luma (H, W).

    Returns logarithms to base 2, (N, DIRECTIONS, LAGS, QUANTILES).
    """
    found = np.zeros((len(windows), DIRECTIONS, len(LAGS), len(QUANTILES)), np.float32)
    for number, window in enumerate(windows):
        wide = window.astype(np.int16)
        # The sum of four neighbours has half of the noise, and is hardly less steep.
        sums = wide[:-1, :-1] + wide[1:, :-1] + wide[:-1, 1:] + wide[1:, 1:]
        for direction in range(DIRECTIONS):
            angle = np.pi * direction / DIRECTIONS
            for place, lag in enumerate(LAGS):
                across, down = round(lag * np.cos(angle)), round(-lag * np.sin(angle))
                differences = _subtract(sums, int(across), int(down))
                if differences.size:
                    counts = np.bincount(differences, minlength=LEVELS).cumsum()
                    places = np.searchsorted(counts, QUANTILES * counts[-1])
                    found[number, direction, place] = places
    return torch.from_numpy(np.log2(found + 1))


def summarize_edges(edges: Tensor) -> Tensor:
    """Summarize what `measure_edges` returns over a picture's windows: (9, DIRECTIONS, LAGS).

    The greatest and the mean over windows of the steepness relative to long lags, and the greatest
    differences.
    """
    relative = edges - edges[:, :, WIDE].mean((1, 2), keepdim=True)
    parts = [relative.amax(0), relative.mean(0), edges.amax(0) / 3]
    return torch.cat(parts, -1).permute(2, 0, 1)


def _subtract(sums: NDArray[np.int16], across: int, down: int) -> NDArray[np.int16]:
    """Return how much every other pixel differs from one further to the right and below.

    across, down: how far that is, in pixels; negative for the left and above.
    """
    height, width = sums.shape
    rows, columns = max(0, height - abs(down)), max(0, width - abs(across))
    top, left = max(0, down), max(0, across)
    above, before = max(0, -down), max(0, -across)
    shifted = sums[top : top + rows : 2, left : left + columns : 2]
    other = sums[above : above + rows : 2, before : before + columns : 2]
    differences: NDArray[np.int16] = np.abs(shifted - other).ravel()
    return differences
