"""Reads a picture's file by Pillow: the header at once, the frames when they are requested."""

import math
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from PIL import ImageFile, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from deblur.media.formats import avif, jpeg, plain, png, tiff
from deblur.media.formats.decoding import decode
from deblur.media.formats.frame import Frame
from deblur.media.formats.metadata import (
    EXIF_HEAD,
    ORIENTATION,
    SIDEWAYS,
    Metadata,
    orientation,
    upright_xmp,
)
from deblur.media.formats.original import UNSIGNED, Timing
from deblur.media.formats.source import Source

Opener = Callable[[], ImageFile.ImageFile]


class PillowReader:
    """A picture, an animation or the pages of a TIFF."""

    def __init__(self, source: Source, limit: int) -> None:
        self.source, self.limit = source, limit
        with source.open() as stream, source.reading():
            picture = self._open(stream)
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
            self.pixels = width * height * self.count
            if self.format == "TIFF":
                self.pixels = sum(tiff.list_sizes(stream))
            self.size = (height, width) if self._orientation > 4 else (width, height)
            for said in self._list_left_out(picture, stream):
                source.note(said)

    def frames(self) -> Iterator[Frame]:
        """Decode the frames, one at a time."""
        with self.source.open() as stream:
            with self.source.reading():
                picture = self.source.picture(stream)
            again = self._opener(picture, stream)
            for index in range(self.count - 1):
                yield self._decode(picture, again, index)
            last = [self._decode(picture, again, self.count - 1)]
        # The file is closed by now, so that it may be replaced.
        yield last.pop()

    def timing(self) -> Timing:
        """Return how the frames play, by reading them all."""
        durations = []
        with self.source.open() as stream, self.source.reading():
            picture = self.source.picture(stream)
            for index in range(self.count):
                picture.seek(index)
                picture.load()
                durations.append(float(picture.info.get("duration", 0)))
            background, loop = (picture.info.get(key) for key in ("background", "loop"))
            if self.format == "GIF" and loop:
                loop += 1  # GIF counts repetitions
            return Timing(
                durations,
                loop,
                background if isinstance(background, tuple) else (0, 0, 0, 0),
                bool(getattr(picture, "default_image", False)),
            )

    def _opener(self, picture: ImageFile.ImageFile, stream: BinaryIO) -> Opener:
        """Return a function that opens a picture anew, at the frame that it is at.

        Of several frames, two copies take turns: a new one would have to walk to each from the
        first.
        """
        copies: list[ImageFile.ImageFile] = []

        def again() -> ImageFile.ImageFile:
            copy = copies.pop(0) if len(copies) == 2 else self.source.picture(stream)
            copy.seek(picture.tell())
            if self.count > 1:
                copies.append(copy)
            return copy

        return again

    def _decode(self, picture: ImageFile.ImageFile, again: Opener, index: int) -> Frame:
        with self.source.reading():
            picture.seek(index)
            self.source.check_size(picture.size, self.limit)
            if self.format != "TIFF" and math.prod(picture.size) > math.prod(self.size):
                raise ValueError("one of its frames is larger than the first")
            return decode(picture, again, self._orientation, self.source.note)

    def _open(self, stream: BinaryIO) -> ImageFile.ImageFile:
        """Open the picture; raise ValueError with the reason for a TIFF that Pillow cannot read."""
        head = stream.read(4)
        if tiff.is_tiff(head):
            tiff.examine(stream, self.source.note)
        stream.seek(0)
        try:
            return self.source.picture(stream)
        except UnidentifiedImageError as error:
            if tiff.is_tiff(head):
                raise ValueError(tiff.describe(stream)) from error
            raise

    def _list_left_out(self, picture: ImageFile.ImageFile, stream: BinaryIO) -> Iterator[str]:
        """Yield notes on the parts of a file that are not read."""
        if isinstance(picture, JpegImageFile):
            yield from jpeg.list_left_out(stream)
            if jpeg.has_credentials(picture):
                yield UNSIGNED
        if picture.format == "MPO":
            yield jpeg.OTHERS
        if self.format == "PNG":
            yield from png.list_left_out(stream)
        if self.format == "AVIF":
            yield from avif.list_left_out(stream)
        yield from plain.list_left_out(stream, self.format)

    def _read_metadata(self, picture: ImageFile.ImageFile, stream: BinaryIO) -> Metadata:
        info = picture.info
        xmp, comment = info.get("xmp", b""), info.get("comment", b"")
        metadata = Metadata(
            info.get("exif", b"").removeprefix(EXIF_HEAD),
            xmp if isinstance(xmp, bytes) else str(xmp).encode(),
            info.get("icc_profile") or b"",
            _density(info.get("dpi")),
            comment if isinstance(comment, bytes) else str(comment).encode(),
        )
        if self.format == "PNG":
            told = png.read_metadata(stream)
            return metadata._replace(exif=told.exif, xmp=told.xmp, cicp=told.cicp, own=told.own)
        if self.format == "TIFF":
            return self._tiff_metadata(metadata, picture, stream)
        if isinstance(picture, JpegImageFile):
            return metadata._replace(own=tuple(dict.fromkeys(jpeg.list_own(picture))))
        return metadata._replace(cicp=avif.read_cicp(stream) if self.format == "AVIF" else None)

    def _tiff_metadata(
        self, metadata: Metadata, picture: ImageFile.ImageFile, stream: BinaryIO
    ) -> Metadata:
        """Return a TIFF's metadata, upright from the start, as Pillow turns its pixels itself."""
        turned = getattr(picture, "tag_v2", {}).get(ORIENTATION) in SIDEWAYS
        return metadata._replace(
            exif=tiff.exif_of(stream, turned),
            xmp=upright_xmp(metadata.xmp),
            dpi=metadata.dpi[::-1] if metadata.dpi and turned else metadata.dpi,
            own=tuple(tiff.list_own(stream)),
        )


def _density(dpi: Any) -> tuple[float, float] | None:
    """Return dots per inch if they are plausible."""
    try:
        across, down = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    plausible = all(math.isfinite(value) and 0 < value < 1e6 for value in (across, down))
    return (across, down) if plausible else None
