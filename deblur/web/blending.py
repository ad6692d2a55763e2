"""A photo and its restoration, blended: by a strength, and where a mask says so."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS = 256
"""The number of rows processed at a time."""
MASK = 1024
"""The longest side of a mask, in pixels; it is feathered, and enlarged for the photo."""
MASK_BYTES = 2 << 20
"""The largest mask file, in bytes: twice what MASK x MASK grey pixels take uncompressed."""


def blend(
    before: NDArray[Any],
    after: NDArray[Any],
    strength: float,
    mask: NDArray[np.uint8] | None = None,
) -> NDArray[Any]:
    """Blend two pictures (H, W, C) of whole numbers as the page shows it.

    strength: the share of the change, 0 to 1. mask: (H, W), 255 where the change is made, 0 where
    none is. Returns a picture of the same type.
    """
    blended = np.empty_like(before)
    for top in range(0, len(before), ROWS):
        rows = slice(top, top + ROWS)
        share: Any = np.float32(strength)
        if mask is not None:
            share = share * mask[rows, :, None].astype(np.float32) / 255
        start = before[rows].astype(np.float32)
        blended[rows] = np.rint(start + (after[rows] - start) * share).astype(before.dtype)
    return blended


def load_mask(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Load a mask, enlarged to a photo's width and height."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize(size, Image.Resampling.BILINEAR))


def check_mask(content: bytes) -> None:
    """Raise ValueError where a file is no mask: a PNG of at most MASK x MASK pixels."""
    if len(content) > MASK_BYTES:
        raise ValueError(f"the mask is too large; at most {MASK_BYTES >> 20} MB are taken")
    try:
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            if max(image.size) > MASK:
                raise ValueError(f"a mask of {image.size}, expected at most {MASK} x {MASK}")
            image.load()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("a mask must be a PNG") from error
