"""Measure the time and memory for restoring a photo.

python benchmarks/restoring.py [--model small] [--megapixels 1 12 24 48] [--precision auto]

Each photo is restored twice in its own process, as by `deblur photo.png`, including reading and
writing; the memory is the process' peak. The photos are copies of a built-in one, side by side.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

PHOTO = Path("deblur/assets/photos/cincinnati-bridge.jpg")
CHILD = """
import json, sys, time
from pathlib import Path
import torch
from deblur.hardware import PeakMemory, keep_memory
from deblur.restoration.restorer import Restorer
model, source, target, precision = sys.argv[1:]
keep_memory()
with PeakMemory(torch.device("cpu")) as peak:
    restorer = Restorer.load(model, precision=precision)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        restorer.restore_file(Path(source), Path(target), overwrite=True)
        seconds.append(time.perf_counter() - start)
print(json.dumps({"seconds": seconds, "bytes": peak.peak}))
"""


def main() -> None:
    """Restore photos of several sizes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", default="small")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 12, 24, 48])
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print("| megapixels | s to start | s the first time | s | s a megapixel | MB |")
        print("|---:|---:|---:|---:|---:|---:|")
        for millions in options.megapixels:
            photo = _make_photo(Path(folder), millions)
            arguments = [options.model, str(photo), f"{folder}/out.png", options.precision]
            start = time.perf_counter()
            child = [sys.executable, "-c", CHILD, *arguments]
            said = subprocess.run(child, capture_output=True, text=True, check=True).stdout
            told = json.loads(said)
            first, second = told["seconds"]
            begun = time.perf_counter() - start - first - second
            print(
                f"| {millions:g} | {begun:.1f} | {first:.2f} | {second:.2f} "
                f"| {second / millions:.2f} | {told['bytes'] / 1e6:.0f} |",
                flush=True,
            )


def _make_photo(folder: Path, millions: float) -> Path:
    """Write a photo of 3:2, made of copies of a built-in one, as PNG."""
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    height = round((millions * 1e6 / 1.5) ** 0.5)
    width = round(height * 1.5)
    times = (-(-height // photo.shape[0]), -(-width // photo.shape[1]), 1)
    path = folder / "photo.png"
    Image.fromarray(np.tile(photo, times)[:height, :width]).save(path, compress_level=1)
    return path


if __name__ == "__main__":
    main()
