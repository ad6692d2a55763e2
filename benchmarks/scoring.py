"""Measure the time and memory for scoring a pair.

python benchmarks/scoring.py [--height 720] [--width 1280] [--runs 7]

In one thread: the median of several runs, in turn, and the memory that the first run adds to the
process.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from kornia.metrics import ssim as kornia_ssim
from torchmetrics.functional.image import structural_similarity_index_measure

from deblur.hardware import PeakMemory
from deblur.metrics import PROTOCOLS, Comparison


def main() -> None:
    """Measure each way of scoring in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sharp = torch.rand(1, 3, options.height, options.width) * 2 - 1
    restored = (sharp + 0.1 * torch.randn(sharp.shape)).clamp(-1, 1)
    x, y = (restored + 1) / 2, (sharp + 1) / 2

    def score(*names: str) -> Callable[[], Any]:
        def work() -> Any:
            pair = Comparison(restored, sharp)
            return [PROTOCOLS[name].score(pair) for name in names]

        return work

    ways = {
        "wang-rgb + matlab-rgb, float64": score("wang-rgb", "matlab-rgb"),
        "wang-rgb, float64": score("wang-rgb"),
        "deblurgan-legacy": score("deblurgan-legacy"),
        "torchmetrics' SSIM alone, float32": lambda: structural_similarity_index_measure(
            x, y, data_range=1.0
        ),
        "kornia's SSIM alone, float32": lambda: kornia_ssim(x, y, 11, 1.0, padding="valid"),
        "kornia's SSIM alone, float64": lambda: kornia_ssim(
            x.double(), y.double(), 11, 1.0, padding="valid"
        ),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    memory: dict[str, int] = {}
    for run in range(options.runs + 1):
        for name, work in ways.items():
            with PeakMemory(torch.device("cpu")) as idle:
                pass
            with PeakMemory(torch.device("cpu")) as peak:
                start = time.perf_counter()
                work()
                taken[name].append(time.perf_counter() - start)
            if idle.peak and peak.peak:
                memory.setdefault(name, peak.peak - idle.peak)
    print(f"one pair of {options.width}x{options.height}, one thread, median of {options.runs}")
    for name, all_of_them in taken.items():
        seconds = statistics.median(all_of_them[1:])
        extra = f"{memory[name] / 1e6:6.0f} MB" if name in memory else ""
        print(f"{name:36}{seconds:7.3f} s {extra}")


if __name__ == "__main__":
    main()
