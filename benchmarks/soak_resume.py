"""Is a run that is killed again and again the run that nobody killed?

python benchmarks/soak_resume.py [runs/soak] [--kills 20] [--in-writes 5] [--seed 0]

Two small runs with the same settings: one is left alone; the other is killed (kill -9) at moments
drawn uniformly over its batches from the seed, and goes on by `train.py hydra.run.dir=...
ckpt=last`. A drawn share of the kills waits for a checkpoint that is being written: its
unfinished file is left. Then both networks, both optimizers, the average weights and every logged
value are compared. Exits with status 1 where anything differs.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deblur.resume import find
from deblur.tables import markdown

ROOT = Path(__file__).resolve().parent.parent
EPOCHS, BATCHES = 8, 25
SECONDS = 0.05
"""About what a batch takes: the part of a drawn moment that is within one."""
SETTINGS = [
    *("experiment=quick", "trainer=cpu", f"trainer.max_epochs={EPOCHS}"),
    *("trainer.log_every_n_steps=1", "save_minutes=0.02"),
    *("data.batch_size=2", "data.crop=32", f"data.dataset.size={2 * BATCHES}", "data.workers=1"),
    *("data.dataset.held_out={crop: 32, val: 4, test: 3}", "blur.motion.length=9"),
    *("model/optimizer=adam", "model.lr=1e-3", "model.average=0.99", "model.generator.dropout=0.5"),
    *("model/content=[charbonnier,fft]", "~model.weights.perceptual"),
    *("~model.every.perceptual", "+model.every.fft=3"),
]


def main() -> None:
    """Run, kill, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "runs" / "soak")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--in-writes", type=int, default=5, help="of them, at least")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    whole, killed = (options.out.resolve() / name for name in ("whole", "killed"))
    rng = np.random.default_rng(options.seed)
    moments = np.sort(rng.uniform(0, EPOCHS * BATCHES, options.kills))
    in_write = rng.permutation(options.kills) < options.in_writes
    print(f"seed {options.seed}: {options.kills} kills in {EPOCHS * BATCHES} batches\n", flush=True)
    finish(whole)
    print("| kill | after batch | of a file | goes on after |\n|---:|---:|---|---:|")
    count = inside = 0
    for moment, wanted in zip(moments, in_write):
        hit = False
        while not hit:  # a file may be there before the signal is: then the next one
            written, last = kill(killed, float(moment), in_write=bool(wanted))
            hit = written or not wanted
            count, inside = count + 1, inside + written
            told = "written" if written else ""
            print(f"| {count} | {moment:.2f} | {told} | {last} |", flush=True)
    finish(killed)
    rows = compare(whole, killed)
    print(f"\n{markdown(['compared', 'values', 'that differ'], rows)}")
    print(f"\n{count} kills, {inside} of them while a checkpoint was written")
    sys.exit(inside < options.in_writes or any(row[2] != "0" for row in rows))


def start(folder: Path) -> "subprocess.Popen[bytes]":
    """Start a run, or let it go on."""
    begun = (folder / ".hydra" / "overrides.yaml").is_file()
    command = [sys.executable, "train.py", *(["ckpt=last"] if begun else SETTINGS)]
    with open(folder.with_suffix(".txt"), "ab") as told:
        return subprocess.Popen(
            [*command, f"hydra.run.dir={folder}"], cwd=ROOT, stdout=told, stderr=told
        )


def finish(folder: Path) -> None:
    """Let a run go to its end."""
    if start(folder).wait():
        sys.exit(f"it has failed: {folder.with_suffix('.txt')}")


def kill(folder: Path, moment: float, *, in_write: bool) -> tuple[bool, int]:
    """Let a run go on to a moment, and kill it there, or in the next write of a checkpoint.

    Gives whether a file was being written, and the batch after which the run goes on.
    """
    begun = time.time()
    process = start(folder)
    while batches(folder, begun) < int(moment):
        check(process, folder)
        time.sleep(0.002)
    time.sleep(moment % 1 * SECONDS)
    while in_write and not unfinished(folder):
        check(process, folder)
    process.kill()
    process.wait()
    return unfinished(folder), find("last", folder).step


def check(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Stop where a run has ended that should go on."""
    if process.poll() is not None:
        sys.exit(f"it has ended too early: {folder.with_suffix('.txt')}")


def batches(folder: Path, since: float) -> int:
    """Count the batches that are in a run's table; none where it has not written since a time."""
    path = folder / "csv" / "metrics.csv"
    if not path.is_file() or path.stat().st_mtime < since:
        return -1
    return max((int(row["step"]) + 1 for row in table(folder)), default=0)


def unfinished(folder: Path) -> bool:
    """Say whether a checkpoint is being written, or was when its process ended."""
    if not (folder / "checkpoints").is_dir():
        return False
    return any(name.endswith(".part") for name in os.listdir(folder / "checkpoints"))


def table(folder: Path) -> list[dict[str, str]]:
    """Read a run's table, without times."""
    with open(folder / "csv" / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["step"]]
    kept = [{k: v for k, v in row.items() if v and not k.startswith("time/")} for row in rows]
    return [row for row in kept if len(row) > 2]  # an epoch and a step are in each


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Read what TensorBoard shows, without times."""
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    tags = [tag for tag in found.Tags()["scalars"] if not tag.startswith("time/")]
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in tags}


def compare(one: Path, other: Path) -> list[list[str]]:
    """Count the values of two runs, and those that differ."""
    files = [torch.load(f / "checkpoints" / "last.ckpt", weights_only=True) for f in (one, other)]
    rows = []
    for name in ("generator", "discriminator", "average"):
        states = [
            {k: v for k, v in file["state_dict"].items() if k.startswith(f"{name}.")}
            for file in files
        ]
        rows.append([f"{name}'s weights", *count(*states)])
    for place, name in enumerate(("generator", "discriminator")):
        states = [file["optimizer_states"][place]["state"] for file in files]
        rows.append([f"{name}'s optimizer", *count(*states)])
    rows.append(["best validation", *count(*(file["callbacks"]["Checkpoints"] for file in files))])
    rows.append(["TensorBoard's scalars", *count(events(one), events(other))])
    rows.append(["the table's", *count(table(one), table(other))])
    return rows


def count(one: Any, other: Any) -> tuple[str, str]:
    """Count the numbers of two nested containers, and those that differ or are in one alone."""
    flat = [dict(flatten(each)) for each in (one, other)]
    keys = flat[0].keys() | flat[1].keys()
    nothing = torch.empty(0)
    pairs = [[torch.as_tensor(each.get(key, nothing)) for each in flat] for key in keys]
    differ = sum(
        int((a != b).sum()) if a.shape == b.shape else max(a.numel(), b.numel()) for a, b in pairs
    )
    return f"{sum(a.numel() for a, _ in pairs):,}", f"{differ:,}"


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """List the numbers and tensors in nested containers by their paths."""
    if isinstance(value, (dict, list, tuple)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flatten(inner, f"{path}/{key}")
    else:
        yield path, float(value) if isinstance(value, str) else value


if __name__ == "__main__":
    main()
