"""TIFF's directories of tags, as in TIFF files and EXIF blocks, read and written as bytes.

Nothing is interpreted but where a value lies, so tags that nobody knows come through.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Literal, NamedTuple, Union

import numpy as np

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
SIZES |= {16: 8, 17: 8, 18: 8}
"""The number of bytes of a value, by its type."""
SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 3, 4, 5, 7, 16
INSIDE = {0x8769, 0x8825, 0xA005}
"""Tags whose value is the place of another directory: EXIF, GPS, interoperability."""
DEPTH = 2
"""The greatest depth of nested directories."""
PAGES = 5000
"""The most directories in a row: Pillow's time for a TIFF grows as their square."""


class Tag(NamedTuple):
    """The value of a tag."""

    type: int
    data: bytes
    """The values' bytes, little-endian."""

    def numbers(self) -> tuple[int, ...]:
        """Return the values of a tag of whole numbers."""
        size = SIZES[self.type]
        places = range(0, len(self.data), size)
        return tuple(int.from_bytes(self.data[at : at + size], "little") for at in places)


Directory = Mapping[int, Union[Tag, "Directory"]]
"""Tags by their numbers; one of INSIDE is a directory itself."""


def numbers(directory: Directory, tag: int) -> tuple[int, ...]:
    """Return a tag's whole numbers; none if it is missing."""
    value = directory.get(tag)
    return value.numbers() if isinstance(value, Tag) else ()


def shorts(*values: int) -> Tag:
    """Make a tag of numbers below 65536."""
    return Tag(SHORT, struct.pack(f"<{len(values)}H", *values))


def longs(*values: int) -> Tag:
    """Make a tag of numbers below 2**32, or of larger ones, which only a BigTIFF may have."""
    if max(values) < 2**32:
        return Tag(LONG, struct.pack(f"<{len(values)}L", *values))
    return Tag(LONG8, struct.pack(f"<{len(values)}Q", *values))


class _Layout:
    """How a file's directories are laid out: in which order bytes are, and how long numbers are."""

    def __init__(self, order: Literal["little", "big"], wide: bool) -> None:
        self.order = order
        self.count, self.place = (8, 8) if wide else (2, 4)
        self.entry = struct.Struct(
            ("<" if order == "little" else ">") + ("HHQ8s" if wide else "HHL4s")
        )

    def number(self, data: bytes) -> int:
        return int.from_bytes(data, self.order)


def swapped(directory: Directory, one: int, other: int) -> Directory:
    """Return a directory in which two tags have changed places, where it has both."""
    if one not in directory or other not in directory:
        return directory
    return {**directory, one: directory[other], other: directory[one]}


def is_big(file: BinaryIO) -> bool:
    """Return whether a TIFF file is a BigTIFF."""
    file.seek(0)
    return file.read(4) in (b"II+\0", b"MM\0+")


def read(file: BinaryIO) -> Iterator[Directory]:
    """Read the directories of a TIFF file or of an EXIF block, one a page, as they are asked for.

    Tags that lie outside of the file are left out. Raises ValueError where there is no directory,
    and for more than PAGES.
    """
    wide, size = is_big(file), file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    if head[:2] not in (b"II", b"MM") or len(head) < 8:
        raise ValueError("no directory of tags in it")
    layout = _Layout("little" if head[:2] == b"II" else "big", wide)
    place = layout.number(head[8:16] if wide else head[4:8])
    seen: set[int] = set()
    left = [2 * size]
    while 0 < place < size and place not in seen:
        if len(seen) == PAGES:
            raise ValueError(f"more than {PAGES} pages, which is the most that are read")
        seen.add(place)
        directory, place = _read(file, place, layout, left)
        yield directory


def _read(
    file: BinaryIO, place: int, layout: _Layout, left: list[int], depth: int = 0
) -> tuple[Directory, int]:
    """Read the directory at a place, and where the next one is.

    left: how many bytes may still be read of the file in all, tables and values: in a bad one all
    tags of all directories could hold all of it. Where none are left, the directory is empty.
    """
    if left[0] <= 0:
        return {}, 0
    file.seek(place)
    count = min(layout.number(file.read(layout.count)), 65535)
    table = file.read(layout.entry.size * count)
    following = layout.number(file.read(layout.place))
    left[0] -= layout.count + len(table) + layout.place
    directory: dict[int, Tag | Directory] = {}
    whole = len(table) // layout.entry.size * layout.entry.size
    for number, kind, count, data in layout.entry.iter_unpack(table[:whole]):
        length = count * SIZES.get(kind, 0)
        at = layout.number(data)
        if layout.place < length <= left[0] and at < 2**63:
            file.seek(at)
            data = file.read(length)
            left[0] -= len(data)
        if not 0 < length <= len(data):
            continue
        tag = Tag(kind, _little_endian(data[:length], kind, layout))
        if number not in INSIDE:
            directory[number] = tag
        elif depth < DEPTH and (at := tag.numbers()[0]) < 2**63:
            directory[number] = _read(file, at, layout, left, depth + 1)[0]
    return directory, following


def _little_endian(data: bytes, kind: int, layout: _Layout) -> bytes:
    # A rational is two numbers of 4 bytes.
    size = 4 if kind in (RATIONAL, 10) else SIZES[kind]
    if layout.order == "little" or size == 1:
        return data
    return np.frombuffer(data, f">u{size}").astype(f"<u{size}").tobytes()


def write(directory: Directory, place: int, *, wide: bool = False) -> bytes:
    """Pack a directory that will lie at a place of a file; `link` tells where the next is named."""
    layout = _Layout("little", wide)
    start = place + link(directory, wide=wide) + layout.place
    entries, behind = b"", b""
    for number, value in sorted(directory.items()):
        here = start + len(behind)
        if not isinstance(value, Tag):
            behind += write(value, here, wide=wide)
            value = longs(here)
        data = value.data
        if len(data) > layout.place:
            behind += data + bytes(len(data) % 2)
            data = here.to_bytes(layout.place, "little")
        entries += layout.entry.pack(number, value.type, len(value.data) // SIZES[value.type], data)
    count = len(directory).to_bytes(layout.count, "little")
    return count + entries + bytes(layout.place) + behind


def link(directory: Directory, *, wide: bool = False) -> int:
    """Return how far into a packed directory the place of the next one is written; it is 0."""
    return 8 + 20 * len(directory) if wide else 2 + 12 * len(directory)
