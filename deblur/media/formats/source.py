"""A picture's file, opened anew for each use, with what there is to say about it."""

import ctypes
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import RLock
from typing import BinaryIO

from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError, _imaging

LONGEST_TEXT, TEXTS = 1 << 26, 1 << 28
"""Characters of a PNG's text, and of all its texts; Pillow takes 1 million, and 64."""
READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF")
"""Pillow's formats that are photographs; others it reads run programs (EPS) or are no pictures."""
LOCK = RLock()


class Source:
    """A file by its path, or a stream, which is read at once."""

    def __init__(self, source: Path | BinaryIO) -> None:
        self.path = source if isinstance(source, Path) else None
        self.notes: list[str] = []
        if isinstance(source, Path):
            self.name = str(source)
        else:
            self.name = str(getattr(source, "name", "the stream"))
            self._content = source.read()

    def open(self) -> BinaryIO:
        """Open the file at its start."""
        return open(self.path, "rb") if self.path else BytesIO(self._content)

    def note(self, text: str) -> None:
        """Note once what was changed, lost or odd."""
        if text not in self.notes:
            self.notes.append(text)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what a library raises into a ValueError with the file's name, its warnings to notes.

        What the system says (permissions, a broken disk) stays an OSError.
        """
        try:
            with _quiet(self.note):
                yield
        except OSError as error:
            if error.errno is None:
                raise self._unreadable(error) from error
            raise OSError(error.errno, error.strerror, error.filename or self.name) from error
        except Exception as error:  # libraries raise anything for a broken file
            raise self._unreadable(error) from error

    def picture(self, stream: BinaryIO) -> ImageFile.ImageFile:
        """Open the picture in the file's stream with Pillow; to be called where `reading`."""
        return Image.open(stream, formats=READABLE)

    def check_size(self, size: tuple[int, int], limit: int) -> None:
        """Raise ValueError for more pixels than a limit."""
        width, height = size
        if not 0 < width * height <= limit:
            raise ValueError(f"{width}x{height} pixels, expected at most {limit / 1e6:g} million")

    @contextmanager
    def writing(self, format: str) -> Iterator[None]:
        """Turn what a library raises of pixels it can't write into a ValueError."""
        try:
            yield
        except Exception as error:
            raise ValueError(
                f"{self.name}: can't be written as {format} ({_reason(error)})"
            ) from error

    def _unreadable(self, error: Exception) -> ValueError:
        return ValueError(f"{self.name}: not a readable picture ({_reason(error)})")


def _reason(error: Exception) -> str:
    """Say in a line what went wrong."""
    if isinstance(error, UnidentifiedImageError):
        return "found no picture in it of a kind that is known"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    reason = " ".join(str(error).split())
    meant = isinstance(error, (OSError, SyntaxError, ValueError, RuntimeError))
    if reason and meant and not isinstance(error, UnicodeError):
        return reason
    # What a library did not think of.
    return f"it is broken or of an odd kind, {type(error).__name__}: {reason}".removesuffix(": ")


@contextmanager
def long_texts() -> Iterator[None]:
    """Let Pillow open PNG files with long texts, such as those that tell how they were made.

    These are settings of the whole process: they are put back, and one thread at a time has them.
    """
    with LOCK:
        before = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
        PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = LONGEST_TEXT, TEXTS
        try:
            yield
        finally:
            PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = before


@contextmanager
def _quiet(note: Callable[[str], None]) -> Iterator[None]:
    """Let Pillow open pictures of any size, and print nothing; note what it warns of.

    These are settings of the whole process: they are put back, and one thread at a time has them.
    """
    silent = logging.NullHandler()  # without one, Python prints what is logged
    with LOCK, long_texts(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logging.getLogger("PIL").addHandler(silent)
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        handler = _handle_libtiff_errors(None)
        try:
            yield
        finally:
            _handle_libtiff_errors(handler)
            Image.MAX_IMAGE_PIXELS = limit
            logging.getLogger("PIL").removeHandler(silent)
            for warning in caught:
                note(" ".join(str(warning.message).split()))


def _handle_libtiff_errors(handler: int | None) -> int | None:
    """Give libtiff another handler of errors, and return the one before; its own prints them."""
    try:
        choose = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (AttributeError, OSError):  # another build of Pillow
        return None
    choose.argtypes, choose.restype = [ctypes.c_void_p], ctypes.c_void_p
    before: int | None = choose(handler)
    return before
