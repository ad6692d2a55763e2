"""Whether a checkpoint is what was written."""

import os
from pathlib import Path
from zipfile import ZipFile


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
