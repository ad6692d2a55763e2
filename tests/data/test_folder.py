import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deblur.data.folder import PairedFolder, Snapshots
from deblur.images import read
from deblur.pair import decode


def folder(root: Path, **changes: Any) -> PairedFolder:
    arguments: dict[str, Any] = {"root": str(root), "split": "train", "crop": 16, "seed": 0}
    return PairedFolder(**{**arguments, **changes})


def test_gopro_is_read_as_it_is_unpacked(gopro: Path) -> None:
    test = folder(gopro, split="test")
    assert [name for name, *_ in test.pairs] == ["T1-000000", "T1-000001", "T1-000002"]
    pair = test[0, 1]
    for image, kind in ((pair.blur, "blur"), (pair.sharp, "sharp")):
        pixels = torch.from_numpy(read(gopro / f"test/T1/{kind}/000001.png"))
        assert torch.equal(decode(image).permute(1, 2, 0), pixels)


def test_the_blurred_folder_is_chosen_by_name(gopro: Path) -> None:
    linear, gamma = (folder(gopro, split="test", blur=b)[0, 0] for b in ("blur", "blur_gamma"))
    assert not torch.equal(linear.blur, gamma.blur)
    assert torch.equal(linear.sharp, gamma.sharp)


def test_whole_train_scenes_are_held_out_for_validation(gopro: Path) -> None:
    held_out = ["GOPR0372_07_00"]
    val = folder(gopro, split="val", val_scenes=held_out)
    train = folder(gopro, val_scenes=held_out)
    assert {name[:14] for name, *_ in val.pairs} == set(held_out)
    assert {name[:14] for name, *_ in train.pairs} == {"GOPR0374_11_00"}


def test_without_those_scenes_every_tenth_pair_is_held_out(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for index in range(20):
        for kind in ("blur", "sharp"):
            picture(tmp_path / f"train/{kind}/{index:02d}.png")
    val = folder(tmp_path, split="val", val_scenes=["elsewhere"])
    assert [file.stem for _, file, _ in val.pairs] == ["09", "19"]
    assert len(folder(tmp_path, val_scenes=["elsewhere"])) == 18


def test_of_a_few_pairs_the_last_is_held_out(tmp_path: Path, picture: Callable[..., Path]) -> None:
    for index in range(3):
        for kind in ("blur", "sharp"):
            picture(tmp_path / f"train/{kind}/{index}.png")
    assert [file.stem for _, file, _ in folder(tmp_path, split="val").pairs] == ["2"]
    assert len(folder(tmp_path)) == 2


def test_pairs_are_matched_by_name_whatever_the_ending(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for index in range(3):
        picture(tmp_path / f"test/blur/{index}.png")
        picture(tmp_path / f"test/sharp/{index}.PNG" if index else tmp_path / "test/sharp/0.webp")
    assert all(a.stem == b.stem for _, a, b in folder(tmp_path, split="test").pairs)


def test_a_training_crop_cuts_both_pictures_alike(gopro: Path) -> None:
    for scene in (gopro / "train").iterdir():
        shutil.rmtree(scene / "blur")
        shutil.copytree(scene / "sharp", scene / "blur")
    data = folder(gopro)
    for index in range(len(data)):
        pair = data[3, index]
        assert pair.blur.shape == (3, 16, 16)
        assert torch.equal(pair.blur, pair.sharp)


def test_resizing_squashes_the_whole_frame(gopro: Path) -> None:
    pair = folder(gopro, split="val", val_scenes=["GOPR0372_07_00"], fit="resize")[0, 0]
    assert pair.blur.shape == pair.sharp.shape == (3, 16, 16)


def test_a_limit_takes_the_first_by_name(gopro: Path) -> None:
    assert [n for n, *_ in folder(gopro, split="test", limit=2).pairs] == ["T1-000000", "T1-000001"]


def test_missing_data_says_what_was_expected_and_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such folder.*train/<scene>.*data=photos"):
        folder(tmp_path / "GOPRO_Large")
    with pytest.raises(FileNotFoundError, match=r"found no folder sharp.*data=photos"):
        folder(tmp_path)


def test_a_missing_blurred_folder_is_named(gopro: Path) -> None:
    with pytest.raises(FileNotFoundError, match="found sharp but no folder blur_lin"):
        folder(gopro, blur="blur_lin")


def test_unequal_folders_raise_with_both_counts(gopro: Path) -> None:
    (gopro / "train/GOPR0372_07_00/sharp/000001.png").unlink()
    with pytest.raises(ValueError, match="3 pictures in blur but 2 in sharp.*000001"):
        folder(gopro)


def test_a_pair_of_two_sizes_is_named(gopro: Path, picture: Callable[..., Path]) -> None:
    picture(gopro / "test/T1/sharp/000000.png", size=(30, 30))
    with pytest.raises(ValueError, match="two sizes: .*48x40 but .*30x30"):
        folder(gopro, split="test")


def test_a_frame_smaller_than_the_crop_is_named(gopro: Path) -> None:
    with pytest.raises(ValueError, match="is 48x40, too small for a crop of 41 pixels"):
        folder(gopro, crop=41)
    assert len(folder(gopro, crop=41, fit="resize")) > 0


def test_empty_folders_are_no_data(gopro: Path) -> None:
    for file in (gopro / "test").rglob("*.png"):
        file.unlink()
    with pytest.raises(FileNotFoundError, match="are empty"):
        folder(gopro, split="test")


def test_an_unreadable_file_is_named(gopro: Path) -> None:
    (gopro / "test/T1/blur/000000.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="000000.png: not a readable picture"):
        folder(gopro, split="test")


def test_a_truncated_file_is_named_when_it_is_read(gopro: Path) -> None:
    file = gopro / "test/T1/blur/000000.png"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ValueError, match="000000.png: not a readable picture"):
        folder(gopro, split="test")[0, 0]


def test_snapshots_have_no_sharp_partner(tmp_path: Path, picture: Callable[..., Path]) -> None:
    picture(tmp_path / "holiday.png")
    data = Snapshots(root=str(tmp_path))
    assert not data.paired
    assert data[0, 0].name == "holiday"
