"""How a run has ended, in a file of its folder, and whose the folder is until then."""

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deblur.atomic import write_text

if TYPE_CHECKING:
    from deblur.config.errors import Fault  # which imports Hydra

log = logging.getLogger(__name__)

NAME = "outcome.json"
LOCK = ".lock"
TRACES = (NAME, ".hydra", "checkpoints", "csv")
"""What a folder has that a run, or an evaluation, has used."""


@dataclass(frozen=True)
class RunStatus:
    """How a run has ended, or that it goes on; one that was killed says so for ever."""

    status: Literal["running", "finished", "failed", "stopped"]
    overrides: list[str]
    """Its settings on the command line but for ckpt: a run that goes on is the same run."""
    score: float | None = None
    """The best validation PSNR in dB; None where there is none."""
    error: str = ""
    """What has gone wrong."""
    fault: "Fault" = ""

    def write(self, folder: Path) -> None:
        """Write it into a run's folder, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / NAME, json.dumps(asdict(self), indent=1) + "\n")


def read(folder: Path) -> RunStatus | None:
    """Read that of a run; None where there is none. Raises ValueError for what is not one."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return RunStatus(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: does not tell how a run ended ({error})") from error


def find_trace(folder: Path) -> str:
    """Return the name of something in a folder that tells that it was used; "" for none."""
    return next((name for name in TRACES if (folder / name).exists()), "")


@contextmanager
def claim(folder: Path, wait: int = 0) -> Iterator[None]:
    """Keep other processes out of a run's folder; where no run was begun, nothing is left in it.

    wait: for so many seconds, for one that saves itself. Raises BlockingIOError where one is in it.
    """
    if os.name != "posix":
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_WRONLY | os.O_CREAT, 0o666)
    held = False
    try:
        while not (held := _lock(handle, folder)):
            if wait <= 0:
                raise BlockingIOError(f"{folder}: another process trains in it; wait for its end")
            log.info("%s: another process trains in it; waiting %d s for its end", folder, wait)
            time.sleep(5)
            wait -= 5
        yield
    finally:
        if held and not (folder / NAME).exists():
            os.unlink(folder / LOCK)
        os.close(handle)


def _lock(handle: int, folder: Path) -> bool:
    """Lock a file, which no process takes over that loads data; say whether it was free."""
    import fcntl

    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        log.debug("%s cannot be locked: %s", folder, error)  # a file system that knows no locks
    return True
