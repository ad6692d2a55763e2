"""What photographs say beside their pixels, and Photos to write."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from deblur.media.photo import Frame, Photo, open_photo

MAKER_NOTE = b"MakerNote\0\x01\x02\xff" * 5
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
HEIGHT, WIDTH = 23, 37


def exif_block(orientation: int = 1, order: str = "<", preview: bytes = b"") -> bytes:
    """Build an EXIF block by hand: maker, orientation, maker note, GPS and, if given, a preview."""

    def entry(tag: int, kind: int, count: int, value: int | bytes) -> bytes:
        content = value.ljust(4, b"\0") if isinstance(value, bytes) else None
        short = kind == 3 and struct.pack(order + "HH", value, 0)
        last = content or short or struct.pack(order + "L", value)
        return struct.pack(order + "HHL", tag, kind, count) + last

    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    exif_at = 8 + 2 + 4 * 12 + 4
    gps_at = exif_at + 2 + 12 + 4
    note_at = gps_at + 2 + 2 * 12 + 4
    degrees_at = note_at + len(MAKER_NOTE) + len(MAKER_NOTE) % 2
    preview_at = degrees_at + 24
    first = (
        entry(0x010F, 2, 4, b"ABC\0"),
        entry(0x0112, 3, 1, orientation),
        entry(0x8769, 4, 1, exif_at),
        entry(0x8825, 4, 1, gps_at),
    )
    block = head + struct.pack(order + "H", 4) + b"".join(first)
    block += struct.pack(order + "L", preview_at if preview else 0)
    block += struct.pack(order + "H", 1) + entry(0x927C, 7, len(MAKER_NOTE), note_at) + bytes(4)
    block += struct.pack(order + "H", 2) + entry(1, 2, 2, b"N\0") + entry(2, 5, 3, degrees_at)
    block += bytes(4) + MAKER_NOTE + bytes(len(MAKER_NOTE) % 2)
    block += struct.pack(order + "6L", 48, 1, 51, 1, 2999, 100)
    if preview:
        lies = entry(0x0201, 4, 1, preview_at + 30) + entry(0x0202, 4, 1, len(preview))
        block += struct.pack(order + "H", 2) + lies + bytes(4) + preview
    return block


def cmyk_profile() -> bytes:
    """Build a colour profile of a printer: paper is white, and any ink black."""
    ramps = bytes(range(256))
    grid = bytes([255, 128, 128]) + bytes([0, 128, 128]) * 15
    unit = struct.pack(">9l", *(65536 * (place % 4 == 0) for place in range(9)))
    table = b"mft1" + bytes([0, 0, 0, 0, 4, 3, 2, 0]) + unit + ramps * 4 + grid + ramps * 3
    tags = struct.pack(">L", 1) + b"A2B0" + struct.pack(">LL", 144, len(table))
    size = struct.pack(">L", 144 + len(table))
    head = size + bytes(4) + b"\2\x10\0\0" + b"prtrCMYKLab " + bytes(12) + b"acsp"
    white = struct.pack(">3l", 63190, 65536, 54061)
    return (head.ljust(68, b"\0") + white).ljust(128, b"\0") + tags + table


def xmp_packet(orientation: int = 1) -> bytes:
    """Build an XMP packet."""
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d" '
        b'dc:title="A day\xc3\xa9"/></x:xmpmeta>' % orientation
    )


def noise(channels: int = 3, deep: bool = False, seed: int = 0) -> NDArray[Any]:
    """Draw seeded noise (H, W, C), of 8 or 16 bits."""
    kind = np.uint16 if deep else np.uint8
    generator = np.random.default_rng(seed)
    return generator.integers(0, np.iinfo(kind).max + 1, (HEIGHT, WIDTH, channels), kind)


def frame(channels: int = 3, deep: bool = False, alpha: bool = False, seed: int = 0) -> Frame:
    """Draw a frame of noise."""
    samples = noise(channels + alpha, deep, seed)
    return Frame(samples[..., :channels], samples[..., channels] if alpha else None)


def photo_of(path: Path, like: Frame | None = None) -> Photo:
    """Write a frame as a file of its ending's format, and open it."""
    like = like or frame()
    seed = path.with_name("seed.png")
    Image.fromarray(noise()).save(seed)
    open_photo(seed).write(path, [like])
    return open_photo(path)


def same(one: Frame, other: Frame) -> bool:
    """Say whether two frames are of the same kind and values."""
    if (one.alpha is None) != (other.alpha is None) or one.pixels.dtype != other.pixels.dtype:
        return False
    alpha = one.alpha is None or np.array_equal(one.alpha, other.alpha)
    return alpha and np.array_equal(one.pixels, other.pixels)
