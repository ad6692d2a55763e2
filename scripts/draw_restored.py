"""Draw what the models that come along do, and where they fail:  make figures

restored.webp (README) has rows of blurred, `small`, `gan`; fails.webp (their cards) of blurred,
`small`, `gan`, sharp. None of these photos was trained on.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from deblur import Restorer
from deblur.blur.camera import Camera
from deblur.blur.trajectory import TrajectoryBlur
from deblur.examples import FOLDER
from deblur.images import read

MODELS = ("small", "gan")
GAP = 4
# Of each example, left and top of the part that is shown; the last is really blurred.
SHOWN = {"tower.jpg": (180, 60), "bear.jpg": (500, 240), "cockatoo.png": (115, 20)}


def blur_twigs() -> tuple[Image.Image, Image.Image]:
    """Blur the bear's left half by paths of 24 pixels; give blurred and sharp."""
    sharp = read(Path("deblur/assets/photos/polar_bear.webp"))[:600, :640]
    camera = Camera(motion=TrajectoryBlur(length=(24, 24), anxiety=(0.003, 0.01)))
    pixels = torch.from_numpy(sharp).permute(2, 0, 1)[None].contiguous()
    blurred, _ = camera(pixels, [np.random.default_rng(2)])
    picture = Image.fromarray(blurred[0].permute(1, 2, 0).numpy())
    left, top = (640 - picture.width) // 2, (600 - picture.height) // 2
    box = (left, top, left + picture.width, top + picture.height)
    return picture, Image.fromarray(sharp).crop(box)


def draw(rows: list[list[Image.Image]], path: Path) -> None:
    """Lay rows of equal pictures out on white."""
    width, height = rows[0][0].size
    columns = max(map(len, rows))
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, len(rows) * (height + GAP) - GAP))
    sheet.paste("white", (0, 0, *sheet.size))
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture, (x * (width + GAP), y * (height + GAP)))
    sheet.save(path, quality=85)
    print(path)


def main(folder: Path) -> None:
    """Draw both into a folder."""
    restorers = [Restorer.load(name) for name in MODELS]

    def row(
        blurred: Image.Image, left: int, top: int, size: tuple[int, int], *more: Image.Image
    ) -> list[Image.Image]:
        pictures = [blurred, *(restorer.restore(blurred) for restorer in restorers), *more]
        box = (left, top, left + size[0], top + size[1])
        return [picture.crop(box) for picture in pictures]

    rows = []
    for name, corner in SHOWN.items():
        with Image.open(FOLDER / name) as picture:
            rows.append(row(picture.convert("RGB"), *corner, (420, 300)))
    draw(rows, folder / "restored.webp")

    twigs, sharp = blur_twigs()
    with Image.open(FOLDER / "clock.png") as picture:
        clock = row(picture.convert("RGB"), 100, 60, (210, 157))
    clock = [picture.resize((320, 240), Image.Resampling.LANCZOS) for picture in clock]
    draw([row(twigs, 160, 150, (320, 240), sharp), clock], folder / "fails.webp")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/figures"))
