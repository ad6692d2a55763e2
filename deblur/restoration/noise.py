"""How noisy a picture is.

The median of the finest diagonal differences estimates noise's standard deviation (Donoho and
Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 1994); detail adds to it, so
that it is taken where there is the least.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 32
"""The side, in pixels, of the blocks in which noise is estimated."""
QUIET = 0.2
"""The quantile of the blocks' estimates that is taken: detail adds to higher ones."""
CLIPPED = 5
"""The distance to black or white, in 8-bit levels, up to which a block's noise may be clipped."""
MOST = 1 << 20
"""The number of pixels, about, of which a larger picture is judged, in rows spread over it."""
NOISY = 2.5
"""The noise, in 8-bit levels, beyond which another model restores a picture better than `maxim`."""
LUMA = (0.299, 0.587, 0.114)
"""The shares of red, green and blue in luma (ITU-R BT.601)."""


def measure_noise(luma: NDArray[np.uint8]) -> float:
    """Return the standard deviation of a picture's noise, in 8-bit levels.

    luma: (H, W).
    """
    height, width = (side // BLOCK * BLOCK for side in luma.shape)
    if not height or not width:
        return 0.0
    bands = np.stack([luma[rows, :width] for rows in choose_rows(*luma.shape)]).astype(np.float32)
    cells = bands.reshape(-1, BLOCK, width // BLOCK, BLOCK).transpose(0, 2, 1, 3)
    blocks = cells.reshape(-1, BLOCK, BLOCK)
    means = blocks.mean((1, 2))
    whole = blocks[(means > CLIPPED) & (means < 255 - CLIPPED)]
    if not len(whole):
        return 0.0
    even, odd = whole[:, ::2], whole[:, 1::2]
    diagonal = (even[..., ::2] - even[..., 1::2] - odd[..., ::2] + odd[..., 1::2]) / 2
    deviations = np.median(np.abs(diagonal), axis=(1, 2)) / 0.6745
    return float(np.quantile(deviations, QUIET))


def is_noisy(image: Tensor, low: float, high: float) -> bool:
    """Return whether an image (C, H, W), whose black is low and white high, has much noise."""
    return measure_noise(sample_luma(image, low, high)) > NOISY


def sample_luma(image: Tensor, low: float, high: float) -> NDArray[np.uint8]:
    """Return the 8-bit luma of the rows of an image by which its noise is measured.

    image: (1 or 3, H, W), of any dtype, low for black and high for white. Returns (h, W).
    """
    weights = torch.tensor(LUMA if len(image) == 3 else (1.0,))[:, None, None]
    bands = []
    for rows in choose_rows(*image.shape[1:]):
        band = (image[:, rows].float().cpu() * weights).sum(0)
        levels = (band - low) * (255 / (high - low))
        bands.append(levels.nan_to_num(0.0).round_().clamp_(0, 255).byte().numpy())
    return np.concatenate(bands) if bands else np.empty((0, image.shape[2]), np.uint8)


def choose_rows(height: int, width: int) -> list[slice]:
    """Return the bands of BLOCK rows by which a picture is judged, spread over it."""
    step = max(1, round(height * width / MOST))
    return [slice(top, top + BLOCK) for top in range(0, height - BLOCK + 1, step * BLOCK)]
