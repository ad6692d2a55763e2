"""Files that are whole or not there, whatever ends the process that writes them.

A file is written under a hidden name beside its target, brought to the disk and renamed, and then
the folder's names are brought to the disk. A kill, a full disk or a power cut at any byte leaves
what was there before or all of the new file.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, TextIO, cast

IN_MEMORY = 1 << 26
"""Bytes that wait in memory for a stream, until they are complete."""


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the target's place once the block is through, whole or not at all.

    A link stays one, and a file that is replaced hands on its mode; that of a new one follows the
    umask. A target that is no file but, say, a pipe is written to at the end. What processes that
    were killed have left of the same target is deleted. Raises OSError with the target's name.
    """
    place = Path(os.path.realpath(target))
    part = hide(target)
    try:
        if place.exists() and not place.is_file():
            with open(place, "wb") as device, held_back(device) as file:
                yield file
            return
        with open(part, "xb") as file:
            yield file
        install(part, target)
    except OSError as error:
        if error.filename in (None, str(part)):
            raise OSError(error.errno, error.strerror or str(error), str(target)) from error
        raise
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def replacing_text(target: Path) -> Iterator[TextIO]:
    """Open a file of UTF-8 as `replacing` does; ends of lines are written as they are."""
    with replacing(target) as file:
        text = TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.detach()


def write_text(target: Path, text: str) -> None:
    """Write a text as UTF-8 in the place of a file; see `replacing`."""
    with replacing_text(target) as file:
        file.write(text)


def hide(target: Path, ending: str = ".part") -> Path:
    """Return a new hidden name in a target's folder: short, for any name, in ASCII."""
    place = Path(os.path.realpath(target))
    return place.with_name(f"{_start_of_parts(place)}-{secrets.token_hex(8)}{ending}")


def install(file: Path, target: Path) -> None:
    """Bring a complete file of the same disk to it, and give it its target's name and mode.

    Raises OSError with the target's name.
    """
    place = Path(os.path.realpath(target))
    try:
        with open(file, "rb+") as whole:
            os.fsync(whole.fileno())
        if place.exists():
            shutil.copymode(place, file)
        _rename(file, place)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    discard_parts(target)


def duplicate(path: Path, name: str) -> None:
    """Give a file a second name in its folder, under which its content stays when it is replaced.

    What had that name before is replaced.
    """
    second = hide(path.with_name(name))
    try:
        try:
            os.link(path, second)
        except OSError:  # a file system that has no links
            shutil.copy(path, second)
        _rename(second, path.with_name(name))
    finally:
        second.unlink(missing_ok=True)  # both may have been the same file


def discard_parts(target: Path) -> None:
    """Delete what processes that were killed have left of a target."""
    place = Path(os.path.realpath(target))
    for left in place.parent.glob(f"{_start_of_parts(place)}-*"):
        left.unlink(missing_ok=True)


@contextmanager
def held_back(target: BinaryIO) -> Iterator[BinaryIO]:
    """Hold back what is written to a stream until the block is through."""
    with SpooledTemporaryFile(IN_MEMORY) as file:
        yield cast(BinaryIO, file)
        file.seek(0)
        shutil.copyfileobj(file, target)


def _start_of_parts(place: Path) -> str:
    return f".deblur-{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]}"


def _rename(file: Path, place: Path) -> None:
    """Give a file another name in its folder, and bring that to the disk where a system can."""
    os.replace(file, place)
    if os.name == "posix":
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
