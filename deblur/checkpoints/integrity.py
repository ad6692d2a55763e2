"""Checks that a checkpoint is intact."""

import os
from pathlib import Path
from zipfile import ZipFile


def check_whole(path: Path) -> None:
    """Verify the checksums in a checkpoint.

    torch does not verify them, so that a partly lost file could be read as other weights. Raises
    FileNotFoundError, or ValueError, which names another intact checkpoint in the folder if there
    is one.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a .ckpt")
    if fault := _find_damage(path):
        others = sorted(path.parent.glob("*.ckpt"), key=os.path.getmtime, reverse=True)
        whole = (other for other in others if other != path and not _find_damage(other))
        offer = next((f"; {other} is intact: ckpt={other}" for other in whole), "")
        raise ValueError(f"{path}: damaged ({fault}){offer}")


def _find_damage(path: Path) -> str:
    """Return what is wrong with a checkpoint, which is a ZIP file; "" if nothing is."""
    try:
        with ZipFile(path) as file:
            member = file.testzip()
    except Exception as error:  # a damaged file can fail in any way
        return f"truncated or not a checkpoint: {error}"
    return f"{member} has been altered" if member else ""
