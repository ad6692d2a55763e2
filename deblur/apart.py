"""A run in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from deblur import outcome
from deblur.outcome import Outcome
from deblur.ranks import FOLLOW
from deblur.run import literal

CONSOLE = "console.txt"


def start(
    script: Path,
    folder: Path,
    overrides: Iterable[str],
    options: Sequence[str] = (),
    *,
    quiet: bool = False,
) -> "subprocess.Popen[bytes]":
    """Start a run in a folder, in a process of its own, or let it go on there.

    quiet: what it prints goes to console.txt in the folder. It is stopped, as by SIGTERM, when the
    process that starts it is gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    go_on = ["ckpt=last"] if is_begun(folder) else []
    place = f"hydra.run.dir={literal(str(folder))}"
    with open(folder / CONSOLE if quiet else os.devnull, "ab") as file:
        console = file if quiet else None
        return subprocess.Popen(
            [sys.executable, str(script), *options, *overrides, *go_on, place],
            stdout=console,
            stderr=console,
            env={**os.environ, FOLLOW: "1", "HYDRA_FULL_ERROR": ""},  # which deblur.run has set
        )


def finish(process: "subprocess.Popen[bytes]", folder: Path) -> Outcome:
    """Wait for such a run, and say how it ended; what was killed has failed."""
    waiting = True
    while waiting:
        try:
            process.wait()
            waiting = False
        except KeyboardInterrupt:
            pass  # the run has got the signal, too, and is saved
    found = outcome.read(folder)
    if found is None or found.status == "running":
        told = f"its process has ended with status {process.returncode}{_last_words(folder)}"
        found = Outcome("failed", found.overrides if found else [], error=told)
        found.write(folder)
    return found


def _last_words(folder: Path) -> str:
    path = folder / CONSOLE
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
    words = [line for line in lines if line.strip()][-1:]
    return "".join(f": {line}" for line in words)


def is_begun(folder: Path) -> bool:
    """Say whether a run in a folder has something to go on from."""
    return (folder / "checkpoints" / "last.ckpt").is_file()
