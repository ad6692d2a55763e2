"""A run in a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from deblur.config.overrides import literal
from deblur.distributed import FOLLOW
from deblur.jobs import run_status
from deblur.jobs.run_status import RunStatus

CONSOLE = "console.txt"
SWEEP = "DEBLUR_SWEEP"
"""In the environment of the processes that a sweep starts: its number. Joblib's outlive it."""
Process = subprocess.Popen[bytes]


def start(
    script: Path,
    folder: Path,
    overrides: Iterable[str],
    options: Sequence[str] = (),
    *,
    quiet: bool = False,
) -> Process:
    """Start a run in a folder, in a process of its own, or let it go on there.

    quiet: what it prints goes to console.txt in the folder. It is stopped, as by SIGTERM, when the
    process that starts it is gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    go_on = ["ckpt=last"] if run_status.read(folder) else []
    place = f"hydra.run.dir={literal(str(folder))}"
    with open(folder / CONSOLE if quiet else os.devnull, "ab") as file:
        console = file if quiet else None
        return subprocess.Popen(
            [sys.executable, str(script), *options, *overrides, *go_on, place],
            stdout=console,
            stderr=console,
            # HYDRA_FULL_ERROR is what deblur.jobs.entry_point has set.
            env={**os.environ, FOLLOW: "1", "HYDRA_FULL_ERROR": ""},
        )


def finish(process: Process, folder: Path, overrides: Sequence[str] = ()) -> RunStatus:
    """Wait for such a run, and say how it ended; what was killed has failed.

    overrides: its settings, for one that has ended before it could note them.

    An exception meanwhile, such as Ctrl-C's, stops the run before it goes on. So does the end of
    the process that is named by SWEEP in the environment, which ends this one, too.
    """
    parent = os.getppid()
    try:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            if os.getppid() != parent and os.environ.get(SWEEP) == str(parent):
                stop(process, folder)
                os._exit(1)  # else joblib would begin with its next job
    except BaseException:
        stop(process, folder)
        raise
    found = run_status.read(folder)
    if found is None or found.status == "running":
        told = _tell_status(process.returncode) + _last_words(folder)
        found = RunStatus("failed", found.overrides if found else [*overrides], error=told)
        with suppress(BlockingIOError), run_status.claim(folder):  # else it is another process's
            found.write(folder)
    return found


def stop(process: Process, folder: Path) -> None:
    """Let such a run save itself and end; a second Ctrl-C, which it gets, too, hurries it."""
    process.terminate()
    while process.poll() is None:
        with suppress(KeyboardInterrupt):
            process.wait()
    found = run_status.read(folder)
    if found and found.status == "running":  # it was not far enough to note its end
        replace(found, status="stopped").write(folder)


def _tell_status(status: int) -> str:
    if status == -signal.SIGKILL:
        return "its process was killed, as by a system that lacks memory"
    return f"its process has ended with status {status}"


def _last_words(folder: Path) -> str:
    path = folder / CONSOLE
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
    words = [line for line in lines if line.strip()][-1:]
    return "".join(f": {line}" for line in words)
