"""Test that a run that is killed repeatedly equals an uninterrupted one.

python benchmarks/soak_resume.py [runs/soak_resume] [--kills 20] [--in-writes 5] [--seed 0]

Two small runs have the same settings. One is uninterrupted; the other is killed (kill -9) at times
drawn uniformly over its batches from the seed, and resumed by hydra.run.dir=FOLDER ckpt=last. Some
of the kills wait until a checkpoint is being written, and leave an unfinished file. Then both
networks, both optimizers and their rates, the average weights, everything else in the newest and
the best checkpoint, and every logged value are compared. Exits with status 1 if anything differs.
What an earlier soak test left in the folder is removed; any other folder is refused unless it is
empty.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from watched import ROOT, SMALL, Watched, clear

from deblur.evaluation.tables import markdown
from deblur.jobs.resume import find

EPOCHS, BATCHES = 8, 25
SECONDS = 0.05
"""About the seconds of a batch: for drawn times within one."""
SETTINGS = [
    *(*SMALL, f"trainer.max_epochs={EPOCHS}", f"data.dataset.size={2 * BATCHES}"),
    *("trainer.log_every_n_steps=1", "save_minutes=0.02"),
    *("model/optimizer=adam", "model.lr=1e-3", "model.average=0.99", "model.generator.dropout=0.5"),
]


def main() -> None:
    """Run, kill, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "runs" / "soak_resume")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument(
        "--in-writes", type=int, default=5, help="the least number of kills during writes"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    clear(options.out.resolve())
    whole, killed = (Watched(options.out.resolve() / name, SETTINGS) for name in ("whole", "kill"))
    rng = np.random.default_rng(options.seed)
    moments = np.sort(rng.uniform(0, EPOCHS * BATCHES, options.kills))
    in_write = rng.permutation(options.kills) < options.in_writes
    print(f"seed {options.seed}: {options.kills} kills in {EPOCHS * BATCHES} batches\n", flush=True)
    finish(whole)
    print("| kill | after batch | during a write | resumes after |\n|---:|---:|---|---:|")
    kills = hits = 0
    for moment, wanted in zip(moments, in_write):
        hit = False
        while not hit:  # the write may end before the signal arrives: then wait for the next one
            written = kill(killed, float(moment), in_write=bool(wanted))
            hit = written or not wanted
            kills, hits = kills + 1, hits + written
            told = f"| {kills} | {moment:.2f} | {'written' if written else ''} "
            print(f"{told}| {find('last', killed.folder).step} |", flush=True)
    finish(killed)
    rows = compare(whole, killed)
    print(f"\n{markdown(['compared', 'values', 'that differ'], rows)}")
    print(f"\n{kills} kills, {hits} of them while a checkpoint was written")
    sys.exit(hits < options.in_writes or any(row[2] != "0" for row in rows))


def finish(run: Watched) -> None:
    """Run until the end."""
    run.start()
    if run.wait():
        sys.exit(f"it has failed: {run.said}")


def kill(run: Watched, moment: float, *, in_write: bool) -> bool:
    """Resume a run until a given time, and kill it then, or in the next write of a checkpoint.

    Returns whether a file was being written.
    """
    run.start()
    while run.count_batches() < int(moment):
        check(run)
        time.sleep(0.005)
    time.sleep(moment % 1 * SECONDS)
    while in_write and not is_written(run.folder / "checkpoints"):
        check(run)
    run.kill()
    return is_written(run.folder / "checkpoints")


def check(run: Watched) -> None:
    """Exit if a run has ended that should continue."""
    if run.process.poll() is not None:
        sys.exit(f"it has ended too early: {run.said}")


def is_written(folder: Path) -> bool:
    """Return whether a checkpoint is being written, or was when its process ended."""
    return folder.is_dir() and any(name.endswith(".part") for name in os.listdir(folder))


def compare(one: Watched, other: Watched) -> list[list[str]]:
    """Count the values of two runs, and those that differ."""
    pairs: dict[str, list[Any]] = {}
    for run in (one, other):
        for name, value in collect(run).items():
            pairs.setdefault(name, []).append(value)
    return [[name, *count(*pair)] for name, pair in pairs.items()]


def collect(run: Watched) -> dict[str, Any]:
    """Collect all results of a run, except for times."""
    last, best = (
        torch.load(run.folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        for name in ("last", "best")
    )
    weights = last.pop("state_dict")
    found = {
        f"{name}'s weights": {k: v for k, v in weights.items() if k.startswith(f"{name}.")}
        for name in ("generator", "discriminator", "average")
    }
    for name, optimizer in zip(("generator", "discriminator"), last.pop("optimizer_states")):
        found[f"{name}'s optimizer"] = optimizer["state"]
        found[f"{name}'s rates"] = optimizer["param_groups"]
    events = EventAccumulator(str(run.folder), size_guidance={"scalars": 0}).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith("time/")]
    scalars = {tag: sorted((one.step, one.value) for one in events.Scalars(tag)) for tag in tags}
    return found | {
        "all else in last.ckpt": last,
        "best.ckpt": best,
        "TensorBoard's scalars": scalars,
        "the table": run.read_table(),
    }


def count(one: Any, other: Any) -> tuple[str, str]:
    """Count the values in two nested containers, and those that differ or are in only one."""
    flat = [dict(flatten(each)) for each in (one, other)]
    total = differ = 0
    for key in flat[0].keys() | flat[1].keys():
        a, b = (torch.as_tensor(each.get(key, torch.empty(0))) for each in flat)
        total += max(a.numel(), b.numel())
        same = a.shape == b.shape and a.dtype == b.dtype
        differ += int((a != b).sum()) if same else max(a.numel(), b.numel())
    return f"{total:,}", f"{differ:,}"


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """List the numbers and tensors in nested containers by path; other values join the path."""
    if isinstance(value, (dict, list, tuple)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flatten(inner, f"{path}/{key}")
    elif isinstance(value, (int, float, torch.Tensor)):
        yield path, value
    else:
        yield f"{path}: {value}", True


if __name__ == "__main__":
    main()
