"""Pairs from disk: blurred and sharp files of a benchmark, matched by name."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from deblur.data.crops import Place, cut, orient
from deblur.images import Pixels, list_pictures, read, read_size
from deblur.pair import Pair, encode

INSTEAD = "Type data=photos to use the built-in photos instead."


class PairedFolder(Dataset[Pair]):
    """Reads GoPro as it is unpacked, and flat folders of the same shape.

        root/{train,test}/<scene>/{blur,blur_gamma,sharp}/*.png      (Nah et al., CVPR 2017)
        root/{train,val,test}/{blur,sharp}/*

    Validation uses a `val` folder where there is one, else the train scenes named in val_scenes,
    else every tenth training pair (of fewer than ten the last); training uses the rest. Stray
    files are ignored.

    blur: the name of the folder with the blurred pictures. crop: the side in training and
    validation; fit: how a frame becomes that square ("crop", at random in training and from the
    centre in validation, or "resize", which squashes the frame: Li's text allows both readings).
    Test frames are given whole. limit: use the first so many pairs of a split, by name.
    """

    paired = True

    def __init__(
        self,
        *,
        root: str,
        split: Literal["train", "val", "test"],
        crop: int,
        seed: int,
        blur: str = "blur",
        sharp: str = "sharp",
        fit: Literal["crop", "resize"] = "crop",
        val_scenes: list[str] | None = None,
        limit: int | None = None,
    ) -> None:
        if fit not in ("crop", "resize"):
            raise ValueError(f"fit must be crop or resize, got {fit}")
        self.split = split
        self.crop = crop
        self.seed = seed
        self.fit = fit
        self.pairs = _find_pairs(Path(root), split, blur, sharp, val_scenes or [])[:limit]
        _check_sizes(self.pairs, at_least=crop if fit == "crop" and split != "test" else 1)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: Place) -> Pair:
        epoch, index = key
        name, *files = self.pairs[index]
        both = np.stack([read(file) for file in files])
        if self.split != "test":
            training = self.split == "train"
            rng = np.random.default_rng((self.seed, epoch, index)) if training else None
            both = self._square(both, rng)
            if rng is not None:
                both = orient(both, rng)
        images = encode(torch.from_numpy(np.ascontiguousarray(both)).permute(0, 3, 1, 2))
        return Pair(images[0].contiguous(), images[1].contiguous(), name)

    def _square(self, both: Pixels, rng: np.random.Generator | None) -> Pixels:
        if self.fit == "crop":
            return cut(both, self.crop, rng)
        size = (self.crop, self.crop)
        return np.stack(
            [np.array(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in both]
        )


class Snapshots(Dataset[Pair]):
    """Blurred pictures that have no sharp partners: they can be restored, but not scored.

    A pair's sharp picture is its blurred one here; `paired` says so.
    """

    paired = False

    def __init__(self, *, root: str) -> None:
        self.files = list_pictures(Path(root))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Place) -> Pair:
        file = self.files[key[1]]
        image = encode(torch.from_numpy(read(file)).permute(2, 0, 1).contiguous())
        return Pair(image, image, file.stem)


def open_folder(
    *, root: str, split: Literal["train", "val", "test"], **settings: Any
) -> PairedFolder | Snapshots:
    """Give a folder's pairs, or where it holds pictures and no split, those as `Snapshots`."""
    top = Path(root)
    if split == "test" and top.is_dir() and not (top / split).is_dir() and list_pictures(top):
        return Snapshots(root=root)
    return PairedFolder(root=root, split=split, **settings)


def _find_pairs(
    root: Path, split: str, blur: str, sharp: str, val_scenes: list[str]
) -> list[tuple[str, Path, Path]]:
    """List (name, blurred file, sharp file) of a split, by name."""
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root}: no such folder; expected {root}/train/<scene>/{blur}/*.png and the same "
            f"under {sharp} (set it by data.root=FOLDER). {INSTEAD}"
        )
    held_out = split == "val" and not (root / "val").is_dir()
    top = root / ("train" if held_out else split)
    scenes = [top] if (top / sharp).is_dir() else sorted(p.parent for p in top.glob(f"*/{sharp}"))
    if not scenes:
        raise FileNotFoundError(
            f"{top}: found no folder {sharp}, expected {top}/<scene>/{sharp}/*.png or "
            f"{top}/{sharp}/*. {INSTEAD}"
        )
    by_scene = {scene.name: _match(scene, blur, sharp) for scene in scenes}
    pairs = [(scene, pair) for scene, found in by_scene.items() for pair in found]
    if not pairs:
        raise FileNotFoundError(f"{top}: its folders {blur} and {sharp} are empty. {INSTEAD}")
    if split == "test" or (root / "val").is_dir():
        return [pair for _, pair in pairs]
    # A part of GoPro may lack the scenes named, or have no others.
    if 0 < len(set(val_scenes) & set(by_scene)) < len(by_scene):
        return [pair for scene, pair in pairs if (scene in val_scenes) == held_out]
    every = min(10, len(pairs))
    return [pair for i, (_, pair) in enumerate(pairs) if (i % every == every - 1) == held_out]


def _match(scene: Path, blur: str, sharp: str) -> list[tuple[str, Path, Path]]:
    """Pair a scene's files by name, whatever their endings."""
    if not (scene / blur).is_dir():
        raise FileNotFoundError(f"{scene}: found {sharp} but no folder {blur}. {INSTEAD}")
    blurred = {file.stem: file for file in list_pictures(scene / blur)}
    sharps = {file.stem: file for file in list_pictures(scene / sharp)}
    if odd := sorted(set(blurred) ^ set(sharps)):
        raise ValueError(
            f"{scene}: {len(blurred)} pictures in {blur} but {len(sharps)} in {sharp}, expected "
            f"the same names in both; without a partner: {', '.join(odd[:3])}"
        )
    return [(f"{scene.name}-{stem}", blurred[stem], sharps[stem]) for stem in sorted(blurred)]


def _check_sizes(pairs: list[tuple[str, Path, Path]], at_least: int) -> None:
    """Read the head of each file, so that what cannot be used is named before hours are spent."""
    for _, *files in pairs:
        sizes = [read_size(file) for file in files]
        if sizes[0] != sizes[1]:
            said = " but ".join(f"{f} is {w}x{h}" for f, (w, h) in zip(files, sizes))
            raise ValueError(f"a pair of two sizes: {said}")
        if min(sizes[0]) < at_least:
            width, height = sizes[0]
            raise ValueError(
                f"{files[0]}: is {width}x{height}, too small for a crop of {at_least} pixels "
                "(lower data.crop)"
            )
