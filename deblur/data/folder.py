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
from deblur.data.names import tell_apart
from deblur.data.search import Found
from deblur.data.selection import INSTEAD, advise, check_sizes, check_use, only, open_pairs
from deblur.data.splits import choose_split
from deblur.data.unreadable_files import Choice, hold, read_or_next, sift
from deblur.media.images import Pixels, read
from deblur.pair import Pair, encode


class PairedFolder(Dataset[Pair]):
    """Reads a data set as it is unpacked, or the arrays that `deblur prepare` made of it.

    The data set's own splits are used. Validation never uses test pictures: without a validation
    split, it holds out of the training pairs the scenes named in `val_scenes`, else every tenth
    scene, else (if there is one scene) every tenth pair. Of a set without splits one scene or pair
    in ten is for validation, one for testing, and the others are for training.

    A training crop is a function of (seed, epoch, index): data[epoch, index]. data[index] belongs
    to epoch 0; `deblur.data.crops.EpochSampler` lets a plain DataLoader vary the epochs.

    Args:
        root: The data set's folder.
        split: "train", "val" or "test". Test frames are returned whole.
        crop: The side in training and validation, in pixels.
        seed: Determines the training crops, together with epoch and index.
        layout: A name in `deblur.data.layouts`; None takes the one that fits the folder best.
        blur: The variant of the blurred pictures, if the layout has several ("blur_gamma").
        fit: How a frame becomes a square: "crop" (random in training, central in validation) or
            "resize", which distorts the frame. Li's text allows both readings.
        detail: The share of the training crops, 0 to 1, taken where there is detail, see `spot`.
        val_scenes: Scenes held out for validation if there is no validation split.
        whole: Use all pairs for the requested split.
        limit: Use only the first `limit` pairs of the split, by name; not used with `names`.
        names: Use only the split's pairs among these, which must all be found, in any split: a
            list, or the path of a text file with a name a line.
        resize: Width and height that all frames are resized to first, bicubic.
        download: Download the set first, if that is possible.
        unreadable: See `deblur.data.unreadable_files`; in a test split nothing is left out.

    Raises:
        FileNotFoundError: The folder, the lists of its splits, the split's pairs or pairs of
            `names` are missing.
        ValueError: A value is out of its range, a choice is not listed, the folder holds something
            else, the set cannot be downloaded or is not for testing, or a picture has no partner,
            is smaller than `crop` or cannot be read.
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
                f"{advise(found, split, val_scenes or [])}. {INSTEAD}"
            )
        self.pairs = own[:limit] if names is None else only(own, found, names)
        sizes = sift(self.pairs, self._look, self.unreadable)
        self.pairs = [pair for pair in self.pairs if pair in sizes]
        # With `whole` they are of several splits, which may have the same names.
        longer = [f"{pair.split}/{pair.name}" if pair.split else pair.name for pair in self.pairs]
        own_names = tell_apart([pair.name for pair in self.pairs], longer)
        self._names = dict(zip(self.pairs, own_names))
        if resize is not None:
            sizes = {pair: (resize[0], resize[1]) for pair in self.pairs}
        if fit == "crop" and split != "test":
            check_sizes(self.pairs, sizes, crop)
        self._sizes = sizes
        self._maps: dict[int, np.ndarray] = {}
        if split == "val" and self.unreadable == "skip":
            self.decode_all()  # now, so that no validation pair is replaced by the next one

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: Key) -> Pair:
        epoch, index = locate(key, len(self))
        training = self.split == "train"
        return self.sample(
            index, np.random.default_rng((self.seed, epoch, index)) if training else None
        )

    def sample(self, index: int, rng: np.random.Generator | None) -> Pair:
        """Return a pair: a random crop if `rng` is given."""
        index, both = read_or_next(self.frames, index, len(self), self.unreadable)
        if self.split != "test":
            both = self._square(index, both, rng)
        if rng is not None:
            both = orient(both, rng)
        images = encode(
            torch.from_numpy(np.require(both, requirements=["C", "W"])).permute(0, 3, 1, 2)
        )
        return Pair(images[0].contiguous(), images[1].contiguous(), self._names[self.pairs[index]])

    def decode_all(self) -> None:
        """Decode all pictures once, before their use; see `deblur.data.decoding`.

        Pairs that cannot be read are left out or raise ValueError, according to `unreadable`.
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
        """The scene of each pair, in order; the pair's name if the set has no scenes."""
        return [pair.scene or self._names[pair] for pair in self.pairs]

    @property
    def frame_sizes(self) -> dict[str, tuple[int, int]]:
        """The width and height of each pair's whole frames, by name, in order."""
        return {self._names[pair]: self._sizes[pair] for pair in self.pairs}

    def poses(self, index: int) -> Iterator[Tensor] | None:
        """Return all sharp frames of a pair's exposure, (1, 3, H, W) each; None if there is one."""
        files = self.pairs[index].poses
        return (image(self._resized(read(file)))[None] for file in files) if files else None

    def frames(self, index: int) -> Pixels:
        """Read a pair as (2, H, W, 3), the blurred picture first."""
        both = self._read(self.pairs[index])
        return np.stack([self._resized(pixels) for pixels in both]) if self.resize else both

    def _look(self, pair: Found) -> tuple[int, int]:
        """Return a pair's width and height, read from its files' headers."""
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
    """Resize a picture to (width, height), bicubic with Pillow's antialiasing."""
    width, height = size
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def image(pixels: Pixels) -> Tensor:
    """Convert 8-bit (H, W, 3) to (3, H, W) in [-1, 1]."""
    return encode(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())
