"""Runs in worker processes of their own."""

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
"""The environment variable with a sweep's process id; joblib's processes may outlive the sweep."""
Process = subprocess.Popen[bytes]


def start(
    script: Path,
    folder: Path,
    overrides: Iterable[str],
    options: Sequence[str] = (),
    *,
    quiet: bool = False,
) -> Process:
    """Start a run in its own process, or resume the run in its folder.

    The run stops itself, as by SIGTERM, if the process that has started it ends.

    Args:
        script: The script, train.py.
        folder: The run's folder.
        overrides: The run's settings.
        options: Options for Hydra.
        quiet: Write the run's output to console.txt in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    resume = ["ckpt=last"] if run_status.read(folder) else []
    place = f"hydra.run.dir={literal(str(folder))}"
    with open(folder / CONSOLE if quiet else os.devnull, "ab") as file:
        console = file if quiet else None
        return subprocess.Popen(
            [sys.executable, str(script), *options, *overrides, *resume, place],
            stdout=console,
            stderr=console,
            # Undo what deblur.jobs.entry_point has set.
            env={**os.environ, FOLLOW: "1", "HYDRA_FULL_ERROR": ""},
        )


def finish(process: Process, folder: Path, overrides: Sequence[str] = ()) -> RunStatus:
    """Wait for a run and return its status; a run that was killed has failed.

    overrides: the run's settings, in case it ends before it can record them.

    An exception while waiting, such as Ctrl-C's, stops the run first and is then raised. If the
    parent process ends and is the sweep's (see SWEEP), both the run and this process are stopped.
    """
    parent = os.getppid()
    try:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            if os.getppid() != parent and os.environ.get(SWEEP) == str(parent):
                stop(process, folder)
                os._exit(1)  # else joblib would start its next job
    except BaseException:
        stop(process, folder)
        raise
    found = run_status.read(folder)
    if found is None or found.status == "running":
        told = _tell_status(process.returncode) + _last_line(folder)
        found = RunStatus("failed", found.overrides if found else [*overrides], error=told)
        with suppress(BlockingIOError), run_status.claim(folder):  # another process may hold it
            found.write(folder)
    return found


def stop(process: Process, folder: Path) -> None:
    """Ask a run to save itself and end, and wait; a second Ctrl-C makes it end at once."""
    process.terminate()
    while process.poll() is None:
        with suppress(KeyboardInterrupt):
            process.wait()
    found = run_status.read(folder)
    if found and found.status == "running":  # it ended before it could record that
        replace(found, status="stopped").write(folder)


def _tell_status(status: int) -> str:
    killed = getattr(signal, "SIGKILL", None)  # which Windows does not have
    if killed and status == -killed:
        return "its process was killed, perhaps for lack of memory"
    return f"its process ended with status {status}"


def _last_line(folder: Path) -> str:
    """Return the last line of a run's output, if it was written to a file."""
    path = folder / CONSOLE
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
    words = [line for line in lines if line.strip()][-1:]
    return "".join(f": {line}" for line in words)
