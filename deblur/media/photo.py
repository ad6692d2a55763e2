"""A photograph as it is in its file: restoring it loses nothing.

Pixels keep their depth, their kind (grey stays grey) and their alpha; the file keeps its format,
its quality and what it says beside the pixels: EXIF, XMP, colour profile, density, comments. What
can't be kept is noted.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
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
    """What a format can hold, and how it is written."""

    write: Writer
    alpha: bool = True
    deep: bool = False
    """16 bits."""
    many: bool = False
    """Frames or pages."""
    holds: frozenset[str] = frozenset()
    """Of what a file says beside its pixels, see `Metadata.list_lost`."""


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
    """Open a picture file, or a stream, and read what it says; pixels are read later.

    limit: of pixels, by the file's head. Raises ValueError ("PATH: reason") for what is no picture,
    FileNotFoundError and PermissionError.
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
    """A picture file that was opened; nothing stays open between its methods."""

    def __init__(self, original: Original) -> None:
        self._original = original
        self.path = original.source.path
        """None of a stream."""
        self.name = original.source.name
        self.format = original.format
        """A key of FORMATS."""
        self.size = original.size
        """Width and height of the first frame, upright."""
        self.count = original.count
        """How many frames or pages."""
        self.notes = original.source.notes
        """What was converted, rounded or left out; filled as frames are read and written."""

    def __enter__(self) -> "Photo":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing: all files are closed."""

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
        """Write frames in the place of this photo's, with all else that its file says.

        format: a key of FORMATS, or an ending; None is that of the target's ending where it differs
        from this file's, else this photo's. quality: 1 to 100, for lossy formats; None is as this
        file's, or 90 where that is not known (and lossless where this file is and the format can).
        Frames are taken one at a time. Until all is written the target stays as it was. Raises
        ValueError for what the format can't hold at all, and OSError with the target's name.
        """
        name = self._choose(target, format)
        if quality is not None and not 1 <= quality <= 100:
            raise ValueError(f"quality {quality}, expected 1 to 100")
        self._note_lost(name)
        with replacing(target) if isinstance(target, Path) else held_back(target) as file:
            FORMATS[name].write(file, self._fitted(frames, name), self._original, quality)

    def _note_lost(self, name: str) -> None:
        """Note what of the file's metadata a format cannot hold."""
        lost = self._original.metadata.list_lost(FORMATS[name].holds)
        if name != self.format:
            lost += self._original.metadata.own
        if lost:
            self._original.source.note(f"left out what {name} cannot hold: {', '.join(lost)}")

    def _choose(self, target: Path | BinaryIO, told: str | None) -> str:
        """Choose the format to write."""
        if told is not None:
            named = told.upper() if told.upper() in FORMATS else format_of(Path(f"a.{told}"))
            if not named:
                raise ValueError(f"format {told!r}, expected one of {', '.join(FORMATS)}")
            return named
        ending = target.suffix.lower() if isinstance(target, Path) else ""
        if self.path and ending == self.path.suffix.lower():
            return self.format
        return (format_of(target) if isinstance(target, Path) else None) or self.format

    def _fitted(self, frames: Iterable[Frame], name: str) -> Iterator[Frame]:
        """Give as many frames as the format can hold, as it can hold them."""
        format, note, number = FORMATS[name], self._original.source.note, 0
        if self.count > 1 and not format.many:
            note(f"of {self.count} frames the first was written: {name} has no more")
        expected = self.count if format.many else 1
        for number, frame in enumerate(islice(frames, expected), 1):
            yield fit(check(frame), name, note, alpha=format.alpha, deep=format.deep)
        if number < expected:
            raise ValueError(f"{number} frames, expected {expected} as {self.name} has")
