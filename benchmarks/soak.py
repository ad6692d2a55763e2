"""Test that a run survives hours of faults.

python benchmarks/soak.py [runs/soak] [--hours 2] [--every 4] [--seed 0]

A small GAN is trained on a copy of the built-in photos. Every few minutes a fault occurs, and the
run is resumed by ckpt=last; the seed determines the faults and their times:

kill         it is killed (kill -9)
full disk    its disk is filled to the last byte, and it is started once while the disk is full
checkpoint   it is killed, and last.ckpt truncated to half: the offered checkpoint is used
picture      it is stopped (SIGTERM), and one of its photos truncated (data.unreadable=skip)
loader       a process that loads its data is killed

Its messages are checked each time. At the end no epoch and no row of its table may be missing or
duplicate, and after the first tenth of the time neither the memory nor the open files of all its
processes may change by more than 3%. Exits with status 1 if anything else is found.

What an earlier soak test left in the folder is removed; any other folder is refused unless it is
empty. The disk is a tmpfs of 256 MB in its own mount namespace, which Linux allows any user to
create if user namespaces are enabled.
"""

import argparse
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from processes import Sample, Verdict, judge, measure
from watched import ROOT, SMALL, Watched, clear, looks

from deblur.data.bounds import list_own
from deblur.data.photos import BUILT_IN
from deblur.evaluation.tables import markdown
from deblur.jobs import run_status
from deblur.jobs.resume import find

SIZE = 256 * 2**20
LOG_EVERY = 10
LOOK = 2.0
"""Seconds between two checks of its processes."""
LOADERS = 2
"""The number of loading processes after its first validation."""
SETTINGS = [
    *(*SMALL, "data.dataset.size=800", "data.unreadable=skip", "save_minutes=0.25"),
    *("model.average=0.99", "model.generator.dropout=0.5", "model.lr=1e-4"),
    *("trainer.max_epochs=100000", f"trainer.log_every_n_steps={LOG_EVERY}"),
]


class Unexpected(Exception):
    """A run has not behaved as expected."""


