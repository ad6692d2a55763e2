"""Pairs from sharp photos that are blurred on the fly."""

import csv
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from deblur.blur.camera import Camera, Shot
from deblur.data.bounds import list_own
from deblur.data.crops import LEAST, MOST, Key, Split, detail, locate, orient, spot
from deblur.data.decoding import find_damaged, refuse
from deblur.data.names import tell_apart
from deblur.data.unreadable_files import Choice, hold, read_or_next, sift
from deblur.media.images import Pixels, read, read_size
from deblur.pair import Pair, encode

BUILT_IN = Path(__file__).parent.parent / "assets" / "photos"
CACHE_BYTES = 1 << 30


class Window(NamedTuple):
    """Sharp pixels that have yet to be blurred."""

    pixels: Tensor
    """uint8 (3, H + 2m, W + 2m), with m the camera's margin."""
    shot: Shot
    """How the camera will blur them."""
    name: str


class Photos(Dataset[Pair]):
    """Crops of sharp photos, each with a blurred copy.

    In training a crop's photo, place, orientation and blur are a function of (seed, epoch, index).
    In the other splits each crop is a function of its name alone, so that every run and every seed
    is measured on the same pairs. data[index] is data[0, index], which belongs to epoch 0; see
    `deblur.data.crops.EpochSampler` for the others.

    Args:
        root: A folder of sharp photos, split by name (one in ten for validation, one for testing);
            None for the built-in ones, split according to their ATTRIBUTION.csv.
        split: "train", "val" or "test".
        crop: The side of a training crop, in pixels.
        seed: Determines the training crops, together with epoch and index.
        blur: The camera that blurs.
        size: The number of training crops in an epoch.
        held_out: The numbers of crops for "val" and "test", and their side "crop".
        detail: The share of the training crops, 0 to 1, taken where there is detail, see `spot`.
        unreadable: See `deblur.data.unreadable_files`; in a test split nothing is left out.

    Raises:
        FileNotFoundError: There is no such folder, or it has fewer than three photos.
        ValueError: A value is out of its range, `held_out` has other keys, or a photo cannot be
            read or is a link that leads out of the folder.
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
        unreadable: Choice = "stop",
    ) -> None:
        _check_sizes(size, held_out, split)
        if not 0 <= detail <= 1:
            raise ValueError(f"detail must be 0 to 1, got {detail}")
        photos = _built_in(split) if root is None else _by_name(Path(root), split)
        self.unreadable = None if split == "test" else unreadable
        self.photos = [*sift(photos, read_size, self.unreadable)]
        names = tell_apart([photo.stem for photo in photos], [photo.name for photo in photos])
        self._names = dict(zip(photos, names))
        self.built_in = root is None
        self.split = split
        self.seed = seed
        self.blur = blur
        self.crop = crop if split == "train" else held_out["crop"]
        self.size = size if split == "train" else held_out[split]
        self.detail = detail if split == "train" else 0.0
        self._cache: dict[Path, Pixels] = {}
        self._maps: dict[Path, np.ndarray] = {}
        if split == "val" and self.unreadable == "skip":
            self.decode_all()  # now, so that no validation photo is replaced by the next one

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: Key) -> Pair:
        return self.develop(self.window(key))

    def decode_all(self) -> None:
        """Decode all photos once, before their use; see `deblur.data.decoding`.

        Those that cannot be read are left out or raise ValueError, according to `unreadable`.
        """
        if self.built_in:
            return
        damaged = find_damaged(self.photos)
        sound = sift(self.photos, lambda photo: refuse(damaged, [photo]), self.unreadable)
        self.photos = [*sound]

    @property
    def scenes(self) -> list[str]:
        """The photo of each crop of validation and testing, in order."""
        return [self._names[self.photos[index % len(self.photos)]] for index in range(self.size)]

    def develop(self, window: Window) -> Pair:
        """Blur one window into a pair (see `Camera.expose`)."""
        blurred, sharp = self.blur.expose(window.pixels[None], [window.shot])
        return Pair(encode(blurred[0]), encode(sharp[0]), window.name)

    def window(self, key: Key) -> Window:
        """Draw a crop, with the margin on each side that the blur needs."""
        epoch, index = locate(key, len(self))
        if self.split == "train":
            rng = np.random.default_rng((self.seed, epoch, index))
            number = int(rng.integers(len(self.photos)))
            photo, whole = self._read_or_next(number)
            name = f"{photo.stem}-{epoch}-{index}"
        else:
            photo, whole = self._read_or_next(index % len(self.photos))
            turn = f"{index // len(self.photos):02d}"
            rng = np.random.default_rng(zlib.crc32(f"{photo.stem}-{turn}".encode()))
            name = f"{self._names[photo]}-{turn}"
        pixels = self._cut(photo, whole, rng)
        if self.split == "train":
            pixels = orient(pixels, rng)
        shot = self.blur.draw(rng, (self.crop, self.crop))
        return Window(torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), shot, name)

    def _cut(self, photo: Path, pixels: Pixels, rng: np.random.Generator) -> Pixels:
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

    def _read_or_next(self, number: int) -> tuple[Path, Pixels]:
        number, pixels = read_or_next(
            lambda place: self._read(self.photos[place]),
            number,
            len(self.photos),
            self.unreadable,
        )
        return self.photos[number], pixels

    def _read(self, photo: Path) -> Pixels:
        if photo not in self._cache:
            hold(photo)
            pixels = read(photo)
            if sum(kept.nbytes for kept in self._cache.values()) + pixels.nbytes > CACHE_BYTES:
                return pixels
            self._cache[photo] = pixels
        return self._cache[photo]


def _check_sizes(size: int, held_out: dict[str, int], split: Split) -> None:
    needed = {"crop", split} if split != "train" else set()
    if not needed <= set(held_out) <= {"crop", "val", "test"}:
        raise ValueError(f"held_out must have crop, val and test, got {held_out}")
    if min([size, *held_out.values()]) < 1 or not LEAST <= held_out.get("crop", LEAST) <= MOST:
        raise ValueError(
            f"size and held_out must be positive, and held_out.crop {LEAST} to {MOST}, got size "
            f"{size} and held_out {held_out}"
        )


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
    photos = list_own(root)
    if len(photos) < 3:
        raise FileNotFoundError(f"{root}: found {len(photos)} photos, expected 3 or more")
    held_out = {"val": photos[::10], "test": photos[1::10]}
    if split in held_out:
        return held_out[split]
    return [photo for photo in photos if photo not in held_out["val"] + held_out["test"]]
