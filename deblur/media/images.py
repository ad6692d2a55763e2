"""Picture files, as arrays of 8-bit RGB pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kornia_rs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from deblur.media.formats.decoding import is_deep
from deblur.media.formats.frame import to_8_bits
from deblur.media.formats.png_chunks import find_plain_depth
from deblur.media.photo import open_photo
from deblur.media.picture_kinds import DATA, LARGEST_DATA, format_of

Pixels = NDArray[np.uint8]
"""(H, W, 3), RGB."""

SAMPLE_FORMAT, SIGNED = 339, 2
"""TIFF's tag, and its value for signed samples: Pillow takes those of 8 bits for unsigned."""
TURNED = {5, 6, 7, 8}
"""EXIF orientations that swap width and height."""


def is_picture(path: Path) -> bool:
    """Return whether a file is a readable picture, by its name; hidden files are not."""
    return format_of(path) in DATA and not path.name.startswith(".")


def list_pictures(folder: Path) -> list[Path]:
    """List a folder's picture files by name; other files and hidden ones are left out."""
    return sorted(filter(is_picture, folder.iterdir()))


def read(path: Path) -> Pixels:
    """Read a picture upright (EXIF orientation applied) as 8-bit RGB.

    Grey and palette become RGB, 16 bits are rounded to 8, alpha is dropped, and CMYK converted.
    Raises ValueError for what can't be read, for more pixels than LARGEST_DATA, for animations and
    for floating-point pixels.
    """
    if (bits := _plain_depth(path)) and _is_utf8(path):
        try:
            if bits == 8:
                pixels: Pixels = kornia_rs.io.read_image_png_u8(str(path), "rgb")
                return pixels
            return to_8_bits(kornia_rs.io.read_image_png_u16(str(path), "rgb"))
        except Exception as error:  # the library raises nothing more special
            raise ValueError(f"{path}: not a readable picture ({error})") from error
    with _opened(path) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames > 1 and picture.format != "MPO":
            raise ValueError(f"{frames} frames, expected a single picture")
        if picture.mode in ("I", "F"):
            raise ValueError(f"pixels of mode {picture.mode}, expected 8 or 16 bits")
        if not is_deep(picture):
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    (frame,) = open_photo(path, limit=LARGEST_DATA).frames()
    return np.repeat(to_8_bits(frame.pixels), 3 // frame.pixels.shape[2], axis=-1)


def decode(path: Path) -> None:
    """Decode a picture and drop its pixels; raise ValueError where `read` would."""
    with _opened(path) as picture:
        if picture.format in ("JPEG", "MPO"):
            # An eighth of the size takes a quarter of the time, and reads the file to its end.
            picture.draft("RGB", (1, 1))
            picture.load()
            return
    read(path)


def read_size(path: Path) -> tuple[int, int]:
    """Read an upright picture's width and height from its head; raise ValueError if it has none."""
    with _opened(path) as picture:
        width, height = picture.size
        # Pillow gives a TIFF's size upright itself. Asking a PNG for its EXIF decodes all of it.
        if picture.format == "TIFF" or _plain_depth(path):
            return width, height
        turned = picture.getexif().get(0x0112) in TURNED
        return (height, width) if turned else (width, height)


def _plain_depth(path: Path) -> int:
    """Return 8 or 16 for a PNG of RGB with neither orientation nor frames, 0 for other files.

    Those are read in a third of the time by a library that knows nothing else (GoPro's are).
    """
    with open(path, "rb") as file:
        depth = find_plain_depth(file)
        file.seek(16)
        width, height = int.from_bytes(file.read(4)), int.from_bytes(file.read(4))
    return depth if width * height <= LARGEST_DATA else 0


def _is_utf8(path: Path) -> bool:
    """Return whether a path can be encoded as UTF-8; on Linux it may hold any bytes."""
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    try:
        with Image.open(path, formats=DATA) as picture:
            width, height = picture.size
            if width * height > LARGEST_DATA:
                raise ValueError(
                    f"{width}x{height} pixels, expected at most {LARGEST_DATA / 1e6:.0f} million"
                )
            if SIGNED in getattr(picture, "tag_v2", {}).get(SAMPLE_FORMAT, ()):
                raise ValueError("signed pixels, expected unsigned ones")
            yield picture
    except FileNotFoundError:
        raise
    except Exception as error:  # libraries raise anything for a broken file
        raise ValueError(f"{path}: not a readable picture ({error})") from error
