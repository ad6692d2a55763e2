"""Photos blurred according to a fixed list: the same pictures for every model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from deblur.blur.camera import Camera
from deblur.data.bounds import check_name
from deblur.data.crops import Key, Split, locate
from deblur.data.decoding import find_damaged, refuse
from deblur.data.lists import find_list, read_rows
from deblur.data.names import tell_apart
from deblur.data.photos import BUILT_IN
from deblur.data.unreadable_files import sift
from deblur.media.images import read, read_size
from deblur.pair import Pair, encode


class Listed(Dataset[Pair]):
    """Blurs whole photos by a table with the columns split (val or test), photo, blur and seed.

    A sharp picture is the whole photo without the margin that the blur needs, in validation its
    central square of side `crop`. Its name is blur/photo-seed; the photo's ending is left out if
    the names stay unique.

    Args:
        root: A folder of photos, where those that are not in it are the bundled ones; None for
            the bundled ones alone.
        split: "val" or "test".
        crop: The side of a validation picture, in pixels.
        seed: Not used: the table has the seeds.
        listed: The table: a name in `deblur/assets/lists`, or a path.
        cameras: The cameras that the table's column blur names.
        blurs: Use only the rows with these blurs; None for all.

    Raises:
        FileNotFoundError: The folder, the table, or a photo that it names is missing.
        ValueError: The split is "train", the table is damaged or has no rows for these arguments, a
            blur has no camera, or a photo cannot be read, is too small or lies outside of the
            folder.
    """

    paired = True

    def __init__(
        self,
        *,
        root: str | None,
        split: Split,
        crop: int,
        seed: int,
        listed: str,
        cameras: Mapping[str, Camera],
        blurs: Sequence[str] | None = None,
    ) -> None:
        if split == "train":
            raise ValueError("split is train, expected val or test: a fixed list is for measuring")
        table = find_list(listed)
        folder = BUILT_IN if root is None else Path(root)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder")
        chosen = [*cameras] if blurs is None else blurs
        rows = read_rows(table, ("split", "photo", "blur", "seed"))
        if unknown := {*chosen, *(row["blur"] for row in rows)} - {*cameras}:
            raise ValueError(f"{table}: no camera {min(unknown)}, expected {', '.join(cameras)}")
        self.rows = [row for row in rows if row["split"] == split and row["blur"] in chosen]
        self.paths = {row["photo"]: _find(row["photo"], folder, table) for row in self.rows}
        side = crop if split == "val" else 1
        for row in self.rows:
            _check_size(self.paths[row["photo"]], side + 2 * cameras[row["blur"]].margin)
        if not self.rows:
            raise ValueError(f"{table}: no {split} pictures blurred by {', '.join(chosen)}")
        photos = [*self.paths]
        self._names = dict(zip(photos, tell_apart([Path(one).stem for one in photos], photos)))
        self.cameras = cameras
        self.crop = crop if split == "val" else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key) -> Pair:
        _, index = locate(key, len(self))
        row = self.rows[index]
        camera = self.cameras[row["blur"]]
        pixels = torch.from_numpy(read(self.paths[row["photo"]])).permute(2, 0, 1)
        if self.crop is not None:
            side = self.crop + 2 * camera.margin
            top, left = ((length - side) // 2 for length in pixels.shape[1:])
            pixels = pixels[:, top : top + side, left : left + side]
        rng = np.random.default_rng(int(row["seed"]))
        blurred, sharp = camera(pixels[None].contiguous(), [rng])
        return Pair(encode(blurred[0]), encode(sharp[0]), self._name(row))

    def decode_all(self) -> None:
        """Decode the user's own photos once, before their use; raise ValueError if damaged."""
        own = [path for path in self.paths.values() if path.parent != BUILT_IN]
        damaged = find_damaged(own)
        sift(own, lambda photo: refuse(damaged, [photo]), None)

    @property
    def scenes(self) -> list[str]:
        """The photo of each picture, in order."""
        return [self._names[row["photo"]] for row in self.rows]

    @property
    def frame_sizes(self) -> dict[str, tuple[int, int]]:
        """The width and height of each picture, by name, in order."""
        if self.crop is not None:
            return {self._name(row): (self.crop, self.crop) for row in self.rows}
        photos = {photo: read_size(path) for photo, path in self.paths.items()}
        sizes = {}
        for row in self.rows:
            width, height = photos[row["photo"]]
            rims = 2 * self.cameras[row["blur"]].margin
            sizes[self._name(row)] = (width - rims, height - rims)
        return sizes

    def _name(self, row: Mapping[str, str]) -> str:
        return f"{row['blur']}/{self._names[row['photo']]}-{row['seed']}"


def _find(photo: str, folder: Path, table: Path) -> Path:
    check_name(folder / photo, folder, table)
    for path in (folder / photo, BUILT_IN / photo):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder / photo}: no such file, but {table} names it")


def _check_size(photo: Path, side: int) -> None:
    width, height = read_size(photo)
    if min(width, height) < side:
        raise ValueError(f"{photo}: {width}x{height} pixels, expected {side} or more on each side")
