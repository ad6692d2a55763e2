"""A run in its own process that can be watched, ended and resumed (Linux only)."""

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from processes import list_children

from deblur.config.overrides import literal
from deblur.distributed import FOLLOW
from deblur.jobs import run_status

ROOT = Path(__file__).resolve().parent.parent
SMALL = [
    *(
        "experiment=quick",
        "minutes=null",
        "trainer=cpu",
        "data.batch_size=2",
        "data.crop=32",
        "data.workers=1",
    ),
    *("data.dataset.held_out={crop: 32, val: 4, test: 3}", "blur.motion.length=9"),
    *("model/content=[charbonnier,fft]", "~model.weights.perceptual"),
    *("~model.every.perceptual", "+model.every.fft=3"),
]
"""A small GAN on small crops: a step takes a twentieth of a second."""
PATIENCE = 300
"""Seconds after which a run counts as hanging."""
MARK = ".soak"
"""A file by which the folder of a soak test is known."""


def clear(folder: Path) -> None:
    """Make a folder for a soak test; empty that of an earlier one, and exit for any other."""
    if (folder / MARK).is_file():
        shutil.rmtree(folder)
    elif folder.exists() and not (folder.is_dir() and not os.listdir(folder)):
        sys.exit(f"error: {folder}: neither empty nor of an earlier soak test: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def looks(interval: float) -> Iterator[None]:
    """Yield between checks, then raise TimeoutError. The clock may jump when a machine sleeps."""
    for _ in range(round(PATIENCE / interval)):
        yield
        time.sleep(interval)
    raise TimeoutError


class Watched:
    """A run of train.py; its output goes to a file beside its folder."""

    def __init__(self, folder: Path, settings: list[str]) -> None:
        self.folder = folder
        self.said = folder.with_suffix(".txt")
        self.settings = settings
        self.begun = 0.0

    def start(self, *instead: str) -> None:
        """Start it, or resume it by ckpt=last, or by another setting."""
        begun = (self.folder / run_status.NAME).is_file()
        overrides = instead or (["ckpt=last"] if begun else self.settings)
        place = f"hydra.run.dir={literal(str(self.folder))}"
        self.begun = time.time()
        with open(self.said, "ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "train.py", *overrides, place],
                cwd=ROOT,
                stdout=said,
                stderr=said,
                env={**os.environ, "OMP_NUM_THREADS": "1", FOLLOW: "1"},
            )

    def wait(self) -> int:
        """Wait for its end; return the exit status, or raise TimeoutError if it hangs."""
        for _ in looks(0.1):
            if self.process.poll() is not None:
                break
        return self.process.returncode

    def kill(self) -> None:
        """Kill it; its loading processes end some seconds later."""
        self.process.kill()
        self.process.wait()

    def list_loaders(self) -> list[int]:
        """List the processes that load its data."""
        return list_children(self.process.pid)

    def find_last_words(self) -> str:
        """Return the last line of its output."""
        lines = self.said.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "")

    def count_batches(self) -> int:
        """Return the number of logged batches; -1 if none was logged since its start."""
        path = self.folder / "csv" / "metrics.csv"
        if not path.is_file() or path.stat().st_mtime < self.begun:
            return -1
        return max((int(row["step"]) + 1 for row in self.read_table()), default=0)

    def read_table(self) -> list[dict[str, str]]:
        """Read the logged rows, without times."""
        with open(self.folder / "csv" / "metrics.csv", newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["step"]]
        kept = [{k: v for k, v in row.items() if v and not k.startswith("time/")} for row in rows]
        return [row for row in kept if len(row) > 2]  # an epoch and a step are in each
