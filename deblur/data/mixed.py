"""Blurred photos and pairs from disk in one training set."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch.utils.data import Dataset

from deblur.data.crops import Key, Split, locate
from deblur.data.folder import PairedFolder
from deblur.data.lists import find_list, read_rows
from deblur.data.names import tell_apart
from deblur.data.photos import Photos, Window
from deblur.data.unreadable_files import Choice
from deblur.pair import Pair


class Mixed(Dataset[Pair]):
    """Draws training samples from sharp photos, blurred on the fly, and from real pairs.

    The source of a training sample is a function of (seed, epoch, index). Validation uses the
    photos' crops and then all pairs. Testing uses the frames of the scenes in `without`, or the
    photos' crops if it is empty.

    Args:
        root: The photos' folder; None for the bundled ones.
        split: "train", "val" or "test".
        crop: The side of a training crop, in pixels.
        seed: Determines the training samples, together with epoch and index.
        photos: Returns a `Photos`; called with root, split, crop, seed, size, held_out and
            unreadable.
        pairs: Return a `PairedFolder` each, by name; called with root, split, crop, seed,
            unreadable and the names of the pairs to use.
        roots: The folders of `pairs`, by name.
        shares: How often "photos" and each of `pairs` are drawn; they need not sum to 1, and 0
            leaves a set of pairs out of training and validation.
        size: The number of training samples in an epoch.
        held_out: The numbers of crops of photos for "val" and "test", and their side "crop".
        listed: A table with the columns set, scene, frame and split (train or val) of the pairs to
            use, all of which must exist: a name in `deblur/assets/lists`, or a path.
        without: Scenes of the table that are kept for testing.
        unreadable: See `deblur.data.unreadable_files`.

    Raises:
        FileNotFoundError: The table is missing, or `photos` or a part of `pairs` lacks files.
        ValueError: `shares`, `roots` or `without` do not fit `pairs` and the table, the table is
            damaged, or `photos` or a part of `pairs` raises it.
    """

    paired = True

    def __init__(
        self,
        *,
        root: str | None,
        split: Split,
        crop: int,
        seed: int,
        photos: Callable[..., Photos],
        pairs: Mapping[str, Callable[..., PairedFolder]],
        roots: Mapping[str, str],
        shares: Mapping[str, float],
        size: int,
        held_out: dict[str, int],
        listed: str = "mixed.csv",
        without: Sequence[str] = (),
        unreadable: Choice = "stop",
    ) -> None:
        right = set(shares) == {"photos", *pairs} and min(shares.values()) >= 0
        if not right or not shares["photos"]:
            raise ValueError(
                f"shares is {dict(shares)}, expected a number for each of photos, "
                f"{', '.join(pairs)}: positive for photos, not negative for the others"
            )
        if unknown := {*roots} - {*pairs}:
            raise ValueError(f"roots has {min(unknown)}, expected some of {', '.join(pairs)}")
        rows = read_rows(find_list(listed), ("set", "scene", "frame", "split"))
        if unknown := {*without} - {row["scene"] for row in rows}:
            raise ValueError(f"without is {[*without]}, but {listed} has no {min(unknown)}")
        if split == "test":
            rows = [row for row in rows if row["scene"] in without]
        else:
            rows = [r for r in rows if r["split"] == split and r["scene"] not in without]
        self.split = split
        self.seed = seed
        chosen = {"split": split, "seed": seed, "unreadable": unreadable}
        self.photos = photos(root=root, crop=crop, size=size, held_out=held_out, **chosen)
        self.crops = 0 if split == "test" and rows else len(self.photos)
        self.parts: dict[str, PairedFolder] = {}
        for part, make in pairs.items():
            names = [f"{row['scene']}-{row['frame']}" for row in rows if row["set"] == part]
            if names and (shares[part] or split == "test"):
                if part not in roots:
                    raise ValueError(f"roots has no {part}: type +data.dataset.roots.{part}=FOLDER")
                self.parts[part] = make(
                    root=roots[part], crop=self.photos.crop, names=names, **chosen
                )
        if not len(self):
            raise ValueError(
                f"without is {[*without]}, but {listed} has no such scene of {', '.join(pairs)}"
            )
        keys = [(part, name) for part in self.parts for name in self.parts[part].frame_sizes]
        apart = tell_apart([name for _, name in keys], ["/".join(key) for key in keys])
        self._names = dict(zip(keys, apart))
        weights = np.array([shares[name] for name in ("photos", *self.parts)])
        self.shares = weights / weights.sum()

    def __len__(self) -> int:
        pairs = 0 if self.split == "train" else sum(map(len, self.parts.values()))
        return self.crops + pairs

    def __getitem__(self, key: Key) -> Pair:
        sample = self.window(key)
        return self.photos.develop(sample) if isinstance(sample, Window) else sample

    def decode_all(self) -> None:
        """Decode all photos and pairs once, before their use; see `deblur.data.decoding`."""
        self.photos.decode_all()
        for part in self.parts.values():
            part.decode_all()

    @property
    def scenes(self) -> list[str]:
        """The photo or scene of each sample of validation and testing, in order."""
        crops = self.photos.scenes[: self.crops]
        return [*crops, *(scene for part in self.parts.values() for scene in part.scenes)]

    @property
    def frame_sizes(self) -> dict[str, tuple[int, int]]:
        """The width and height of each test frame, by name, in order; {} for photos' crops."""
        return {
            self._names[part, name]: size
            for part, data in self.parts.items()
            for name, size in data.frame_sizes.items()
        }

    def window(self, key: Key) -> Window | Pair:
        """Return a sample: a photo's as a window that has yet to be blurred."""
        epoch, index = locate(key, len(self))
        if self.split == "train":
            # The 1 makes this stream independent of the photos', (seed, epoch, index).
            rng = np.random.default_rng((self.seed, epoch, index, 1))
            which = int(rng.choice(len(self.shares), p=self.shares))
            if which:
                part, data = [*self.parts.items()][which - 1]
                return self._named(part, data.sample(int(rng.integers(len(data))), rng))
        elif index >= self.crops:
            index -= self.crops
            for part, data in self.parts.items():
                if index < len(data):
                    return self._named(part, data[epoch, index])
                index -= len(data)
        return self.photos.window((epoch, index))

    def _named(self, part: str, pair: Pair) -> Pair:
        """Return a pair under a name that no other part's pair has."""
        return pair._replace(name=self._names[part, pair.name])
