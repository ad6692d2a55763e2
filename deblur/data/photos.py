"""Pairs from sharp photos: blur is made on the fly."""

import csv
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from deblur.blur.camera import Camera, Shot
from deblur.data.crops import Place, Split, detail, orient, spot
from deblur.images import Pixels, list_pictures, read
from deblur.pair import Pair, encode

BUILT_IN = Path(__file__).parent.parent / "assets" / "photos"
CACHE_BYTES = 1 << 30


class Window(NamedTuple):
    """Sharp pixels that are still to be blurred."""

    pixels: Tensor
    """uint8 (3, H + 2m, W + 2m), with m the camera's margin."""
    shot: Shot
    """What the camera will do to them."""
    name: str


class Photos(Dataset[Pair]):
    """Crops of sharp photos and their blurred selves.

    In training a crop's photo, place, orientation and blur are a function of (seed, epoch, index).
    Of the other splits each crop is a function of its name alone, so that every run and every
    seed is measured on the same pairs.

    root: a folder of sharp photos, split by name (of ten photos one is for validation and one for
    testing); None for the built-in ones, split as their ATTRIBUTION.csv says.
    blur: the camera. crop: the side in training. size: the number of training crops in an epoch.
    detail: the share of the training crops that come from where there is detail, see `spot`.
    held_out: the number of crops of validation and test, and their side.
    """

    paired = True

    def __init__(
        self,
        *,
        root: str | None,
        split: Split,
        crop: int,
        seed: int,
        blur: Camera,
        size: int,
        held_out: dict[str, int],
        detail: float = 0.0,
    ) -> None:
        self.photos = _built_in(split) if root is None else _by_name(Path(root), split)
        self.split = split
        self.seed = seed
        self.blur = blur
        self.crop = crop if split == "train" else held_out["crop"]
        self.size = size if split == "train" else held_out[split]
        self.detail = detail if split == "train" else 0.0
        self._cache: dict[Path, Pixels] = {}
        self._maps: dict[Path, np.ndarray] = {}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: Place) -> Pair:
        return self.develop(self.window(key))

    @property
    def scenes(self) -> list[str]:
        """The photo that each crop of validation and testing is of, in order."""
        return [self.photos[index % len(self.photos)].stem for index in range(self.size)]

    def develop(self, window: Window) -> Pair:
        """Blur one window."""
        blurred, sharp = self.blur.expose(window.pixels[None], [window.shot])
        return Pair(encode(blurred[0]), encode(sharp[0]), window.name)

    def window(self, key: Place) -> Window:
        """Draw a crop, with the margin that the blur needs on each side."""
        epoch, index = key
        if self.split == "train":
            rng = np.random.default_rng((self.seed, epoch, index))
            photo = self.photos[rng.integers(len(self.photos))]
            name = f"{photo.stem}-{epoch}-{index}"
        else:
            photo = self.photos[index % len(self.photos)]
            name = f"{photo.stem}-{index // len(self.photos):02d}"
            rng = np.random.default_rng(zlib.crc32(name.encode()))
        pixels = self._cut(photo, rng)
        if self.split == "train":
            pixels = orient(pixels, rng)
        shot = self.blur.draw(rng, (self.crop, self.crop))
        return Window(torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), shot, name)

    def _cut(self, photo: Path, rng: np.random.Generator) -> Pixels:
        pixels = self._read(photo)
        side = self.crop + 2 * self.blur.margin
        lack = [max(0, side - length) for length in pixels.shape[:2]]
        if any(lack):
            rims = [(missing // 2, missing - missing // 2) for missing in lack]
            pixels = np.pad(pixels, [*rims, (0, 0)], mode="symmetric")
        if self.detail and photo not in self._maps:
            self._maps[photo] = detail(pixels)
        spare = [length - side for length in pixels.shape[:2]]
        top, left = spot(self._maps.get(photo), spare, side, rng, self.detail)
        return pixels[top : top + side, left : left + side]

    def _read(self, photo: Path) -> Pixels:
        if photo not in self._cache:
            pixels = read(photo)
            if sum(kept.nbytes for kept in self._cache.values()) + pixels.nbytes > CACHE_BYTES:
                return pixels
            self._cache[photo] = pixels
        return self._cache[photo]


def _built_in(split: Split) -> list[Path]:
    with open(BUILT_IN / "ATTRIBUTION.csv", newline="", encoding="utf-8") as file:
        return sorted(
            BUILT_IN / row["file"] for row in csv.DictReader(file) if row["split"] == split
        )


def _by_name(root: Path, split: Split) -> list[Path]:
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root}: no such folder; expected sharp photos (data.root=FOLDER), or leave out "
            "data.root to use the built-in photos"
        )
    photos = list_pictures(root)
    if len(photos) < 3:
        raise FileNotFoundError(f"{root}: found {len(photos)} photos, expected 3 or more")
    held_out = {"val": photos[::10], "test": photos[1::10]}
    if split in held_out:
        return held_out[split]
    return [photo for photo in photos if photo not in held_out["val"] + held_out["test"]]