def main() -> None:
    """Train, cause faults, and check the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "runs" / "soak")
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--every", type=float, help="minutes between faults (default 4 or fewer)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--apart", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.apart:
        if not shutil.which("unshare"):
            sys.exit("error: no command unshare found: this requires Linux with util-linux")
        command = ["unshare", "--map-root-user", "--mount", sys.executable, *sys.argv, "--apart"]
        os.execvp(command[0], command)
    out: Path = options.out.resolve()
    clear(out)
    every = options.every or min(4, 6 * options.hours)
    print(f"seed {options.seed}: {options.hours:g} hours, a fault every {every:g} minutes\n")
    with small_disk(out / "disk") as disk:
        soak = Soak(disk, np.random.default_rng(options.seed))
        soak.make_trouble(3600 * options.hours, 60 * every)
        soak.finish()
        with open(out / "processes.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([Sample._fields, *soak.samples])
        verdicts = soak.judge()
    rows = [[name, found, "yes" if good else "**no**"] for name, found, good in verdicts]
    print(f"\n{markdown(['', 'found', 'as it should'], rows)}")
    sys.exit(not all(good for _, _, good in verdicts))


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a separate disk for a block; keep its files when it is unmounted."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        shutil.copytree(folder, folder.with_name("kept"))


class Soak:
    """A run, and the faults that it is exposed to."""

    def __init__(self, disk: Path, rng: np.random.Generator) -> None:
        self.disk, self.rng = disk, rng
        shutil.copytree(BUILT_IN, disk / "photos")
        self.run = Watched(disk / "run", [*SETTINGS, f"data.root={disk / 'photos'}"])
        self.run.said = disk.with_name("said.txt")  # not on a disk that will be full
        self.checkpoints = self.run.folder / "checkpoints"
        training = list_own(disk / "photos")[2:10]  # the first two are not
        self.photos = [training[place] for place in rng.permutation(len(training))]
        self.damaged: list[Path] = []
        self.told: list[str] = []
        self.samples: list[Sample] = []
        self.seconds = 0.0  # of training: other clocks jump when a machine sleeps
        self.lives = self.bad = self.epochs = 0

    def make_trouble(self, seconds: float, every: float) -> None:
        """Train for some seconds, with a given mean time between two faults."""
        print("| minute | fault | what it says | as it should | batches lost | s to train again |")
        print("|---:|---|---|---|---:|---:|", flush=True)
        faults = [self.kill, self.full_disk, self.checkpoint, self.picture, self.loader]
        turn: list[int] = []
        self.start(0)
        while self.seconds < seconds:
            turn = turn or [*self.rng.permutation(len(faults))]
            self.strike(faults[turn.pop()], float(self.rng.exponential(every)))

    def strike(self, fault: Callable[[], str], seconds: float) -> None:
        """Train for some seconds, cause a fault, resume the run, and print a row."""
        ckpt, right, before = "last", "yes", 0
        self.told = []
        try:
            self.train(seconds)
            before = self.run.count_batches()
            ckpt = fault()
        except Unexpected as error:
            right = f"**no**: {error}"
            self.bad += 1
            self.run.kill()
        said = "; then ".join(self.told).replace(f"{self.disk}/", "")
        try:
            step = find(ckpt, self.run.folder).step
        except ValueError:  # it was killed before it replaced the one that was cut in half
            ckpt = str(self.checkpoints / "previous.ckpt")
            step = find(ckpt, self.run.folder).step
        again = self.start(step, f"ckpt={ckpt}")
        told = f"| {self.seconds / 60:.1f} | {fault.__name__.replace('_', ' ')} | {said} | {right} "
        print(f"{told}| {max(0, before - step)} | {again:.0f} |", flush=True)

    def start(self, step: int, *overrides: str) -> float:
        """Resume it from a step; return the seconds until it trains."""
        begun = time.monotonic()
        self.lives += 1
        self.run.start(*overrides)
        for _ in looks(0.2):
            if self.run.count_batches() > step:
                break
            if self.run.process.poll() is not None:
                sys.exit(f"it does not go on: {self.run.find_last_words()}")
        return time.monotonic() - begun

    def train(self, seconds: float) -> None:
        """Train for some time, and until two checkpoints exist; check its processes."""
        end = self.seconds + seconds
        while self.seconds < end or not (self.checkpoints / "previous.ckpt").is_file():
            time.sleep(LOOK)
            self.seconds += LOOK
            if self.run.process.poll() is not None:
                raise Unexpected("it ended by itself")
            loaders = self.run.list_loaders()
            if len(loaders) == LOADERS:
                held = measure([self.run.process.pid, *loaders])
                self.samples.append(Sample(self.seconds, self.lives, *held))

    def expect(self, status: int, words: str = ".*") -> None:
        """Wait for its end, and check its status and its last line."""
        try:
            found = self.run.wait()
        except TimeoutError:
            raise Unexpected("it hangs") from None
        told = self.run.find_last_words()
        self.told += [told] * told.startswith("error: ")
        if found != status or not re.fullmatch(words, told):
            raise Unexpected(f"status {found}, expected {status} and {words}")

    def kill(self) -> str:
        """It is killed."""
        self.run.kill()
        return "last"

    def full_disk(self) -> str:
        """Its disk is filled, and it is started once while the disk is full."""
        filler = self.disk / "filler"
        with open(filler, "wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(2**16))
        try:
            self.expect(1, "error: .*/.*No space left on device.*")
            self.run.start()
            self.expect(1, "error: .*No space left on device.*")
        finally:
            filler.unlink()
        return "last"

    def checkpoint(self) -> str:
        """Its newest checkpoint is truncated to half."""
        last, previous = (self.checkpoints / f"{name}.ckpt" for name in ("last", "previous"))
        self.run.kill()
        os.truncate(last, last.stat().st_size // 2)
        self.run.start()
        self.expect(1, f"error: {last}: damaged .*; {previous} is intact: ckpt={previous}")
        return str(previous)

    def picture(self) -> str:
        """Between two starts one of its photos is truncated, and the previous one is restored."""
        self.run.process.terminate()
        self.expect(128 + signal.SIGTERM)
        for whole in self.damaged[-1:]:
            shutil.copy(BUILT_IN / whole.name, whole)
        photo = self.photos[len(self.damaged) % len(self.photos)]
        os.truncate(photo, photo.stat().st_size // 2)
        self.damaged.append(photo)
        return "last"

    def loader(self) -> str:
        """A process that loads its data is killed."""
        os.kill(self.run.list_loaders()[0], signal.SIGKILL)
        self.expect(1, r"error: a loading process has died .*; it held \S+\.\w+")
        return "last"

    def finish(self) -> None:
        """Stop it, and resume it until the end of the epoch."""
        self.run.process.terminate()
        self.expect(128 + signal.SIGTERM)
        self.epochs = torch.load(self.checkpoints / "last.ckpt", weights_only=True)["epoch"] + 1
        self.run.start("ckpt=last", f"trainer.max_epochs={self.epochs}")
        self.expect(0)

    def judge(self) -> list[Verdict]:
        """Return what was found for each requirement, and whether it is met."""
        said = self.run.said.read_text(encoding="utf-8", errors="replace")
        named = sum(f"{photo}: not a readable picture" in said for photo in self.damaged)
        rows = self.run.read_table()
        epochs = Counter(int(row["epoch"]) for row in rows if "val/psnr" in row)
        steps = Counter(int(row["step"]) + 1 for row in rows if "train/generator" in row)
        last = torch.load(self.checkpoints / "last.ckpt", weights_only=True)
        batches = last["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"]
        end = run_status.read(self.run.folder)
        lives = [[*life] for _, life in groupby(self.samples, lambda sample: sample.life)]
        starts = f"{self.lives}, {self.bad} of them after something else than expected"
        status = end.status if end else "none"
        return [
            ("starts", starts, not self.bad),
            ("damaged photos", f"{named} of {len(self.damaged)} named", named == len(self.damaged)),
            ("epochs", *describe(epochs, range(self.epochs))),
            ("rows", *describe(steps, range(LOG_EVERY, batches + 1, LOG_EVERY))),
            ("its end", status, status == "finished"),
            *judge("in all", self.samples),
            *judge("in the longest life", max(lives, key=len, default=[])),
        ]


def describe(found: Counter[int], wanted: Iterable[int]) -> tuple[str, bool]:
    """Return how many of some numbers were found, and what is wrong with them."""
    expected = Counter(wanted)
    lacking, double = (sum(counter.values()) for counter in (expected - found, found - expected))
    return f"{found.total()}, {lacking} lacking, {double} too many", not lacking + double


if __name__ == "__main__":
    main()
