"""Which arrays and tensors a Restorer accepts."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BRIGHTEST = 8.0
"""The largest accepted float: highlights may exceed 1, values up to 255 are a mistake."""


def check_array(array: NDArray[Any]) -> None:
    """Raise ValueError unless an array is a picture, (H, W, 1 to 4), in a range that is known."""
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4:
        raise ValueError(f"an array must be (H, W) or (H, W, 1 to 4), got {array.shape}")
    if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        raise ValueError(f"an array must be uint8, uint16 or float, got {array.dtype}")
    if array.dtype.kind == "f" and array.size and array.max() > BRIGHTEST:
        raise ValueError(f"an array of floats must lie in [0, 1], got up to {array.max():g}")


def check_tensor(image: Tensor) -> None:
    """Raise ValueError unless a tensor is a picture, (1 or 3, H, W), in a range that is known."""
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ValueError(f"a tensor must be (1 or 3, H, W), got {tuple(image.shape)}")
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise ValueError(f"a tensor must be uint8 or float, got {image.dtype}")


def check_strength(strength: float) -> None:
    """Raise ValueError unless a strength is a share."""
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must lie in 0 to 1, got {strength}")
