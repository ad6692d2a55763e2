"""Compare the loss curves of training in bfloat16 and in float32.

python benchmarks/curves.py runs/curves [--steps 200]

Li's GAN on 64-pixel crops of the built-in photos, in batches of four: three seeds in float32, and
seed 0 in bfloat16 (slow where the processor has no units for it). Means of 20 steps are compared
with the spread of the seeds. Writes curves.png and prints a table. Finished runs are not repeated;
those that were stopped, or have fewer steps, are resumed.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deblur.jobs import run_status

WINDOW, BATCH = 20, 4
LOSSES = ("train/charbonnier", "train/perceptual", "train/discriminator", "train/adversarial")


def main() -> None:
    """Train, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    seeds = [_train(options, seed, "32-true") for seed in range(3)]
    ours = _train(options, 0, "bf16-mixed")  # by name: train.py's own choice may be float32
    print(f"Means of {WINDOW} steps, of {options.steps}; the distance is from seed 0 in float32:\n")
    print(
        "| loss | spread of seeds, mean | bfloat16's distance, mean | windows beyond the spread |"
    )
    print("|---|---:|---:|---:|")
    for loss in LOSSES:
        curves = np.stack([_smooth(run[loss]) for run in seeds])
        spread = curves.max(0) - curves.min(0)
        distance = np.abs(_smooth(ours[loss]) - curves[0])
        beyond = f"{(distance > spread).sum()} of {len(spread)}"
        print(f"| {loss} | {spread.mean():.4f} | {distance.mean():.4f} | {beyond} |")
    _draw(options.folder / "curves.png", seeds, ours)


def _train(
    options: argparse.Namespace, seed: int, precision: str
) -> dict[str, NDArray[np.float64]]:
    """Return the losses of each step, by name."""
    folder = options.folder / f"{precision}-{seed}"
    log = folder / "csv" / "metrics.csv"
    losses = _read(log, options.steps) if log.exists() else None
    if losses is None:
        epochs = -(-options.steps // WINDOW)  # of so few steps that --steps can be raised later
        settings = [
            *("experiment=paper", "data=photos", "blur=pinned", "data.crop=64"),
            *(f"data.batch_size={BATCH}", f"seed={seed}"),
            *("trainer.limit_val_batches=0", "trainer.log_every_n_steps=1"),
            *(f"data.dataset.size={BATCH * WINDOW}", f"trainer.max_epochs={epochs}"),
            *(f"trainer.precision={precision}", f"hydra.run.dir={folder}"),
        ]
        if (folder / run_status.NAME).is_file():
            settings.append("ckpt=last")
        if status := subprocess.run([sys.executable, "train.py", *settings]).returncode:
            sys.exit(f"error: train.py has ended with status {status}: {folder}")
        losses = _read(log, options.steps)
    assert losses is not None, f"{log} has too few steps"
    return losses


def _read(log: Path, steps: int) -> dict[str, NDArray[np.float64]] | None:
    with open(log) as file:
        rows = [row for row in csv.DictReader(file) if row.get(LOSSES[0])][:steps]
    if len(rows) < steps:
        return None
    return {loss: np.array([float(row[loss]) for row in rows]) for loss in LOSSES}


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    windows = values[: len(values) // WINDOW * WINDOW].reshape(-1, WINDOW)
    means: NDArray[np.float64] = windows.mean(1)
    return means


def _draw(
    path: Path, seeds: list[dict[str, NDArray[np.float64]]], ours: dict[str, NDArray[np.float64]]
) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(LOSSES), figsize=(14, 3.2), layout="constrained")
    for axis, loss in zip(axes, LOSSES):
        curves = np.stack([_smooth(run[loss]) for run in seeds])
        steps = (np.arange(curves.shape[1]) + 1) * WINDOW
        axis.fill_between(steps, curves.min(0), curves.max(0), alpha=0.3, label="float32, 3 seeds")
        axis.plot(steps, curves[0], label="float32, seed 0")
        axis.plot(steps, _smooth(ours[loss]), "--", label="bfloat16, seed 0")
        axis.set(title=loss.removeprefix("train/"), xlabel="step")
    axes[0].legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
