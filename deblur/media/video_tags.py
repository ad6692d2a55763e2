"""A video's tags: those that stay true, and how MP4 keeps all of them.

FFmpeg writes some of iTunes' tags only, and no `rating`, `category` or `sort_*`. From one file of
MP4's family to another the whole box of tags is taken over, cover art among it. Where FFmpeg writes
fragments, it makes an empty track for each cover, which players take for a video.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

STALE = re.compile(
    r"encoder|\w+_brands?|minor_version|rotate|alpha_mode|duration.*|bps.*|number_of_.*"
    r"|_statistics_.*",
    re.I,
)
"""Tags that are untrue of what is encoded anew."""
ENCODER = b"\xa9too"
ITUNES = b"mdir"
"""The handler of a box of iTunes' tags."""


class Box(NamedTuple):
    """A part of an MP4 file."""

    kind: bytes
    start: int
    content: int
    """Where its content starts."""
    end: int


def current_tags(tags: dict[str, str]) -> dict[str, str]:
    """Return the tags that are still true of what is encoded anew."""
    return {key: value for key, value in tags.items() if not STALE.fullmatch(key)}


def has_itunes_tags(file: Path) -> bool:
    """Return whether a file is one of MP4's family and has iTunes' tags."""
    return _read_tags(file) is not None


def tidy(source: Path, target: Path) -> None:
    """Remove an MP4 file's empty tracks, and put a source's iTunes tags in the place of its own.

    The target's head lies at its end, or nothing is done. Raises OSError.
    """
    tags = _read_tags(source)
    with open(target, "rb+") as file:
        boxes = [*_list_boxes(file, 0, os.path.getsize(target))]
        if not boxes or boxes[-1].kind != b"moov":
            return
        head = boxes[-1]
        file.seek(head.content)
        old = _split(file.read(head.end - head.content))
        parts = [part for part in old if not _is_empty_video(*part)]
        if tags is not None:
            user = [p for p in _split(_find(parts, b"udta")) if not _holds_itunes_tags(*p)]
            parts = [part for part in parts if part[0] != b"udta"]
            parts.append((b"udta", _join([*user, (b"meta", tags)])))
        if parts != old:
            file.seek(head.start)
            file.write(_box(b"moov", _join(parts)))
            file.truncate()


def _is_empty_video(kind: bytes, content: bytes) -> bool:
    if kind != b"trak":
        return False
    media = _split(_find(_split(content), b"mdia"))
    samples = _find(_split(_find(_split(_find(media, b"minf")), b"stbl")), b"stsz")
    return _find(media, b"hdlr")[8:12] == b"vide" and samples[8:12] == bytes(4)


def _read_tags(source: Path) -> bytes | None:
    """Return the content of a file's box of iTunes' tags, without the name of its encoder."""
    with open(source, "rb") as file:
        end = os.path.getsize(source)
        if next(_list_boxes(file, 0, end), Box(b"", 0, 0, 0)).kind not in (b"ftyp", b"wide"):
            return None
        for box in _list_boxes(file, 0, end):
            if box.kind == b"moov":
                file.seek(box.content)
                head = file.read(box.end - box.content)
                break
        else:
            return None
    for kind, content in _split(_find(_split(head), b"udta")):
        if _holds_itunes_tags(kind, content):
            parts = _split(content[4:])
            kept = _join(p for p in _split(_find(parts, b"ilst")) if p[0] != ENCODER)
            parts = [(name, kept if name == b"ilst" else part) for name, part in parts]
            return content[:4] + _join(parts)
    return None


def _holds_itunes_tags(kind: bytes, content: bytes) -> bool:
    if kind != b"meta":
        return False
    return _find(_split(content[4:]), b"hdlr")[8:12] == ITUNES


def _list_boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """List the boxes of a file; stop at what is none."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        size, content = int.from_bytes(head[:4], "big"), start + 8
        if size == 1:
            size, content = int.from_bytes(head[8:16], "big"), start + 16
        size = size or end - start
        if start + size < content or start + size > end:
            return
        yield Box(head[4:8], start, content, start + size)
        start += size


def _split(content: bytes) -> list[tuple[bytes, bytes]]:
    """Split a box's content into boxes; what is none is left out."""
    parts, place = [], 0
    while len(content) - place >= 8:
        size = int.from_bytes(content[place : place + 4], "big")
        if not 8 <= size <= len(content) - place:
            break
        parts.append((content[place + 4 : place + 8], content[place + 8 : place + size]))
        place += size
    return parts


def _join(parts: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(_box(kind, content) for kind, content in parts)


def _find(parts: list[tuple[bytes, bytes]], kind: bytes) -> bytes:
    """Return the content of the first part of a kind; b"" where there is none."""
    return next((content for name, content in parts if name == kind), b"")


def _box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content
