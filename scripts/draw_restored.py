"""Draw what the models that come along do, and where they fail:  make figures

restored.webp is README's, fails.webp their cards'. None of these photos was trained on.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deblur import Restorer
from deblur.blur.camera import Camera
from deblur.blur.trajectory import TrajectoryBlur
from deblur.data.photos import BUILT_IN
from deblur.examples import FOLDER
from deblur.images import read
from deblur.sheets import sheet

# Of each example, top and left of the part that is shown; the last is really blurred.
SHOWN = {"tower.jpg": (60, 180), "bear.jpg": (240, 500), "cockatoo.png": (20, 115)}


def load(path: Path) -> Tensor:
    """Read a picture: uint8 (3, H, W)."""
    return torch.from_numpy(read(path)).permute(2, 0, 1)


def crop(
    pictures: dict[str, Tensor], top: int, left: int, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Cut the same part out of each."""
    return {name: x[:, top : top + size[0], left : left + size[1]] for name, x in pictures.items()}


def main(folder: Path) -> None:
    """Write both into a folder."""
    restorers = {name: Restorer.load(name) for name in ("small", "gan")}

    def restore(blurred: Tensor) -> dict[str, Tensor]:
        restored = {name: restorer.restore(blurred) for name, restorer in restorers.items()}
        return {"blurred": blurred, **restored}

    parts = [crop(restore(load(FOLDER / name)), *at, (300, 420)) for name, at in SHOWN.items()]
    sheet(folder / "restored.webp", parts)

    camera = Camera(motion=TrajectoryBlur(length=(24, 24), anxiety=(0.003, 0.01)))
    twigs = load(BUILT_IN / "polar_bear.webp")[None, :, :600, :640].contiguous()
    (blurred,), (sharp,) = camera(twigs, [np.random.default_rng(2)])
    clock = load(FOLDER / "clock.png")
    size = (240, 320)
    rows = [crop({**restore(blurred), "sharp": sharp}, 150, 160, size)]
    sheet(folder / "fails.webp", [*rows, crop(restore(clock), 30, 40, size)])
    print(f"{folder}/restored.webp, fails.webp")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/figures"))
