"""Draw results of the bundled models, and their failures:  make figures

restored.webp is for README, fails.webp for the models' cards. No model was trained on these photos.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor

from deblur import Restorer
from deblur.blur.camera import Camera
from deblur.blur.trajectory import TrajectoryBlur
from deblur.data.listed import Listed
from deblur.data.photos import BUILT_IN
from deblur.inference.example_photos import FOLDER
from deblur.media.image_grid import sheet
from deblur.media.images import read
from deblur.pair import decode

CONF = Path(__file__).resolve().parent.parent / "conf"
SHOWN = {0: (226, 321), 30: (134, 182), 60: (262, 54)}
"""Pictures of the fixed lists, one for each kind of blur, and top and left of the part shown."""
RIM = 50
"""Pixels around that part that the models also get."""


def load(path: Path) -> Tensor:
    """Read a picture: uint8 (3, H, W)."""
    return torch.from_numpy(read(path)).permute(2, 0, 1)


def crop(
    pictures: dict[str, Tensor], top: int, left: int, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Cut the same part out of each."""
    return {name: x[:, top : top + size[0], left : left + size[1]] for name, x in pictures.items()}


def read_lists() -> Listed:
    """Return the test pictures of the fixed lists, as in `data=synthetic`."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", ["data=synthetic"])
    make = instantiate(cfg.data.dataset, _convert_="all")
    pairs: Listed = make(root=None, split="test", crop=256, seed=0)
    return pairs


def main(folder: Path) -> None:
    """Write both into a folder."""
    restorers = {name: Restorer.load(name) for name in ("small", "gan", "maxim-gopro", "maxim")}

    def restore(blurred: Tensor, *names: str) -> dict[str, Tensor]:
        return {"blurred": blurred, **{name: restorers[name].restore(blurred) for name in names}}

    parts = []
    pairs = read_lists()
    for index, (top, left) in SHOWN.items():
        images = {name: decode(getattr(pairs[index], name)) for name in ("blur", "sharp")}
        seen = crop(images, top, left, (300 + 2 * RIM, 420 + 2 * RIM))
        restored = restore(seen["blur"], "small", "maxim-gopro", "maxim")
        parts.append(crop({**restored, "sharp": seen["sharp"]}, RIM, RIM, (300, 420)))
    sheet(folder / "restored.webp", parts)

    camera = Camera(motion=TrajectoryBlur(length=(24, 24), anxiety=(0.003, 0.01)))
    twigs = load(BUILT_IN / "polar_bear.webp")[None, :, :600, :640].contiguous()
    (blurred,), (sharp,) = camera(twigs, [np.random.default_rng(2)])
    clock = load(FOLDER / "clock.png")
    size = (240, 320)
    rows = [crop({**restore(blurred, "small", "gan"), "sharp": sharp}, 150, 160, size)]
    sheet(folder / "fails.webp", [*rows, crop(restore(clock, "small", "gan"), 30, 40, size)])
    print(f"{folder}/restored.webp, fails.webp")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/figures"))
