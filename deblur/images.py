"""Picture files, as arrays of 8-bit RGB pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]
"""(H, W, 3), RGB."""

ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}


def list_pictures(folder: Path) -> list[Path]:
    """List a folder's picture files by name; other files and hidden ones are left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in ENDINGS and not path.name.startswith(".")
    )


def read(path: Path) -> Pixels:
    """Read a picture upright (EXIF orientation applied); raise ValueError if it can't be read."""
    with _opened(path) as picture:
        return np.array(ImageOps.exif_transpose(picture).convert("RGB"))


def read_size(path: Path) -> tuple[int, int]:
    """Read a picture's width and height from its head; raise ValueError if it has none."""
    with _opened(path) as picture:
        return picture.size


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as picture:
            yield picture
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable picture ({error})") from error
