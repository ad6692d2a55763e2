"""A picture file as Pillow reads it: its head at once, its frames when they are asked for."""

import math
from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL import ImageFile

from deblur.formats import plain, png, tiff
from deblur.formats.decoding import decode
from deblur.formats.frame import Frame
from deblur.formats.metadata import EXIF_HEAD, Metadata, orientation
from deblur.formats.original import Timing
from deblur.formats.source import Source


class PillowReader:
    """A picture, an animation or the pages of a TIFF."""

    def __init__(self, source: Source, limit: int) -> None:
        self.source, self.limit = source, limit
        with source.open() as stream, source.reading():
            picture = source.picture(stream)
            source.check_size(picture.size, limit)
            # The other pictures of a phone's file are previews, depths or gain maps.
            self.format = "JPEG" if picture.format == "MPO" else str(picture.format)
            self.metadata = self._read_metadata(picture, stream)
            self.count = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
            self._orientation = 1
            # Pillow turns a TIFF upright itself.
            if self.format != "TIFF":
                self._orientation = orientation(self.metadata.exif, self.metadata.xmp)
            width, height = picture.size
            self.size = (height, width) if self._orientation > 4 else (width, height)
            if self.format == "AVIF" and plain.is_deep_avif(stream):
                source.note("10 or 12 bits were read as 8")
            if picture.format == "MPO":
                source.note("other pictures in the file (previews, depth, gain maps) were left out")

    def frames(self) -> Iterator[Frame]:
        """Decode the frames, one at a time."""
        with self.source.open() as stream:
            with self.source.reading():
                picture = self.source.picture(stream)
            for index in range(self.count - 1):
                yield self._decode(picture, stream, index)
            last = [self._decode(picture, stream, self.count - 1)]
        # The file is closed by now, so that it may be replaced.
        yield last.pop()

    def timing(self) -> Timing:
        """Find out how the frames play, by going through them."""
        durations = []
        with self.source.open() as stream, self.source.reading():
            picture = self.source.picture(stream)
            for index in range(self.count):
                picture.seek(index)
                picture.load()
                durations.append(float(picture.info.get("duration", 0)))
            background = picture.info.get("background")
            return Timing(
                durations,
                picture.info.get("loop"),
                background if isinstance(background, tuple) else (0, 0, 0, 0),
                bool(getattr(picture, "default_image", False)),
            )

    def _decode(self, picture: ImageFile.ImageFile, stream: BinaryIO, index: int) -> Frame:
        def again() -> ImageFile.ImageFile:
            other = self.source.picture(stream)
            other.seek(index)
            return other

        with self.source.reading():
            picture.seek(index)
            self.source.check_size(picture.size, self.limit)
            return decode(picture, again, self._orientation, self.source.note)

    def _read_metadata(self, picture: ImageFile.ImageFile, stream: BinaryIO) -> Metadata:
        info = picture.info
        exif, xmp = info.get("exif", b""), info.get("xmp", b"")
        if self.format == "PNG":
            exif, xmp = png.exif_and_xmp(stream)
        elif self.format == "TIFF":
            tiff.refuse_raw(stream)
            exif = tiff.exif_of(stream)
        comment = info.get("comment", b"")
        return Metadata(
            exif.removeprefix(EXIF_HEAD),
            xmp if isinstance(xmp, bytes) else str(xmp).encode(),
            info.get("icc_profile") or b"",
            _density(info.get("dpi")),
            comment if isinstance(comment, bytes) else str(comment).encode(),
        )


def _density(dpi: Any) -> tuple[float, float] | None:
    """Take dots per inch for true if they can be."""
    try:
        across, down = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    plausible = all(math.isfinite(value) and 0 < value < 1e6 for value in (across, down))
    return (across, down) if plausible else None
