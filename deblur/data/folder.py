"""Pairs from disk: the blurred and sharp pictures of a data set, in any layout of the table."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from deblur.data.crops import Key, Split, detail, locate, orient, spot
from deblur.data.decoding import find_damaged, refuse
from deblur.data.download import fetch
from deblur.data.layouts import LAYOUTS
from deblur.data.search import Found
from deblur.data.selection import INSTEAD, advise, check_sizes, check_use, only, open_pairs
from deblur.data.splits import choose_split
from deblur.data.unreadable_files import Choice, hold, read_or_next, sift
from deblur.media.images import Pixels, read
from deblur.pair import Pair, encode


class PairedFolder(Dataset[Pair]):
    """Reads a data set as it is unpacked, or the arrays that `deblur prepare` made of it.

    layout: its name in `deblur.data.layouts`; None takes the one that fits the folder best.
    blur: a variant of the blurred pictures, where the layout has several ("blur_gamma").

    Splits are the set's own. Validation never uses its test pictures: where there is no
    validation split, it holds out of the training pairs the scenes named in val_scenes, else
    every tenth scene, else (of one scene) every tenth pair. A set without splits gives every tenth
    scene or pair to validation, the next ones to testing and the others to training; with `whole`
    all of it is in the split that is asked for.

    crop: the side in training and validation; fit: how a frame becomes that square ("crop", at
    random in training and from the centre in validation, or "resize", which squashes the frame:
    Li's text allows both readings). detail: the share of the training crops that come from where
    there is detail, see `spot`. Test frames are given whole. limit: use the first so many pairs of
    a split, by name; names: use these alone, a list or a text file with a line a pair. resize: the
    width and height that all frames are brought to first, bicubic. download: fetch the set first,
    where that can be done. unreadable: see `deblur.data.unreadable_files`; a test split is never
    changed.

    A training crop is a function of (seed, epoch, index): data[epoch, index]. data[index] is of
    epoch 0; `deblur.data.crops.EpochSampler` lets a plain DataLoader vary the epochs.
    """

    paired = True

    def __init__(
        self,
        *,
        root: str,
        split: Split,
        crop: int,
        seed: int,
        layout: str | None = None,
        blur: str | None = None,
        fit: Literal["crop", "resize"] = "crop",
        detail: float = 0.0,
        val_scenes: list[str] | None = None,
        whole: bool = False,
        limit: int | None = None,
        names: str | list[str] | None = None,
        resize: tuple[int, int] | None = None,
        download: bool = False,
        unreadable: Choice = "stop",
    ) -> None:
        if resize is not None and (len(resize) != 2 or min(resize) < 1):
            raise ValueError(f"resize must be a width and a height, got {list(resize)}")
        if fit not in ("crop", "resize"):
            raise ValueError(f"fit must be crop or resize, got {fit}")
        if not 0 <= detail <= 1 or limit is not None and limit < 1:
            raise ValueError(
                f"detail must be 0 to 1 and limit positive, got detail {detail} and limit {limit}"
            )
        self.root = Path(root)
        self.split = split
        self.blur = blur
        self.crop = crop
        self.seed = seed
        self.fit = fit
        self.resize = resize
        self.unreadable = None if split == "test" else unreadable
        self.detail = detail if split == "train" and fit == "crop" else 0.0
        if download:
            fetch(layout, Path(root))
        self.layout, found, self.prepared = open_pairs(Path(root), layout, blur)
        check_use(root, LAYOUTS[self.layout], split, found if not whole else [])
        own = found if whole else choose_split(found, split, val_scenes or [])
        if not own:
            raise FileNotFoundError(
                f"{root}: found no {split} pairs in the layout {self.layout} "
                f"({LAYOUTS[self.layout].title}), but {len(found)} others: "
                f"{advise(found, split)}. {INSTEAD}"
            )
        self.pairs = only(own, names)[:limit]
        sizes = sift(self.pairs, self._look, self.unreadable)
        self.pairs = [pair for pair in self.pairs if pair in sizes]
        if resize is not None:
            sizes = {pair: (resize[0], resize[1]) for pair in self.pairs}
        if fit == "crop" and split != "test":
            check_sizes(self.pairs, sizes, crop)
        self._maps: dict[int, np.ndarray] = {}
        if split == "val" and self.unreadable == "skip":
            self.decode_all()  # no validation pair may stand for another

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: Key) -> Pair:
        epoch, index = locate(key, len(self))
        training = self.split == "train"
        return self.sample(
            index, np.random.default_rng((self.seed, epoch, index)) if training else None
        )

    def sample(self, index: int, rng: np.random.Generator | None) -> Pair:
        """Give a pair, as a random crop where there is a random generator."""
        index, both = read_or_next(self.frames, index, len(self), self.unreadable)
        if self.split != "test":
            both = self._square(index, both, rng)
        if rng is not None:
            both = orient(both, rng)
        images = encode(
            torch.from_numpy(np.require(both, requirements=["C", "W"])).permute(0, 3, 1, 2)
        )
        return Pair(images[0].contiguous(), images[1].contiguous(), self.pairs[index].name)

    def decode_all(self) -> None:
        """Decode all pictures once, as before a training; see `deblur.data.decoding`.

        Pairs that cannot be read are left out, or raise ValueError, as `unreadable` says.
        """
        if self.prepared is not None:
            self.pairs = [*sift(self.pairs, self.prepared.frames, self.unreadable)]
            return
        files = {pair: (*pair.blur, pair.sharp) for pair in self.pairs}
        damaged = find_damaged(chain(*files.values()))
        sound = sift(self.pairs, lambda pair: refuse(damaged, files[pair]), self.unreadable)
        self.pairs = [*sound]

    @property
    def scenes(self) -> list[str]:
        """The scene of each pair, in order; its own name where the set has no scenes."""
        return [pair.scene or pair.name for pair in self.pairs]

    def poses(self, index: int) -> Iterator[Tensor] | None:
        """Read all sharp frames of a pair's exposure, (1, 3, H, W) each, where there are several.

        None where there is a single one.
        """
        files = self.pairs[index].poses
        return (image(self._resized(read(file)))[None] for file in files) if files else None

    def frames(self, index: int) -> Pixels:
        """Read a pair: (2, H, W, 3), the blurred picture first."""
        both = self._read(self.pairs[index])
        return np.stack([self._resized(pixels) for pixels in both]) if self.resize else both

    def _look(self, pair: Found) -> tuple[int, int]:
        """Give a pair's width and height, from its files' heads."""
        return self.prepared.sizes[pair] if self.prepared else pair.size()

    def _read(self, pair: Found) -> Pixels:
        hold(*pair.blur, pair.sharp)
        return pair.read() if self.prepared is None else self.prepared.frames(pair)

    def _resized(self, pixels: Pixels) -> Pixels:
        return resample(pixels, self.resize) if self.resize else pixels

    def _square(self, index: int, both: Pixels, rng: np.random.Generator | None) -> Pixels:
        if self.fit == "resize":
            return np.stack([resample(pixels, (self.crop, self.crop)) for pixels in both])
        spare = [length - self.crop for length in both.shape[1:3]]
        if rng is None:
            top, left = (length // 2 for length in spare)
        else:
            if self.detail and index not in self._maps:
                self._maps[index] = detail(both[1])
            top, left = spot(self._maps.get(index), spare, self.crop, rng, self.detail)
        return both[:, top : top + self.crop, left : left + self.crop]


def resample(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Bring a picture to a width and height, bicubic with Pillow's antialiasing."""
    width, height = size
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def image(pixels: Pixels) -> Tensor:
    """Give (H, W, 3) in 8 bits as (3, H, W) in [-1, 1]."""
    return encode(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())
