"""Files that are there whole or not at all, whatever ends the process that writes them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to; whole and on the disk, it takes the place of what was there.

    Raises OSError, which names the path, where it cannot be written; what was there stays.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync(path.parent)
    except (OSError, RuntimeError) as error:
        # Of a full disk torch says something of its own while Python's error is handled.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise OSError(f"{path}: cannot be written: {cause.strerror or cause}") from error
    finally:
        part.unlink(missing_ok=True)


def duplicate(path: Path, name: str) -> None:
    """Give a file a second name in its folder, where its content stays when the first goes on."""
    part = path.with_name(f"{name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(path, part)
    except OSError:  # a file system that has no links
        shutil.copy(path, part)
    os.replace(part, path.with_name(name))
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Bring a folder's names to the disk, where a system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
