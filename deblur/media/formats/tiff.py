"""TIFF: pages of 8 and 16 bits, with the compression and the tags of the file they come from.

Pillow writes no colour of 16 bits. But a row of it is a row of grey three times as wide, and that
is packed by Pillow's libtiff with any compression; around it the tags are written here.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from io import BytesIO
from itertools import chain, repeat
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deblur.media.formats import raw, tags
from deblur.media.formats.frame import Frame, bands
from deblur.media.formats.metadata import (
    SIDEWAYS,
    Metadata,
    fitting_profile,
    upright_xmp,
    without_preview,
)
from deblur.media.formats.original import QUALITY, UNSIGNED, Original
from deblur.media.formats.tags import Directory, Tag, longs, shorts

Note = Callable[[str], None]
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, SAMPLES = 256, 257, 258, 259, 262, 273, 277
ROWS, COUNTS, X_DENSITY, Y_DENSITY, PLANES, UNIT = 278, 279, 282, 283, 284, 296
PREDICTOR, EXTRA, ORIENTATION, XMP, ICC, PHOTOSHOP = 317, 338, 274, 700, 34675, 34377
KIND, LAYERS, DNG, SUB, FORMAT, IPTC, C2PA = 254, 37724, 50706, 330, 339, 33723, 52545
SIGNED = 2
COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
"""The number of colour channels, by PHOTOMETRIC."""
OF_JPEG = (PHOTOMETRIC, 347, 530, 532)
"""Tags that a page packed as JPEG needs: colours, tables, subsampling, black and white."""
OF_PIXELS = {
    *(WIDTH, HEIGHT, BITS, COMPRESSION, OFFSETS, SAMPLES, ROWS, COUNTS, PLANES, PREDICTOR, EXTRA),
    *(*OF_JPEG, *range(512, 522), 529, 531),
    # Of 1 bit, of palettes, of tiles, of inks, and what points to other pixels.
    *(255, *range(263, 267), 280, 281, *range(288, 294), 301, 320, 321),
    *(*range(322, 326), 330, *range(332, 343), LAYERS, C2PA),
}
"""Tags about how pixels were stored, or about other pixels, such as the old ones."""
NAMES = {1: "raw", 5: "tiff_lzw", 6: "jpeg", 7: "jpeg", 8: "tiff_adobe_deflate"}
NAMES |= {32773: "packbits", 32946: "tiff_adobe_deflate", 34925: "lzma", 50000: "zstd"}
"""Compressions that are kept, as Pillow names them."""
DIFFERENT = {"tiff_lzw", "tiff_adobe_deflate", "lzma", "zstd"}
"""Those that may replace samples by differences; for others readers ignore PREDICTOR."""
CODES = {name: code for code, name in NAMES.items()} | {"tiff_adobe_deflate": 8}
DEFLATE = {COMPRESSION: shorts(8), PREDICTOR: shorts(2)}
"""The tags of how pictures of other formats are packed."""
STRIP = 1 << 20
"""The number of bytes that are packed at a time, about."""
LARGEST = 4 * 10**9
"""The most bytes of a file whose places are written in 4 bytes."""


class _Packing(NamedTuple):
    """How pixels are packed."""

    name: str
    differences: bool
    """Whether samples are replaced by how they differ from the pixel to the left."""
    quality: int


def exif_of(file: BinaryIO, turned: bool) -> bytes:
    """Make an EXIF block of a TIFF file's first page, for files of other formats.

    turned: whether its pixels lie on their side.
    """
    page = next(tags.read(file))
    page = tags.swapped(page, X_DENSITY, Y_DENSITY) if turned else page
    others = OF_PIXELS | {KIND, ORIENTATION, XMP, ICC, PHOTOSHOP, IPTC}
    kept = {number: tag for number, tag in page.items() if number not in others}
    if not kept.keys() - {X_DENSITY, Y_DENSITY, UNIT}:
        return b""
    return b"II*\0\x08\0\0\0" + tags.write(kept, 8)


def is_tiff(head: bytes) -> bool:
    """Return whether a file begins as a TIFF or a BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def examine(file: BinaryIO, note: Note) -> None:
    """Note what of a file's pages is not read.

    Raises ValueError for a camera's raw file, of which only a small preview could be read, and for
    pixels that Pillow would take for others.
    """
    for number, page in enumerate(tags.read(file)):
        if number == 0 and (DNG in page or any(kind & 1 for kind in tags.numbers(page, KIND))):
            raise ValueError(raw.REASON)
        if SIGNED in tags.numbers(page, FORMAT) and 8 in tags.numbers(page, BITS):
            raise ValueError("signed pixels, expected unsigned ones of 8 or 16 bits")
        if spare := _count_spare(page):
            channels = "a channel was" if spare == 1 else f"{spare} channels were"
            note(f"{channels} left out: neither colour nor alpha (TIFF's extra samples)")
        if SUB in page:
            note("smaller or other pictures inside of a page (TIFF's SubIFDs) were left out")
        if LAYERS in page:
            note("Photoshop's layers were left out: they hold the old pixels")
        if C2PA in page:
            note(UNSIGNED)


