"""JPEG: the same tables, subsampling and segments as the file that the picture came from."""

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any, BinaryIO

from PIL import JpegImagePlugin

from deblur.media.formats.frame import Frame, as_image
from deblur.media.formats.metadata import (
    EXIF_HEAD,
    Metadata,
    fitting_profile,
    upright_exif,
    upright_xmp,
    without_preview,
)
from deblur.media.formats.original import QUALITY, Original

XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_HEAD = b"http://ns.adobe.com/xmp/extension/\0"
PHOTOSHOP_HEAD = b"Photoshop 3.0\0"
ICC_HEAD = b"ICC_PROFILE\0"
JFIF, APP1, APP2, APP13, COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xFE
CREDENTIALS, ADOBE = 0xEB, 0xEE
GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"
LONGEST = 65533
"""The most bytes that a segment holds."""
MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
"""A marker; in compressed pixels 255 is followed by 0 or a restart marker."""
OTHERS = "other pictures in the file (previews, depth, gain maps) were left out"

Segment = tuple[int, bytes]
"""A marker's second byte, and the content that follows its length."""


def write(
    file: BinaryIO, frames: Iterable[Frame], original: Original, quality: int | None = None
) -> None:
    """Write the first frame, of 8 bits and without alpha.

    quality: 1 to 100; None keeps the tables of the original, so what is lost is lost already.
    """
    frame = next(iter(frames))
    settings: dict[str, Any] = {"quality": quality or QUALITY, "subsampling": 0}
    if original.format == "JPEG":
        with original.source.open() as stream, original.source.reading():
            picture = original.source.picture(stream)
            assert isinstance(picture, JpegImagePlugin.JpegImageFile)
            settings = _settings(picture, quality)
            segments = _kept(picture, original)
    else:
        segments = _made(original.metadata.upright(), frame.pixels.shape[2], original)
    coded = BytesIO()
    with original.source.writing("JPEG"):
        as_image(frame).save(coded, "JPEG", **settings)
    data = coded.getbuffer()
    start = 2
    while data[start + 1] == JFIF:
        start += 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    file.write(data[:2])
    for marker, content in segments:
        file.write(bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content)
    file.write(data[start:])


def list_left_out(file: BinaryIO) -> Iterator[str]:
    """Yield notes on what follows a file's first picture, the only one that is read."""
    file.seek(0)
    content = file.read()
    rest = content[_end(content) :]
    if not rest.strip(b"\0\n\r \xff\xd9"):
        return
    pictures, video = b"\xff\xd8\xff" in rest, re.search(rb"\0\0\0.ftyp", rest, re.DOTALL)
    if pictures:
        yield OTHERS
    if video:
        yield "the video of a motion photo was left out"
    if not pictures and not video:
        yield f"{len(rest)} bytes behind the picture were left out"


def _end(content: bytes) -> int:
    """Return where a JPEG's first picture ends."""
    place = 2
    while found := MARKER.search(content, place):
        place = found.end()
        if found[1] == b"\xd9":
            return place
        place += max(2, int.from_bytes(content[place : place + 2], "big"))
    return len(content)


def _settings(picture: JpegImagePlugin.JpegImageFile, quality: int | None) -> dict[str, Any]:
    """Return how a picture was coded, as arguments of Pillow's `save`."""
    settings: dict[str, Any] = {
        # An unusual subsampling becomes none at all, which loses nothing.
        "subsampling": max(0, JpegImagePlugin.get_sampling(picture)),
        "progressive": bool(picture.info.get("progressive")),
    }
    if quality:
        return settings | {"quality": quality}
    tables = picture.quantization
    return settings | {"qtables": [tables[number] for number in sorted(tables)]}


def _kept(picture: JpegImagePlugin.JpegImageFile, original: Original) -> list[Segment]:
    """Choose the segments that go into the new file."""
    kept = []
    for name, content in picture.applist:
        marker = COMMENT if name == "COM" else 0xE0 + int(name[3:])
        content = _upright(marker, content, original.metadata.is_turned)
        used = picture.mode == "CMYK" and content.startswith(ICC_HEAD)
        if content and marker != CREDENTIALS and not used:
            kept.append((marker, content))
    return kept


def list_own(picture: JpegImagePlugin.JpegImageFile) -> Iterator[str]:
    """Name the segments that only a JPEG can hold."""
    told = (EXIF_HEAD, XMP_HEAD, ICC_HEAD, b"MPF\0", GAIN_MAP)
    for name, content in picture.applist:
        if name == "APP13" and content.startswith(PHOTOSHOP_HEAD):
            yield "Photoshop's and IPTC's data"
        elif name == "APP1" and content.startswith(EXTENDED_HEAD):
            yield "extended XMP"
        elif name not in ("APP0", "APP11", "APP14", "COM") and not content.startswith(told):
            yield f"segment {name}"


def has_credentials(picture: JpegImagePlugin.JpegImageFile) -> bool:
    """Return whether a picture has content credentials, which are for its old pixels."""
    return any(name == "APP11" for name, _ in picture.applist)


def _upright(marker: int, content: bytes, turned: bool) -> bytes:
    """Return a segment's content for the upright, restored picture; empty where it must go.

    turned: whether the pixels lie on their side.
    """
    if marker == JFIF:
        # Its preview is behind 12 bytes and two of the preview's size, or in a segment of its own.
        across, down = content[8:10], content[10:12]
        density = down + across if turned else across + down
        return content[:8] + density + bytes(2) if content.startswith(b"JFIF\0") else b""
    if marker == APP1 and content.startswith(EXIF_HEAD):
        return EXIF_HEAD + upright_exif(content[len(EXIF_HEAD) :])
    if marker == APP1:
        return upright_xmp(content)
    if marker == APP13 and content.startswith(PHOTOSHOP_HEAD):
        return PHOTOSHOP_HEAD + without_preview(content[len(PHOTOSHOP_HEAD) :])
    # "MPF" tells where a phone's other pictures are, which are left out. Adobe's segment tells how
    # colours are coded, which is Pillow's choice now.
    return b"" if marker == ADOBE or content.startswith((b"MPF\0", GAIN_MAP)) else content


def _made(metadata: Metadata, channels: int, original: Original) -> list[Segment]:
    """Make the segments of another format's metadata; note what is too long for one."""
    density = [min(65535, round(value)) for value in metadata.dpi or (0, 0)]
    unit = b"\1" if metadata.dpi else b"\0"
    across, down = (max(1, value).to_bytes(2, "big") for value in density)
    segments = [(JFIF, b"JFIF\0\1\1" + unit + across + down + bytes(2))]
    for name, head, content in (
        ("EXIF", EXIF_HEAD, metadata.exif),
        ("XMP", XMP_HEAD, metadata.xmp),
    ):
        if len(head + content) > LONGEST:
            original.source.note(f"{name} was left out: JPEG holds no {len(content)} bytes of it")
        elif content:
            segments.append((APP1, head + content))
    if metadata.comment:
        segments.append((COMMENT, metadata.comment[:LONGEST]))
    icc = fitting_profile(metadata.icc, channels)
    room = LONGEST - len(ICC_HEAD) - 2
    parts = [icc[start : start + room] for start in range(0, len(icc), room)]
    for number, part in enumerate(parts, 1):
        segments.append((APP2, ICC_HEAD + bytes([number, len(parts)]) + part))
    return segments
