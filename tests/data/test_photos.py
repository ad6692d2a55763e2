from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deblur.blur.camera import Camera
from deblur.blur.trajectory import TrajectoryBlur
from deblur.data.photos import Photos
from deblur.pair import Pair


def camera(length: float) -> Camera:
    return Camera(motion=TrajectoryBlur(length=length, anxiety=0.005))


def photos(**changes: Any) -> Photos:
    arguments: dict[str, Any] = {
        "root": None,
        "split": "train",
        "crop": 32,
        "seed": 0,
        "blur": camera(10),
        "size": 500,
        "held_out": {"crop": 48, "val": 8, "test": 12},
    }
    return Photos(**{**arguments, **changes})


def same(first: Pair, second: Pair) -> bool:
    return torch.equal(first.blur, second.blur) and torch.equal(first.sharp, second.sharp)


def test_built_in_photos_are_split_by_photo() -> None:
    splits = [photos(split=split).photos for split in ("train", "val", "test")]
    assert [len(split) for split in splits] == [15, 4, 4]
    assert len(set().union(*splits)) == 23


def test_an_item_keeps_the_contract() -> None:
    pair = photos()[0, 0]
    for image in (pair.blur, pair.sharp):
        assert image.shape == (3, 32, 32)
        assert image.dtype == torch.float32
        assert image.abs().max() <= 1
    assert not torch.equal(pair.blur, pair.sharp)


def test_training_depends_on_seed_epoch_and_index() -> None:
    item = photos()[1, 7]
    assert same(item, photos()[1, 7])
    assert same(photos()[7], photos()[0, 7])
    for other in (photos()[2, 7], photos()[1, 8], photos(seed=1)[1, 7]):
        assert not same(item, other)


def test_photos_that_differ_in_their_endings_are_told_apart(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for name in ("a.jpg", *(f"a.k{place}.png" for place in range(9)), "a.png"):
        picture(tmp_path / name)
    data = photos(root=str(tmp_path), split="val")  # every tenth
    assert data.scenes[:2] == ["a.jpg", "a.png"]
    assert [data[index].name for index in (0, 1, 2)] == ["a.jpg-00", "a.png-00", "a.jpg-01"]


def test_held_out_pairs_depend_on_the_name_alone() -> None:
    for split in ("val", "test"):
        item = photos(split=split)[0, 5]
        assert same(item, photos(split=split, seed=9)[3, 5])
    assert len({photos(split="test")[0, index].name for index in range(12)}) == 12


def test_an_epoch_has_the_sizes_asked_for() -> None:
    assert [len(photos(split=s)) for s in ("train", "val", "test")] == [500, 8, 12]
    assert photos(split="val")[0, 0].sharp.shape == (3, 48, 48)


def test_a_still_camera_gives_two_equal_pictures() -> None:
    pair = photos(blur=camera(0))[0, 3]
    assert torch.equal(pair.blur, pair.sharp)


def test_crops_come_from_where_there_is_detail(tmp_path: Path) -> None:
    half = np.full((200, 400, 3), 128, np.uint8)
    half[:, 200:] = np.random.default_rng(0).integers(0, 256, (200, 200, 3))
    for index in range(3):
        Image.fromarray(half).save(tmp_path / f"{index}.png")
    means = {
        share: np.mean(
            [
                float(photos(root=str(tmp_path), detail=share)[0, i].sharp.std() > 0.1)
                for i in range(40)
            ]
        )
        for share in (0.0, 1.0)
    }
    assert means[0.0] < 0.8
    assert means[1.0] == 1.0


def test_a_folder_of_photos_is_split_by_name(tmp_path: Path, picture: Callable[..., Path]) -> None:
    for index in range(20):
        picture(tmp_path / f"{index:02d}.png", seed=index)
    names = {
        s: [p.stem for p in photos(root=str(tmp_path), split=s).photos] for s in ("val", "test")
    }
    assert names == {"val": ["00", "10"], "test": ["01", "11"]}
    assert len(photos(root=str(tmp_path)).photos) == 16


def test_a_photo_smaller_than_the_crop_is_padded(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for index in range(3):
        picture(tmp_path / f"{index}.png", size=(20, 16))
    assert photos(root=str(tmp_path))[0, 0].sharp.shape == (3, 32, 32)


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="data.root=FOLDER"):
        photos(root=str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="found 0 photos"):
        photos(root=str(tmp_path))