def _count_spare(page: Directory) -> int:
    """Count a page's channels that are neither colour nor alpha."""
    samples = (*tags.numbers(page, SAMPLES), 1)[0]
    colours = COLOURS.get((*tags.numbers(page, PHOTOMETRIC), 1)[0], samples)
    alpha = tags.numbers(page, EXTRA)[:1] != (0,)  # where none is named, Pillow takes it for one
    return max(0, samples - colours - alpha)


def list_sizes(file: BinaryIO) -> Iterator[int]:
    """Yield how many pixels each page has, by its tags."""
    for page in tags.read(file):
        yield max(tags.numbers(page, WIDTH), default=0) * max(tags.numbers(page, HEIGHT), default=0)


def describe(file: BinaryIO) -> str:
    """Return why Pillow cannot read the first page: its pixels are of another kind, or broken."""
    page = next(tags.read(file), {})
    if not tags.numbers(page, WIDTH) or not tags.numbers(page, HEIGHT):
        return "a TIFF whose first page has no size"
    kinds = {SIGNED: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
    kind = kinds.get((*tags.numbers(page, FORMAT), 1)[0], "")
    samples = (*tags.numbers(page, SAMPLES), 1)[0]
    bits = (*tags.numbers(page, BITS), 1)[0]
    told = " ".join(filter(None, (str(samples), kind, f"sample{'s' * (samples != 1)}")))
    return f"pixels of {told} of {bits} bits, expected grey or RGB of 8 or 16 bits"


def list_own(file: BinaryIO) -> list[str]:
    """Name what a file's first page has, beside its pixels, that only a TIFF can hold."""
    page = next(tags.read(file), {})
    return ["Photoshop's and IPTC's data"] if page.keys() & {PHOTOSHOP, IPTC} else []


def write(
    file: BinaryIO, frames: Iterable[Frame], original: Original, quality: int | None = None
) -> None:
    """Write frames as pages. quality: 1 to 100, where the pages are packed as JPEG."""
    note, wide, link = original.source.note, False, 4
    for number, (frame, page) in enumerate(zip(frames, chain(_pages(original), repeat(DEFLATE)))):
        frame = _readable(frame, note)
        if number == 0:
            wide = _is_wide(original) or frame.pixels.nbytes * original.count * 4 / 3 > LARGEST
            file.write(b"II+\0\x08\0\0\0" + bytes(8) if wide else b"II*\0" + bytes(4))
            link = 8 if wide else 4
        directory = dict(_carried(page, frame))
        directory |= _write_pixels(file, frame, _packing(page, frame, quality, note))
        place = _even(file)
        file.write(tags.write(directory, place, wide=wide))
        file.seek(link)
        file.write(place.to_bytes(8 if wide else 4, "little"))
        file.seek(0, 2)
        link = place + tags.link(directory, wide=wide)


def _readable(frame: Frame, note: Note) -> Frame:
    """Make RGB of 16-bit grey with alpha, which Pillow reads from no TIFF; others stay as is."""
    if frame.alpha is None or frame.pixels.itemsize == 1 or frame.pixels.shape[2] == 3:
        return frame
    note("16-bit grey with alpha became RGB with alpha: few programs read such a TIFF")
    return frame._replace(pixels=np.broadcast_to(frame.pixels, (*frame.alpha.shape, 3)))


def _pages(original: Original) -> Iterator[Directory]:
    """Yield the tags of the original's pages."""
    if original.format != "TIFF":
        yield _made(original.metadata.upright(), original.source.note)
        return
    with original.source.open() as stream:
        pages = tags.read(stream)
        while True:
            with original.source.reading():
                page = next(pages, None)
            if page is None:
                return
            yield page


def _is_wide(original: Original) -> bool:
    if original.format != "TIFF":
        return False
    with original.source.open() as stream:
        return tags.is_big(stream)


def _packing(page: Directory, frame: Frame, quality: int | None, note: Note) -> _Packing:
    code, differences = ((*tags.numbers(page, tag), 1)[0] for tag in (COMPRESSION, PREDICTOR))
    name = NAMES.get(code, "")
    if not name or name == "jpeg" and (frame.alpha is not None or frame.pixels.itemsize > 1):
        note(f"TIFF's compression {code} became deflate")
        name, differences = "tiff_adobe_deflate", 2
    return _Packing(name, differences == 2 and name in DIFFERENT, quality or QUALITY)


def _write_pixels(file: BinaryIO, frame: Frame, packing: _Packing) -> Directory:
    """Write a frame's strips; return the tags that describe them."""
    height, width, channels = frame.pixels.shape
    samples = channels + (frame.alpha is not None)
    # JPEG needs a multiple of 16 rows.
    rows = min(height, max(1, STRIP // (width * samples * frame.pixels.itemsize) // 16) * 16)
    places, sizes = [], []
    described: dict[int, Tag | Directory] = {}
    for band in bands(frame, rows):
        data, described = _pack(band, packing)
        places.append(_even(file))
        sizes.append(len(data))
        file.write(data)
    described |= {
        **{WIDTH: longs(width), HEIGHT: longs(height), ROWS: longs(rows), PLANES: shorts(1)},
        **{BITS: shorts(*[8 * frame.pixels.itemsize] * samples), SAMPLES: shorts(samples)},
        **{COMPRESSION: shorts(CODES[packing.name]), ORIENTATION: shorts(1)},
        **{OFFSETS: longs(*places), COUNTS: longs(*sizes)},
    }
    described.setdefault(PHOTOMETRIC, shorts(1 if channels == 1 else 2))
    if frame.alpha is not None:
        described[EXTRA] = shorts(2)
    if packing.differences:
        described[PREDICTOR] = shorts(2)
    return described


def _pack(band: NDArray[Any], packing: _Packing) -> tuple[bytes, dict[int, Tag | Directory]]:
    """Pack rows (h, W, C); return them with the tags that JPEG needs."""
    if packing.differences:
        differences = band.copy()
        differences[:, 1:] -= band[:, :-1]
        band = differences
    if packing.name == "raw":
        return band.astype(band.dtype.newbyteorder("<")).tobytes(), {}
    packed = BytesIO()
    settings: dict[str, Any] = {"compression": packing.name, "strip_size": 1 << 30}
    if packing.name == "jpeg":
        settings["quality"] = packing.quality
        image = Image.fromarray(band[..., 0] if band.shape[2] == 1 else band)
    else:
        image = Image.fromarray(band.reshape(len(band), -1))
    image.save(packed, "TIFF", **settings)
    page = next(tags.read(packed))
    (place,), (size,) = tags.numbers(page, OFFSETS), tags.numbers(page, COUNTS)
    jpeg = {tag: page[tag] for tag in OF_JPEG if tag in page and packing.name == "jpeg"}
    return packed.getvalue()[place : place + size], jpeg


def _carried(page: Directory, frame: Frame) -> Iterator[tuple[int, Tag | Directory]]:
    """Yield the tags for the new file, as the upright, restored pixels require them."""
    if (*tags.numbers(page, ORIENTATION), 1)[0] in SIDEWAYS:
        page = tags.swapped(page, X_DENSITY, Y_DENSITY)
    for number, tag in page.items():
        if number in OF_PIXELS:
            continue
        if isinstance(tag, Tag) and number == XMP:
            tag = tag._replace(data=upright_xmp(tag.data))
        elif isinstance(tag, Tag) and number == PHOTOSHOP:
            tag = tag._replace(data=without_preview(tag.data))
        elif isinstance(tag, Tag) and number == ICC:
            tag = tag._replace(data=fitting_profile(tag.data, frame.pixels.shape[2]))
        if not isinstance(tag, Tag) or tag.data:
            yield number, tag


def _made(metadata: Metadata, note: Note) -> Directory:
    """Make the tags of another format's metadata."""
    made: dict[int, Tag | Directory] = {}
    if metadata.exif:
        try:
            made |= next(tags.read(BytesIO(metadata.exif)), {})
        except ValueError:
            note("EXIF was left out: it is broken")
    if metadata.dpi:
        for number, density in zip((X_DENSITY, Y_DENSITY), metadata.dpi):
            ratio = Fraction(density).limit_denominator(10000)
            made[number] = Tag(tags.RATIONAL, longs(ratio.numerator, ratio.denominator).data)
        made[UNIT] = shorts(2)
    if metadata.xmp:
        made[XMP] = Tag(1, metadata.xmp)
    if metadata.icc:
        made[ICC] = Tag(tags.UNDEFINED, metadata.icc)
    return {tag: value for tag, value in made.items() if tag not in OF_PIXELS} | DEFLATE


def _even(file: BinaryIO) -> int:
    """Go to the next even place of a file, where it ends."""
    place = file.tell()
    file.write(bytes(place % 2))
    return place + place % 2
