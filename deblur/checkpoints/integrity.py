"""Files that are there whole or not at all, whatever ends the process that writes them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zipfile import ZipFile


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


def check_whole(path: Path) -> None:
    """Compare a checkpoint with the sums in it.

    torch does not; so a file of which a part was lost could be read as other weights. Raises
    FileNotFoundError, or ValueError, which offers another checkpoint of the folder if one is whole.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a .ckpt")
    if fault := _find_damage(path):
        others = sorted(path.parent.glob("*.ckpt"), key=os.path.getmtime, reverse=True)
        whole = (other for other in others if other != path and not _find_damage(other))
        offer = next((f"; {other} is whole: ckpt={other}" for other in whole), "")
        raise ValueError(f"{path}: damaged ({fault}){offer}")


def _find_damage(path: Path) -> str:
    """Say what is wrong with a checkpoint, which is a ZIP file."""
    try:
        with ZipFile(path) as file:
            member = file.testzip()
    except Exception as error:  # what is damaged can fail in any way
        return f"cut off or no checkpoint: {error}"
    return f"{member} is not what was written" if member else ""


def _sync(folder: Path) -> None:
    """Bring a folder's names to the disk, where a system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
