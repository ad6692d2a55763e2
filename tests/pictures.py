"""Pictures by formula, the same everywhere."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur.pair import encode


def pixels(height: int, width: int, shift: float = 0.0, soft: float = 1.0) -> NDArray[np.uint8]:
    """Draw waves, (H, W, 3); shifted and softer ones look as if blurred."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [
        np.sin(columns / 3.1 + shift) * soft + np.cos(rows / 5.3),
        np.sin((rows + columns) / 7.7 + shift),
        np.cos(rows * columns / 400.0 + shift) * soft,
    ]
    return np.clip(np.round(127.5 + 60 * np.stack(waves, -1)), 0, 255).astype(np.uint8)


def image(*size: int, shift: float = 0.0, soft: float = 1.0) -> Tensor:
    """Draw waves as an image (1, 3, H, W) in [-1, 1]."""
    height, width = size
    return encode(torch.from_numpy(pixels(height, width, shift, soft)).permute(2, 0, 1)[None])
