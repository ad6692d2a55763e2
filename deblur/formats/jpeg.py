"""JPEG: the same tables, subsampling and segments as the file that the picture came from."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any, BinaryIO

from PIL import JpegImagePlugin

from deblur.formats.frame import Frame, as_image
from deblur.formats.metadata import (
    EXIF_HEAD,
    Metadata,
    fitting_profile,
    upright_exif,
    upright_xmp,
    without_preview,
)
from deblur.formats.original import QUALITY, Original

XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
PHOTOSHOP_HEAD = b"Photoshop 3.0\0"
ICC_HEAD = b"ICC_PROFILE\0"
JFIF, APP1, APP2, APP13, COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xFE
CREDENTIALS, ADOBE = 0xEB, 0xEE
LONGEST = 65533
"""Bytes of a segment."""

Segment = tuple[int, bytes]
"""A marker's second byte, and what follows its length."""


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


def _settings(picture: JpegImagePlugin.JpegImageFile, quality: int | None) -> dict[str, Any]:
    """Tell how a picture was coded, as Pillow's `save` wants it."""
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
        content = _upright(marker, content)
        if marker == CREDENTIALS:
            original.source.note("content credentials were left out: they are for the old pixels")
        elif content and not (picture.mode == "CMYK" and content.startswith(ICC_HEAD)):
            kept.append((marker, content))
    return kept


def _upright(marker: int, content: bytes) -> bytes:
    """Make a segment one of the upright, restored picture; one that must go becomes empty."""
    if marker == JFIF:
        # Its preview is behind 12 bytes and two of the preview's size, or in a segment of its own.
        return content[:12] + bytes(2) if content.startswith(b"JFIF\0") else b""
    if marker == APP1 and content.startswith(EXIF_HEAD):
        return EXIF_HEAD + upright_exif(content[len(EXIF_HEAD) :])
    if marker == APP1:
        return upright_xmp(content)
    if marker == APP13 and content.startswith(PHOTOSHOP_HEAD):
        return PHOTOSHOP_HEAD + without_preview(content[len(PHOTOSHOP_HEAD) :])
    # "MPF" tells where a phone's other pictures are, which are left out. Adobe's segment tells how
    # colours are coded, which is Pillow's choice now.
    return b"" if marker == ADOBE or content.startswith(b"MPF\0") else content


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
