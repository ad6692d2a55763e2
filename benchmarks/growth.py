"""Measure how time and memory grow with sizes and counts.

python benchmarks/growth.py docs/figures/growth.png

Each point is measured in its own process: the second run is timed, and the peak memory is that of
both. Prints a table with the slope of each curve, by least squares between logarithms: 1 means
proportional. Photos are restored by a U-Net of width 16; everything else uses Li's networks. Ranks
are processes of train.py with trainer=ddp, with one thread each; their memory is the largest one's.
"""

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Curve(NamedTuple):
    """A curve to measure: what is run for each value."""

    name: str
    unit: str
    values: tuple[float, ...]


CURVES = (
    Curve("restore", "megapixels", (0.06, 0.25, 1, 4, 12, 24)),
    Curve("batch", "256x256 images at once", (1, 2, 4, 8, 16)),
    Curve("crop", "pixels of a side, a training step of 4", (64, 128, 192, 256)),
    Curve("cores", "threads, a frame of 1280x720", (1, 2)),
    Curve("step", "threads, a training step of 4 at 128 pixels", (1, 2)),
    Curve("ranks", "gloo ranks, a training step of 4 at 128 pixels", (1, 2)),
)


def main() -> None:
    """Measure, print and draw; or run one point, in a process started for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("picture", type=Path)
    parser.add_argument("--point", nargs=2, metavar=("CURVE", "VALUE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(_run(options.point[0], float(options.point[1]))))
        return
    print("| what grows | values | s | slope | MB | slope |\n|---|---|---|---:|---|---:|")
    measured = {}
    for curve in CURVES:
        points = [_ask(options.picture, curve.name, value) for value in curve.values]
        measured[curve] = points
        seconds, memory = zip(*points)
        values = np.log(curve.values)
        slopes = [np.polyfit(values, np.log(figures), 1)[0] for figures in (seconds, memory)]
        print(
            f"| {curve.unit} | {', '.join(f'{value:g}' for value in curve.values)} "
            f"| {', '.join(f'{each:.2f}' for each in seconds)} | {slopes[0]:.2f} "
            f"| {', '.join(f'{each / 1e6:.0f}' for each in memory)} | {slopes[1]:.2f} |",
            flush=True,
        )
    _draw(options.picture, measured)


def _ask(picture: Path, curve: str, value: float) -> tuple[float, float]:
    command = [sys.executable, __file__, str(picture), "--point", curve, str(value)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds, memory = json.loads(said.splitlines()[-1])
    return seconds, memory


def _run(curve: str, value: float) -> tuple[float, int | None]:
    """Return the seconds of a point's second run, and its peak memory in bytes."""
    if curve == "ranks":
        return _train(int(value))
    import torch

    from deblur.hardware import PeakMemory, keep_memory

    if curve in ("cores", "step"):
        torch.set_num_threads(int(value))
    if curve not in ("crop", "step"):  # as train.py
        keep_memory()
    with PeakMemory(torch.device("cpu")) as memory:
        work = _prepare(curve, value)
        work()
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
    return seconds, memory.peak


def _train(ranks: int) -> tuple[float, int]:
    """Return the median seconds of a batch in train.py, without the first, and the peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        settings = [
            *("experiment=paper", "data=photos", "data.crop=128", "data.batch_size=4"),
            *("data.workers=0", "trainer.max_epochs=1", "trainer.limit_train_batches=6"),
            *("trainer.limit_val_batches=0", "trainer.log_every_n_steps=1"),
            *(("trainer=ddp", f"trainer.devices={ranks}") if ranks > 1 else ("trainer=cpu",)),
            f"hydra.run.dir={folder}",
        ]
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "train.py", *settings], check=True, env=alone)
        with open(Path(folder) / "csv" / "metrics.csv", encoding="utf-8") as file:
            times = [float(row["time/batch"]) for row in csv.DictReader(file) if row["time/batch"]]
    return statistics.median(times[1:]), _peak_of_children()


def _peak_of_children() -> int:
    """Return the peak memory in bytes of the largest process that has ended."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _prepare(curve: str, value: float) -> Callable[[], Any]:
    import torch
    from training import Step

    from deblur.inference import adapt
    from deblur.networks import ResNet, UNet
    from deblur.restoration.restorer import Restorer

    cpu = torch.device("cpu")
    if curve == "restore":
        height = round((value * 1e6 / 1.5) ** 0.5)
        photo = torch.rand(3, height, round(height * 1.5)) * 2 - 1
        restorer = Restorer(UNet(width=16), device="cpu")
        return lambda: restorer.restore(photo)
    if curve in ("crop", "step"):
        crop = int(value) if curve == "crop" else 128
        step, images = Step(crop), torch.rand(2, 4, 3, crop, crop) * 2 - 1
        return lambda: step(*images)
    shape = (int(value), 3, 256, 256) if curve == "batch" else (1, 3, 720, 1280)
    blur = torch.rand(*shape) * 2 - 1
    swift = adapt(ResNet(), cpu)

    def forward() -> None:
        with torch.inference_mode():
            swift(blur)

    return forward


def _draw(path: Path, measured: dict[Curve, list[tuple[float, float]]]) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(measured), figsize=(18, 6), layout="constrained")
    for column, (curve, points) in zip(axes.T, measured.items()):
        for axis, figures, unit in zip(column, zip(*points), ("s", "MB")):
            scaled = [each / (1e6 if unit == "MB" else 1) for each in figures]
            axis.plot(curve.values, scaled, "o-")
            axis.set_ylim(0, 1.1 * max(scaled))
            if len(points) > 2:
                axis.set_xscale("log")
            if len(points) > 2 and unit == "s":
                axis.set_yscale("log")
                axis.set_ylim(min(scaled) / 1.5, 1.5 * max(scaled))
                axis.set_yticks(scaled, [f"{each:.2g}" for each in scaled])
                axis.set_yticks([], minor=True)
            axis.set_xticks(curve.values, [f"{value:g}" for value in curve.values])
            axis.set_xticks([], minor=True)
            axis.set(xlabel=curve.unit.replace(", ", ",\n").replace(" at ", "\nat "), ylabel=unit)
            axis.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
