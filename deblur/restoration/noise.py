"""How noisy a picture is.

The median of the finest diagonal differences estimates noise's standard deviation (Donoho and
Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 1994); detail adds to it, so
that it is taken where there is the least.
"""

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""The side, in pixels, of the blocks in which noise is estimated."""
QUIET = 0.2
"""The quantile of the blocks' estimates that is taken: detail adds to higher ones."""
CLIPPED = 5
"""The distance to black or white, in 8-bit levels, up to which a block's noise may be clipped."""
MOST = 1 << 20
"""The number of pixels, about, of which a larger picture is judged, in rows spread over it."""


def measure_noise(luma: NDArray[np.uint8]) -> float:
    """Return the standard deviation of a picture's noise, in 8-bit levels.

    luma: (H, W).
    """
    height, width = (side // BLOCK * BLOCK for side in luma.shape)
    if not height or not width:
        return 0.0
    rows = luma[:height, :width].reshape(-1, BLOCK, width)
    step = max(1, round(height * width / MOST))
    bands = rows[::step].astype(np.float32).reshape(-1, BLOCK, width // BLOCK, BLOCK)
    blocks = bands.transpose(0, 2, 1, 3).reshape(-1, BLOCK, BLOCK)
    means = blocks.mean((1, 2))
    whole = blocks[(means > CLIPPED) & (means < 255 - CLIPPED)]
    if not len(whole):
        return 0.0
    even, odd = whole[:, ::2], whole[:, 1::2]
    diagonal = (even[..., ::2] - even[..., 1::2] - odd[..., ::2] + odd[..., 1::2]) / 2
    deviations = np.median(np.abs(diagonal), axis=(1, 2)) / 0.6745
    return float(np.quantile(deviations, QUIET))
