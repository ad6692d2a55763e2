"""Blur the test photos by another project's program, to measure a model on blur of another kind.

python scripts/foreign_pairs.py datasets/foreign
python eval.py ckpt=small data=folder data.root=datasets/foreign unsharp=false

32 pairs: each of the four test photos under eight kernels of deepinv's MotionBlurGenerator (paths
of a Gaussian process: Schuler et al., "Learning to Deblur", 2015), convolved by deepinv's Blur in
8-bit values. Requires pip install deepinv.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from deepinv.physics import Blur
from deepinv.physics.generator import MotionBlurGenerator
from PIL import Image

from deblur.data.photos import BUILT_IN
from deblur.media.images import read

PHOTOS = ("cincinnati-bridge.jpg", "gatewayofIndia.webp", "polar_bear.webp", "qutubMinar.webp")
KERNEL = 41
SPREADS = np.linspace(0.2, 0.5, 8)
"""The standard deviations of the paths, in units of half a kernel's side."""


def main() -> None:
    """Write the pairs as PNG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path, help="the folder to write to")
    out: Path = parser.parse_args().out / "test"
    for name in ("blur", "sharp"):
        (out / name).mkdir(parents=True, exist_ok=True)
    make = MotionBlurGenerator((KERNEL, KERNEL))
    rim = KERNEL // 2
    for number, photo in enumerate(PHOTOS):
        pixels = read(BUILT_IN / photo)
        light = torch.tensor(pixels).permute(2, 0, 1)[None] / 255
        for index, spread in enumerate(SPREADS):
            kernel = make.step(sigma=float(spread), seed=8 * number + index)["filter"]
            blurred = Blur(kernel, padding="valid")(light)[0].permute(1, 2, 0)
            name = f"{Path(photo).stem}-{index}.png"
            levels = (blurred * 255).round().clamp(0, 255).byte().numpy()
            Image.fromarray(levels).save(out / "blur" / name)
            Image.fromarray(pixels[rim:-rim, rim:-rim]).save(out / "sharp" / name)
    print(f"{out.parent}: {len(PHOTOS) * len(SPREADS)} pairs")


if __name__ == "__main__":
    main()
