"""Atomic file writing: a file is either complete or unchanged, even if the process is killed.

A file is written under a hidden name in its target's folder, synced to disk and renamed, and then
the folder is synced. After a kill, a full disk or a power cut at any byte, either the previous file
or the complete new file exists.
"""

import errno
import hashlib
import os
import platform
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, TextIO, cast

IN_MEMORY = 1 << 26
"""Bytes for a stream that are buffered in memory; more are buffered in a temporary file."""
DAY = 24 * 3600
"""Seconds for which another machine's unfinished file is left alone."""
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_LIFE = secrets.token_hex(4)
"""Different for each process; that of a forked one has another number."""


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Open a file that atomically replaces the target when the block ends without an error.

    Links are followed and kept, and a replaced file's mode is kept; that of a new file follows the
    umask. If the target is not a regular file, such as a pipe, it is written at the end of the
    block. Parts of the same target that killed processes have left are deleted. Raises OSError with
    the target's name.
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
        discard(part)


@contextmanager
def replacing_text(target: Path) -> Iterator[TextIO]:
    """Open a UTF-8 text file as `replacing` does; line ends are not converted."""
    with replacing(target) as file:
        text = TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.detach()


def write_text(target: Path, text: str) -> None:
    """Write a text file in UTF-8; see `replacing`."""
    with replacing_text(target) as file:
        file.write(text)


def check_target(target: Path) -> None:
    """Raise OSError with a file's name, before long work, if it could not be written after it."""
    place = Path(os.path.realpath(target))
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if place.exists() and not place.is_file():  # a pipe or a device
        return
    part = hide(target)
    try:
        part.touch()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    finally:
        discard(part)


def hide(target: Path, ending: str = ".part") -> Path:
    """Return a new hidden path in a target's folder; its name is short, and in ASCII."""
    place = Path(os.path.realpath(target))
    writer = f"{_HOST}-{os.getpid()}-{_LIFE}"
    return place.with_name(f"{_start_of_parts(place)}-{writer}-{secrets.token_hex(4)}{ending}")


def install(file: Path, target: Path) -> None:
    """Sync a complete file to disk, and rename it to its target, with the target's mode.

    Both must be in the same folder. Raises OSError with the target's name.
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
    """Add a second name for a file, which keeps its content when the file is replaced.

    An earlier file of that name is replaced.
    """
    second = hide(path.with_name(name))
    try:
        try:
            os.link(path, second)
        except OSError:  # a file system without links
            shutil.copy(path, second)
        _rename(second, path.with_name(name))
    finally:
        discard(second)  # renaming does nothing if both were the same file


def discard(part: Path) -> None:
    """Delete an unfinished file, if it exists and can be deleted."""
    with suppress(OSError):
        part.unlink()


def discard_parts(target: Path) -> None:
    """Delete the parts of a target that killed processes have left.

    Whether a process of another machine was killed is not known: its parts stay for a day.
    """
    place = Path(os.path.realpath(target))
    for left in place.parent.glob(f"{_start_of_parts(place)}-*-*-*-*"):
        with suppress(FileNotFoundError, PermissionError):  # on Windows open files stay
            if not _is_written(left):
                left.unlink()


@contextmanager
def held_back(target: BinaryIO) -> Iterator[BinaryIO]:
    """Buffer what is written to a stream until the block ends without an error."""
    with SpooledTemporaryFile(IN_MEMORY) as file:
        yield cast(BinaryIO, file)
        file.seek(0)
        shutil.copyfileobj(file, target)


def _start_of_parts(place: Path) -> str:
    return f".deblur-{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]}"


def _is_written(part: Path) -> bool:
    """Return whether the process that began a part may still write it."""
    host, number, life = part.stem.removeprefix(".deblur-").split("-")[1:4]
    if host != _HOST:
        return time.time() - part.stat().st_mtime < DAY
    if int(number) == os.getpid():  # a container gives each of its processes in turn the same
        return life == _LIFE
    if os.name == "nt":
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def _rename(file: Path, place: Path) -> None:
    """Rename a file in its folder, and sync the folder if the system supports that."""
    os.replace(file, place)
    if os.name == "posix":
        with suppress(OSError):  # a folder that may not be read, or a system that cannot sync it
            folder = os.open(place.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
