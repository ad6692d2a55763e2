"""The status of a run, in a file of its folder, and the lock that keeps other processes out."""

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
"""Names by which a folder is known to be used by a run or an evaluation."""


@dataclass(frozen=True)
class RunStatus:
    """How a run ended, or that it is running; a run that was killed stays "running"."""

    status: Literal["running", "finished", "failed", "stopped"]
    overrides: list[str]
    """Its command-line settings except ckpt, which may change when the run resumes."""
    score: float | None = None
    """The best validation PSNR in dB; None if there is none."""
    error: str = ""
    """Why it failed."""
    fault: "Fault" = ""
    """The cause of the failure, if known."""

    def write(self, folder: Path) -> None:
        """Write the status into a run's folder, atomically."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / NAME, json.dumps(asdict(self), indent=1) + "\n")


def read(folder: Path) -> RunStatus | None:
    """Read a run's status; None if there is none. Raises ValueError if the file is damaged."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return RunStatus(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: not the status of a run ({error})") from error


def find_trace(folder: Path) -> str:
    """Return the name of a file or folder that shows that a folder was used; "" if none does."""
    return next((name for name in TRACES if (folder / name).exists()), "")


@contextmanager
def claim(folder: Path, wait: int = 0) -> Iterator[None]:
    """Lock a run's folder against other processes; remove the lock file if no run has started.

    wait: how many seconds to wait for a process that still saves its run. Raises BlockingIOError
    if another process holds the lock.
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
                raise BlockingIOError(f"{folder}: another process trains there; wait for its end")
            log.info("%s: another process trains there; waiting %d s for its end", folder, wait)
            time.sleep(5)
            wait -= 5
        yield
    finally:
        if held and not (folder / NAME).exists():
            os.unlink(folder / LOCK)
        os.close(handle)


def _lock(handle: int, folder: Path) -> bool:
    """Lock a file by a lock that child processes do not inherit; return whether it was free."""
    import fcntl

    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        log.debug("%s cannot be locked: %s", folder, error)  # a file system without locks
    return True
