"""Opens a photo's file, and writes changed pixels into a file of the same kind, losing nothing.

Pixels keep their depth, their kind (grey stays grey) and their alpha; the file keeps its format,
its quality and its metadata: EXIF, XMP, colour profile, density, comments. What cannot be kept is
noted. A format's reader and writer are in `deblur.media.formats`.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from deblur.atomic import held_back, replacing
from deblur.media.formats import avif, heif, jpeg, plain, png, raw, tiff
from deblur.media.formats.frame import Frame, check, fit
from deblur.media.formats.original import Original
from deblur.media.formats.reader import PillowReader
from deblur.media.formats.source import Source
from deblur.media.picture_kinds import LARGEST_PHOTO, format_of

__all__ = ["Frame", "Photo", "format_of", "open_photo"]

Writer = Callable[[BinaryIO, Iterable[Frame], Original, int | None], None]


class Format(NamedTuple):
    """What a format can hold, and the function that writes it."""

    write: Writer
    alpha: bool = True
    deep: bool = False
    """Whether it has 16 bits."""
    many: bool = False
    """Whether it has several frames or pages."""
    holds: frozenset[str] = frozenset()
    """The kinds of metadata that it holds, see `Metadata.list_lost`."""


USUAL = frozenset({"EXIF", "XMP", "ICC profile"})
PRINTED = USUAL | {"density", "comment"}
FORMATS = {
    "JPEG": Format(jpeg.write, alpha=False, holds=PRINTED),
    "PNG": Format(png.write, deep=True, many=True, holds=PRINTED | {"CICP"}),
    "WEBP": Format(plain.write_webp, many=True, holds=USUAL),
    "TIFF": Format(tiff.write, deep=True, many=True, holds=USUAL | {"density"}),
    "HEIF": Format(heif.write, deep=True, holds=USUAL | {"CICP"}),
    "AVIF": Format(avif.write, many=True, holds=USUAL | {"CICP"}),
    "GIF": Format(plain.write_gif, many=True, holds=frozenset({"comment"})),
    "BMP": Format(plain.write_bmp, alpha=False, holds=frozenset({"density"})),
    "PPM": Format(plain.write_ppm, alpha=False, deep=True),
}


def open_photo(source: Path | BinaryIO, *, limit: int = LARGEST_PHOTO) -> "Photo":
    """Open a picture's file, or a stream, and read its metadata; pixels are read later.

    limit: the most pixels, by the file's header. Raises ValueError ("PATH: reason") for a file that
    is not a picture, FileNotFoundError and PermissionError.
    """
    file = Source(source)
    with file.open() as stream:
        head = stream.read(64)
    if not head:
        raise ValueError(f"{file.name}: not a readable picture (it is empty)")
    if raw.is_raw(head, file.path):
        raise ValueError(f"{file.name}: not a readable picture ({raw.REASON})")
    reader = heif.HeifReader if heif.is_heif(head) else PillowReader
    return Photo(reader(file, limit))


class Photo:
    """A picture's file, of which nothing stays open between calls."""

    def __init__(self, original: Original) -> None:
        self._original = original
        self.path = original.source.path
        """The file's path; None for a stream."""
        self.name = original.source.name
        self.format = original.format
        """A key of FORMATS."""
        self.size = original.size
        """Width and height of the first frame, upright."""
        self.count = original.count
        """The number of frames or pages."""
        self.pixels = original.pixels
        """The number of pixels of all frames, by the file's headers."""
        self.notes = original.source.notes
        """What was converted, rounded or left out; filled as frames are read and written."""

    def frames(self) -> Iterator[Frame]:
        """Decode the frames or pages, one at a time, upright.

        Raises ValueError ("PATH: reason") for a truncated or broken file.
        """
        return self._original.frames()

    def write(
        self,
        target: Path | BinaryIO,
        frames: Iterable[Frame],
        *,
        format: str | None = None,
        quality: int | None = None,
    ) -> None:
        """Write frames instead of this photo's, with all of its metadata.

        Frames are taken one at a time. Until everything is written the target stays as it was.

        Args:
            target: A path, or an open file.
            frames: As many as this photo has.
            format: A key of FORMATS, or an ending; None for the target's ending if it differs from
                this file's, else for this photo's format.
            quality: 1 to 100, for lossy formats; None for this file's, or 90 if that is not known
                (and lossless if this file is and the format can be).

        Raises:
            ValueError: The format is unknown or cannot hold the frames, their number is wrong, or
                the quality is out of its range.
            OSError: The target cannot be written; the error has its name.
        """
        name = self._choose_format(target, format)
        if quality is not None and not 1 <= quality <= 100:
            raise ValueError(f"quality {quality}, expected 1 to 100")
        self._note_lost(name)
        with replacing(target) if isinstance(target, Path) else held_back(target) as file:
            FORMATS[name].write(file, self._fitted(frames, name), self._original, quality)

    def _note_lost(self, name: str) -> None:
        """Note which of the file's metadata a format cannot hold."""
        lost = self._original.metadata.list_lost(FORMATS[name].holds)
        if name != self.format:
            lost += self._original.metadata.own
        if lost:
            self._original.source.note(f"left out what {name} cannot hold: {', '.join(lost)}")

    def _choose_format(self, target: Path | BinaryIO, told: str | None) -> str:
        """Return the format to write."""
        if told is not None:
            named = told.upper() if told.upper() in FORMATS else format_of(Path(f"a.{told}"))
            if not named:
                raise ValueError(f"format {told!r}, expected one of {', '.join(FORMATS)}")
            return named
        ending = target.suffix.lower() if isinstance(target, Path) else ""
        if self.path and ending == self.path.suffix.lower().rstrip("~"):  # of a kept copy
            return self.format
        return (format_of(target) if isinstance(target, Path) else None) or self.format

    def _fitted(self, frames: Iterable[Frame], name: str) -> Iterator[Frame]:
        """Yield as many frames as the format can hold, converted to what it can hold."""
        format, note, number = FORMATS[name], self._original.source.note, 0
        if self.count > 1 and not format.many:
            note(f"of {self.count} frames the first was written: {name} has no more")
        expected = self.count if format.many else 1
        for number, frame in enumerate(islice(frames, expected), 1):
            yield fit(check(frame), name, note, alpha=format.alpha, deep=format.deep)
        if number < expected:
            raise ValueError(f"{number} frames, expected {expected} as {self.name} has")
