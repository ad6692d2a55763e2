"""How many freshly blurred pairs does one core make in a second?

python benchmarks/loading.py [--crop 256] [--pairs 100]

From decoded photos to `Pair`, one thread, with the blur of conf/blur/trajectory.yaml. The share of
a training step is that of the paper's networks, from benchmarks/training.py.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

CONF = Path(__file__).resolve().parent.parent / "conf"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("eval", overrides=["ckpt=none", f"data.crop={options.crop}"])
        data = instantiate(cfg.data, _convert_="all")
    data.setup("fit")
    photos = data.splits["train"]
    for index in range(30):
        photos[0, index]  # decodes the photos
    seconds = []
    for index in range(options.pairs):
        start = time.perf_counter()
        photos[1, index]
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(f"{options.crop} pixels: {1000 * median:.1f} ms a pair, {1 / median:.0f} pairs a second")


if __name__ == "__main__":
    main()
