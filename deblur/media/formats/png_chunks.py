"""The chunks of a PNG file, in their order, without its image data."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Chunk(NamedTuple):
    """A chunk of a PNG file."""

    kind: bytes
    data: bytes


PIXELS = Chunk(b"IDAT", b"")
"""What stands for the image data where that is not read."""


def walk_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Go from chunk to chunk; yield each kind and size, while the file is at the chunk's data.

    After IEND the file is left where what does not belong to the picture begins.
    """
    file.seek(len(SIGNATURE))
    while len(head := file.read(8)) == 8:
        size, kind, place = int.from_bytes(head[:4], "big"), head[4:], file.tell()
        yield kind, size
        if kind == b"IEND":
            file.seek(place + 4)
            return
        file.seek(place + size + 4)


def read_chunks(file: BinaryIO) -> list[Chunk]:
    """Read all chunks but IEND and the image data: of it there is only PIXELS, at its place.

    The file is left as by `walk_chunks`.
    """
    chunks: list[Chunk] = []
    there = False
    for kind, size in walk_chunks(file):
        if kind in (b"IDAT", b"fdAT"):
            if not there:
                chunks.append(PIXELS)
            there = True
        elif kind != b"IEND":
            chunks.append(Chunk(kind, file.read(size)))
    return chunks


def find_plain_depth(file: BinaryIO) -> int:
    """Return the bits a sample of a PNG of RGB with neither orientation nor frames; 0 for others.

    Those are 8 or 16; what libraries that know nothing but pixels make of them is right.
    """
    file.seek(0)
    head = file.read(26)
    if head[:8] != SIGNATURE or head[12:16] != b"IHDR" or head[25:] != b"\x02":
        return 0
    special = any(kind in (b"eXIf", b"acTL") for kind, _ in walk_chunks(file))
    return 0 if special else head[24]
