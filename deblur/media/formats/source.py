"""A picture's file, opened anew for each use, and the notes on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile, UnidentifiedImageError

from deblur.media.pillow_settings import noting

READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF")
"""Pillow's formats of photographs; its other formats run programs (EPS) or are not pictures."""


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
        """Convert a library's exceptions to a ValueError with the file's name.

        Errors of the system (permissions, a broken disk) stay an OSError.
        """
        try:
            with noting(self.note):
                yield
        except OSError as error:
            if error.errno is None:
                raise self._unreadable(error) from error
            raise OSError(error.errno, error.strerror, error.filename or self.name) from error
        except Exception as error:  # libraries raise anything for a broken file
            raise self._unreadable(error) from error

    def picture(self, stream: BinaryIO) -> ImageFile.ImageFile:
        """Open the picture in the file's stream with Pillow; call it within `reading`."""
        return Image.open(stream, formats=READABLE)

    def check_size(self, size: tuple[int, int], limit: int) -> None:
        """Raise ValueError for more pixels than a limit."""
        width, height = size
        if not 0 < width * height <= limit:
            raise ValueError(f"{width}x{height} pixels, expected at most {limit / 1e6:g} million")

    @contextmanager
    def writing(self, format: str) -> Iterator[None]:
        """Convert a library's exceptions, for pixels it cannot write, to a ValueError."""
        try:
            yield
        except Exception as error:
            raise ValueError(
                f"{self.name}: can't be written as {format} ({_reason(error)})"
            ) from error

    def _unreadable(self, error: Exception) -> ValueError:
        return ValueError(f"{self.name}: not a readable picture ({_reason(error)})")


def _reason(error: Exception) -> str:
    """Return the reason in a line."""
    if isinstance(error, UnidentifiedImageError):
        return "found no picture in it of a kind that is known"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    reason = " ".join(str(error).split())
    meant = isinstance(error, (OSError, SyntaxError, ValueError, RuntimeError))
    if reason and meant and not isinstance(error, UnicodeError):
        return reason
    # An exception that the library did not intend.
    return f"it is broken or of an odd kind, {type(error).__name__}: {reason}".removesuffix(": ")
