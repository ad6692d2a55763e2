"""Measure how fast pairs are made and read.

python benchmarks/loading.py [--crop 256] [--pairs 60]

In one thread, from decoded photos to `Pair`, with new pairs each time, and paths so long that the
blur extends over at least 21 pixels on average. Then a frame of GoPro's size: its PNG by our reader
and by Pillow, and a crop from prepared arrays. Then whole batches on the fastest available device.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

from deblur.data.device_blur import collate, develop
from deblur.data.photos import BUILT_IN, Photos
from deblur.hardware import pick_device
from deblur.media.images import read

CONF = Path(__file__).resolve().parent.parent / "conf"
PATHS = {
    "trajectory": ["blur.motion.length=[16,40]"],
    "shake": ["blur.motion.length=[16,40]"],
    "objects": ["blur.motion.length=[16,40]", "blur.motion.background.length=[16,40]"],
    "camera": [
        f"blur.motion.motions.{n}.length=[16,40]" for n in ("trajectory", "shake", "objects")
    ],
}


def make_photos(blur: str, crop: int, paths: list[str]) -> Photos:
    """Build the training photos with a blur."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = ["data=photos", f"blur={blur}", f"data.crop={crop}", *paths]
        data = instantiate(compose("config", overrides=overrides).data, _convert_="all")
    data.setup("fit")
    photos: Photos = data.splits["train"]
    for index in range(40):
        photos.window((0, index))  # decodes the photos
    return photos


def seconds(work: Callable[[int], Any], count: int) -> float:
    """Return the mean time of work(1), work(2) and so on, after a warm-up."""
    work(0)
    start = time.perf_counter()
    for index in range(count):
        work(1 + index)
    return (time.perf_counter() - start) / count


def support(count: int = 200) -> float:
    """Return the mean side of the trajectories' kernels."""
    motion: Any = make_photos("trajectory", 64, PATHS["trajectory"]).blur.motion
    return statistics.mean(
        len(motion.draw(np.random.default_rng(s), (64, 64))) for s in range(count)
    )


def time_reading(crop: int) -> dict[str, float]:
    """Time a 720p frame as a PNG, and a crop of it from an array."""
    with tempfile.TemporaryDirectory() as name:
        png, array = Path(name, "frame.png"), Path(name, "frame.npy")
        photo = Image.open(BUILT_IN / "colosseum.webp").convert("RGB").resize((1280, 720))
        photo.save(png)
        np.save(array, np.stack([np.asarray(photo)] * 2))

        def cut(index: int) -> None:
            both = np.load(array, mmap_mode="r")
            np.array(both[:, index : index + crop, index : index + crop])

        return {
            "720p PNG, ours": seconds(lambda _: read(png), 10),
            "720p PNG, Pillow": seconds(lambda _: np.array(Image.open(png)), 10),
            "crops of a prepared pair": seconds(cut, 100),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=60)
    options = parser.parse_args()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    print(f"{options.crop} pixels, one thread, kernels of {support():.0f} pixels on average\n")
    print("| | ms | a second |\n|---|---:|---:|")
    for blur, paths in PATHS.items():
        photos = make_photos(blur, options.crop, paths)
        taken = seconds(lambda index: photos[1, index], options.pairs)
        print(f"| a pair, blur={blur} | {1000 * taken:.1f} | {1 / taken:.0f} |")
    for what, taken in time_reading(options.crop).items():
        print(f"| {what} | {1000 * taken:.2f} | {1 / taken:.0f} |")
    torch.set_num_threads(threads)
    device = pick_device()
    for blur, paths in PATHS.items():
        photos = make_photos(blur, options.crop, paths)
        batches = [
            collate([photos.window((1, 16 * batch + index)) for index in range(16)])
            for batch in range(2 + options.pairs // 16)
        ]

        def late(index: int) -> None:
            batch = batches[index]
            develop(batch._replace(pixels=batch.pixels.to(device)), photos.blur).blur.sum().item()

        taken = seconds(late, len(batches) - 1) / 16
        print(f"| a pair of 16 on {device}, blur={blur} | {1000 * taken:.2f} | {1 / taken:.0f} |")


if __name__ == "__main__":
    main()
