"""PNG: its chunks are kept byte for byte, and pixels of 8 and 16 bits written, animations, too.

Pillow writes neither 16-bit colour nor the chunks gAMA, cHRM, sRGB and cICP.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import count
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from deblur.media.formats.frame import Frame, bands
from deblur.media.formats.metadata import (
    EXIF_HEAD,
    Cicp,
    Metadata,
    fitting_profile,
    upright_exif,
    upright_xmp,
)
from deblur.media.formats.original import UNSIGNED, Original
from deblur.media.formats.png_chunks import PIXELS, SIGNATURE, Chunk, read_chunks

KEPT = {b"cHRM", b"gAMA", b"iCCP", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"tIME"}
"""Chunks that stay true, though their upper fourth letter says that new pixels change them."""
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's colour type, by the number of channels, alpha included."""
XMP_HEAD = b"XML:com.adobe.xmp\0"
RAW_EXIF = (b"Raw profile type exif\0", b"Raw profile type APP1\0")
"""EXIF as ImageMagick wrote it before there was a chunk for it: as text."""
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
SRGB = {
    b"gAMA": struct.pack(">L", 45455),
    b"cHRM": struct.pack(">8L", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
}
"""What those chunks hold where they say no more than that colours are sRGB."""
BLOCK = 1 << 16
LEVEL = 4
"""zlib's level; its default, 6, takes three times as long and saves 2 % of photographs."""
LARGEST = 1 << 26
"""The most bytes of a file's metadata that are decompressed in all; the rest stays as it is."""


def read_metadata(file: BinaryIO) -> Metadata:
    """Read a file's EXIF block, XMP packet and colour tags, and what no other format can hold."""
    chunks = [*_unpacked(read_chunks(file))]
    exif = next((data for (kind, data), _ in chunks if kind == b"eXIf"), b"")
    xmp = next((packet for _, packet in chunks if packet), b"")
    tags = next((data for (kind, data), _ in chunks if kind == b"cICP" and len(data) == 4), b"")
    cicp = Cicp(*tags[:2]) if tags else None
    return Metadata(
        exif.removeprefix(EXIF_HEAD), xmp, cicp=cicp, own=tuple(dict.fromkeys(_list_own(chunks)))
    )


def _list_own(chunks: list[tuple[Chunk, bytes]]) -> Iterator[str]:
    """Name what only a PNG can hold, of chunks with their XMP packets."""
    kinds = {chunk.kind for chunk, _ in chunks}
    for (kind, data), packet in chunks:
        if kind in TEXTS and not packet:
            yield "text"
        elif kind in SRGB:
            # Any of the others goes before it.
            if not kinds & {b"iCCP", b"sRGB", b"cICP"} and data != SRGB[kind]:
                yield kind.decode()
        elif kind in (b"mDCV", b"cLLI") or kind.isalpha() and (kind[1:2] + kind[3:]).islower():
            yield f"chunk {kind.decode()}"


def list_left_out(file: BinaryIO) -> Iterator[str]:
    """Yield notes on content credentials, and on the bytes that follow a picture."""
    if any(chunk.kind == b"caBX" for chunk in read_chunks(file)):
        yield UNSIGNED
    place = file.tell()
    if (count := file.seek(0, 2) - place) > 0:
        yield f"{count} bytes behind the picture were left out"


def write(
    file: BinaryIO, frames: Iterable[Frame], original: Original, quality: int | None = None
) -> None:
    """Write a picture, or an animation of as many frames as the original has.

    Raises ValueError for frames of several sizes or kinds.
    """
    timing = original.timing() if original.count > 1 else None
    parts, head = count(), None
    after: list[Chunk] = []
    file.write(SIGNATURE)
    for number, frame in enumerate(frames):
        if head is None:
            head = _header(frame)
            if original.format == "PNG":
                with original.source.open() as stream, original.source.reading():
                    before, after = _kept(read_chunks(stream), original.metadata.is_turned)
            else:
                before = _made(original.metadata.upright(), frame.pixels.shape[2])
            for chunk in (head, *before):
                _put(file, *chunk)
            if timing:
                plays = 1 if timing.loop is None else timing.loop
                _put(file, b"acTL", struct.pack(">II", original.count - timing.cover, plays))
        elif head != _header(frame):
            with original.source.writing("PNG"):
                raise ValueError("not all frames are of the same size and kind")
        if timing and not (timing.cover and number == 0):
            control = _control(next(parts), frame, timing.durations[number])
            _put(file, b"fcTL", control)
        for data in _deflate(frame):
            if number == 0:
                _put(file, b"IDAT", data)
            else:
                _put(file, b"fdAT", next(parts).to_bytes(4, "big") + data)
    for chunk in (*after, Chunk(b"IEND", b"")):
        _put(file, *chunk)


def _header(frame: Frame) -> Chunk:
    height, width, channels = frame.pixels.shape
    colour = COLOURS[channels + (frame.alpha is not None)]
    depth = 8 * frame.pixels.itemsize
    return Chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def _control(part: int, frame: Frame, duration: float) -> bytes:
    """Return how a whole frame of an animation is shown."""
    height, width, _ = frame.pixels.shape
    seconds = Fraction(duration / 1000).limit_denominator(1000)
    delay = (min(65535, seconds.numerator), seconds.denominator)
    return struct.pack(">IIIIIHHBB", part, width, height, 0, 0, *delay, 0, 0)


def _put(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(len(data).to_bytes(4, "big") + kind + data)
    file.write(zlib.crc32(kind + data).to_bytes(4, "big"))


def _deflate(frame: Frame) -> Iterator[bytes]:
    """Compress a frame, in parts."""
    packer, above, waiting = zlib.compressobj(LEVEL), None, b""
    for band in bands(frame):
        step = band.shape[2] * band.itemsize
        rows = band.astype(band.dtype.newbyteorder(">")).view(np.uint8).reshape(len(band), -1)
        above = np.zeros_like(rows[:1]) if above is None else above
        waiting += packer.compress(_filter(rows, above, step).tobytes())
        above = rows[-1:]
        whole = len(waiting) // BLOCK * BLOCK
        for start in range(0, whole, BLOCK):
            yield waiting[start : start + BLOCK]
        waiting = waiting[whole:]
    yield waiting + packer.flush()


def _filter(rows: NDArray[np.uint8], above: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Replace bytes by their differences from those beside them; each row starts with its filter.

    A row gets the filter with the smallest differences: from nothing (0), from the pixel to the
    left (1), from that above (2), or from the mean of both (3). PNG's last one, Paeth's, takes
    longer than those together and makes photographs no smaller.
    """
    left = np.zeros_like(rows)
    left[:, step:] = rows[:, :-step]
    above = np.concatenate([above, rows[:-1]])
    mean = (left & above) + ((left ^ above) >> 1)
    filtered = [rows, rows - left, rows - above, rows - mean]
    costs = [np.abs(each.view(np.int8).astype(np.int16)).sum(-1) for each in filtered]
    best = np.argmin(costs, 0)[:, None]
    return np.concatenate([best.astype(np.uint8), np.choose(best, filtered)], -1)


def _kept(chunks: list[Chunk], turned: bool) -> tuple[list[Chunk], list[Chunk]]:
    """Choose the chunks that go into the new file: those before the pixels, and those after.

    turned: whether the pixels lie on their side.
    """
    kept: tuple[list[Chunk], list[Chunk]] = ([], [])
    place, there = chunks.index(PIXELS), False
    for number, (chunk, packet) in enumerate(_unpacked(chunks)):
        if chunk.kind == b"eXIf":
            if there:
                continue  # a PNG may have one; `read_metadata` reads the first, too
            there = True
            chunk = Chunk(b"eXIf", upright_exif(chunk.data.removeprefix(EXIF_HEAD)))
        elif packet and (upright := upright_xmp(packet)) != packet:
            chunk = _xmp(upright)
        elif turned and chunk.kind == b"pHYs":
            across, down, unit = chunk.data[:4], chunk.data[4:8], chunk.data[8:]
            chunk = Chunk(b"pHYs", down + across + unit)
        if chunk.kind in KEPT or chunk.kind[:1].islower() and chunk.kind[3:].islower():
            kept[number > place].append(chunk)
    return kept


def _made(metadata: Metadata, channels: int) -> list[Chunk]:
    """Make the chunks of another format's metadata; channels: of the pixels' colours."""
    chunks = []
    if icc := fitting_profile(metadata.icc, channels):
        chunks.append(Chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    elif metadata.cicp and not metadata.cicp.is_plain:
        chunks.append(Chunk(b"cICP", bytes([*metadata.cicp, 0, 1])))  # RGB, of the full range
    if metadata.dpi:
        metres = (round(density / 0.0254) for density in metadata.dpi)
        chunks.append(Chunk(b"pHYs", struct.pack(">IIB", *metres, 1)))
    if metadata.exif:
        chunks.append(Chunk(b"eXIf", metadata.exif))
    if metadata.xmp:
        chunks.append(_xmp(metadata.xmp))
    if metadata.comment:
        chunks.append(Chunk(b"tEXt", b"Comment\0" + metadata.comment.replace(b"\0", b"")))
    return chunks


def _xmp(packet: bytes) -> Chunk:
    return Chunk(b"iTXt", XMP_HEAD + bytes(4) + packet)


def _unpacked(chunks: list[Chunk]) -> Iterator[tuple[Chunk, bytes]]:
    """Yield chunks, EXIF as such, each with its XMP packet; it is empty where there is none."""
    left = [LARGEST]
    for chunk in chunks:
        chunk = _exif_as_such(chunk, left)
        yield chunk, _packet(chunk, left)


def _packet(chunk: Chunk, left: list[int]) -> bytes:
    """Return the XMP packet of a chunk. left: as of `_inflate`."""
    kind, data = chunk
    if kind != b"iTXt" or not data.startswith(XMP_HEAD) or data.count(b"\0") < 4:
        return b""
    packed, rest = data[len(XMP_HEAD)], data[len(XMP_HEAD) + 2 :]
    packet = rest.split(b"\0", 2)[-1]
    return _inflate(packet, left) if packed else packet


def _exif_as_such(chunk: Chunk, left: list[int]) -> Chunk:
    """Convert EXIF as text to an EXIF chunk; others stay as they are. left: as of `_inflate`."""
    kind, data = chunk
    if kind not in (b"tEXt", b"zTXt") or not data.startswith(RAW_EXIF):
        return chunk
    text = data.split(b"\0", 1)[1]
    text = _inflate(text[1:], left) if kind == b"zTXt" else text
    try:
        # A line break, a name, a length, and then the bytes in lines of hexadecimal digits.
        exif = bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return chunk
    return Chunk(b"eXIf", exif.removeprefix(EXIF_HEAD))


def _inflate(data: bytes, left: list[int]) -> bytes:
    """Decompress data, or return b"" if it is broken or longer than the bytes left, or if none are.

    left: how many bytes may still come out in all; none after broken data, which may cost as many.
    """
    if left[0] <= 0:
        return b""
    try:
        text = zlib.decompressobj().decompress(data, left[0] + 1)
    except zlib.error:
        left[0] = 0
        return b""
    left[0] -= len(text)
    return text if left[0] >= 0 else b""
