import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from imitations import write
from PIL import Image
from torch.utils.data import DataLoader

from deblur.data.crops import EpochSampler
from deblur.data.folder import PairedFolder
from deblur.data.snapshots import Snapshots
from deblur.media.images import read
from deblur.pair import decode


def folder(root: Path, **changes: Any) -> PairedFolder:
    arguments: dict[str, Any] = {"root": str(root), "split": "train", "crop": 16, "seed": 0}
    return PairedFolder(**{**arguments, **changes})


def test_gopro_is_read_as_it_is_unpacked(gopro: Path) -> None:
    test = folder(gopro, split="test")
    assert [pair.name for pair in test.pairs] == ["T1-000000", "T1-000001", "T1-000002"]
    pair = test[0, 1]
    for image, kind in ((pair.blur, "blur"), (pair.sharp, "sharp")):
        pixels = torch.from_numpy(read(gopro / f"test/T1/{kind}/000001.png"))
        assert torch.equal(decode(image).permute(1, 2, 0), pixels)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_frames_can_be_brought_to_another_size_first(gopro: Path, split: str) -> None:
    half = folder(gopro, split=split, val_scenes=["GOPR0372_07_00"], crop=20, resize=[24, 20])
    image = half[0, 0].blur
    assert image.shape == ((3, 20, 24) if split == "test" else (3, 20, 20))
    file = gopro / half.pairs[0].blur[0].relative_to(gopro)
    whole = Image.open(file).resize((24, 20), Image.Resampling.BICUBIC)
    expected = torch.from_numpy(np.array(whole)).permute(2, 0, 1)
    if split != "train":
        assert torch.equal(decode(image), expected[:, :, 2:22] if split == "val" else expected)
    with pytest.raises(ValueError, match="24x20.*crop"):
        folder(gopro, crop=24, resize=[24, 20])
    with pytest.raises(ValueError, match="resize"):
        folder(gopro, resize=[24])


def test_the_blurred_folder_is_chosen_by_name(gopro: Path) -> None:
    linear, gamma = (folder(gopro, split="test", blur=b)[0, 0] for b in ("blur", "blur_gamma"))
    assert not torch.equal(linear.blur, gamma.blur)
    assert torch.equal(linear.sharp, gamma.sharp)


def test_whole_train_scenes_are_held_out_for_validation(gopro: Path) -> None:
    held_out = ["GOPR0372_07_00"]
    val = folder(gopro, split="val", val_scenes=held_out)
    train = folder(gopro, val_scenes=held_out)
    assert {pair.scene for pair in val.pairs} == set(held_out)
    assert {pair.scene for pair in train.pairs} == {"GOPR0374_11_00"}


def test_without_those_scenes_every_tenth_pair_is_held_out(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for index in range(20):
        for kind in ("blur", "sharp"):
            picture(tmp_path / f"train/{kind}/{index:02d}.png")
    val = folder(tmp_path, split="val", val_scenes=["elsewhere"])
    assert [pair.name for pair in val.pairs] == ["09", "19"]
    assert len(folder(tmp_path, val_scenes=["elsewhere"])) == 18


def test_of_a_few_pairs_the_last_is_held_out(tmp_path: Path, picture: Callable[..., Path]) -> None:
    for index in range(3):
        for kind in ("blur", "sharp"):
            picture(tmp_path / f"train/{kind}/{index}.png")
    assert [pair.name for pair in folder(tmp_path, split="val").pairs] == ["2"]
    assert len(folder(tmp_path)) == 2


def test_pairs_are_matched_by_name_whatever_the_ending(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for index in range(3):
        picture(tmp_path / f"test/blur/{index}.png")
        picture(tmp_path / f"test/sharp/{index}.PNG" if index else tmp_path / "test/sharp/0.webp")
    assert all(p.blur[0].stem == p.sharp.stem for p in folder(tmp_path, split="test").pairs)


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
    assert [p.name for p in folder(gopro, split="test", limit=2).pairs] == [
        "T1-000000",
        "T1-000001",
    ]


def test_missing_data_says_what_was_expected_and_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="{scene}/blur/.*data=photos"):
        folder(tmp_path / "GOPRO_Large", layout="gopro")
    with pytest.raises(FileNotFoundError, match="docs/data.md.*data=photos"):
        folder(tmp_path)


def test_a_missing_blurred_folder_is_named(gopro: Path) -> None:
    with pytest.raises(FileNotFoundError, match="/blur_lin/"):
        folder(gopro, blur="blur_lin")


def test_a_picture_without_a_partner_is_named(gopro: Path) -> None:
    (gopro / "train/GOPR0372_07_00/sharp/000001.png").unlink()
    with pytest.raises(ValueError, match="8 pairs.*000001"):
        folder(gopro)


def test_a_pair_of_two_sizes_is_named(gopro: Path, picture: Callable[..., Path]) -> None:
    picture(gopro / "test/T1/sharp/000000.png", size=(30, 30))
    with pytest.raises(ValueError, match="differ in size: .*48x40 but .*30x30"):
        folder(gopro, split="test")


def test_a_frame_smaller_than_the_crop_is_named(gopro: Path) -> None:
    with pytest.raises(ValueError, match="48x40.*crop"):
        folder(gopro, crop=41)
    assert len(folder(gopro, crop=41, fit="resize")) > 0


def test_empty_folders_are_no_data(gopro: Path) -> None:
    for file in (gopro / "test").rglob("*.png"):
        file.unlink()
    with pytest.raises(FileNotFoundError, match="test pairs.*gopro"):
        folder(gopro, split="test")


def test_an_unreadable_file_is_named(gopro: Path) -> None:
    (gopro / "test/T1/blur/000000.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="000000.png"):
        folder(gopro, split="test")


def test_a_truncated_file_is_named_when_it_is_read(gopro: Path) -> None:
    file = gopro / "test/T1/blur/000000.png"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ValueError, match="000000.png"):
        folder(gopro, split="test")[0, 0]


def test_snapshots_have_no_sharp_partner(tmp_path: Path, picture: Callable[..., Path]) -> None:
    picture(tmp_path / "holiday.png")
    data = Snapshots(root=str(tmp_path))
    assert not data.paired
    assert data[0, 0].name == data[0].name == "holiday"


def test_validation_never_uses_test_pairs(tmp_path: Path) -> None:
    for layout in ("gopro", "reds", "realblur_j", "rsblur", "dvd"):
        write(layout, tmp_path / layout)
        splits = {s: folder(tmp_path / layout, split=s).pairs for s in ("train", "val", "test")}
        names = [(pair.split, pair.name) for pairs in splits.values() for pair in pairs]
        assert len(names) == len(set(names))
        assert all(pair.split != "test" for pair in splits["train"] + splits["val"])
        assert all(pair.split == "test" for pair in splits["test"])


def test_a_set_without_splits_gives_scenes_to_each(tmp_path: Path) -> None:
    write("lq_gt", tmp_path)
    splits = {s: [p.name for p in folder(tmp_path, split=s).pairs] for s in ("val", "test")}
    assert splits == {"val": ["09", "19"], "test": ["08", "18"]}
    assert len(folder(tmp_path).pairs) == 16
    assert len(folder(tmp_path, split="test", whole=True).pairs) == 20


@pytest.mark.parametrize(
    ("have", "want", "told"),
    [
        ("train", "train", "its only train scene, or pair, is held out for validation"),
        ("test", "train", "its test pairs; expected a folder train/"),
        ("test", "val", "its test pairs; expected a folder val/"),
        ("train", "test", "its train pairs; expected a folder test/"),
        (None, "train", "requires three scenes"),
        (None, "test", "data.dataset.whole=true measures all of them"),
    ],
)
def test_no_advice_puts_pairs_into_another_split(
    have: str | None, want: str, told: str, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for side in ("blur", "sharp"):
        picture(tmp_path / (have or "") / side / "1.png")
    with pytest.raises(FileNotFoundError, match=f"no {want} pairs.*{told}") as caught:
        folder(tmp_path, split=want)
    assert ("whole=true" in str(caught.value)) == (have is None and want == "test")


def test_training_pairs_are_not_advised_for_testing(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    rows = [f"{side}/{scene}.png" for scene in "abc" for side in ("blur", "sharp")]
    for file in rows:
        picture(tmp_path / file)
    table = [f"{blur},{sharp},{blur[5]}" for blur, sharp in zip(rows[::2], rows[1::2])]
    (tmp_path / "pairs.csv").write_text("\n".join(["blur,sharp,scene", *table]))
    assert len(folder(tmp_path, val_scenes=["a"])) == 2
    with pytest.raises(FileNotFoundError, match="data.dataset.val_scenes=null") as caught:
        folder(tmp_path, split="test", val_scenes=["a"])
    assert "whole=true" not in str(caught.value)
    assert len(folder(tmp_path, split="test", val_scenes=None)) == 1


def test_pairs_are_chosen_by_a_list_of_names(gopro: Path, tmp_path: Path) -> None:
    names = tmp_path / "light.txt"
    names.write_text("GOPR0372_07_00-000001\nGOPR0374_11_00-000002\n")
    assert len(folder(gopro, names=str(names), val_scenes=["none"], whole=True).pairs) == 2
    val_scenes = ["GOPR0372_07_00"]
    for split, scene in (("train", "GOPR0374_11_00"), ("val", "GOPR0372_07_00")):
        data = folder(gopro, names=str(names), split=split, val_scenes=val_scenes, limit=1)
        assert [pair.scene for pair in data.pairs] == [scene]
    with pytest.raises(FileNotFoundError, match="data.dataset.names.*T1-000000"):
        folder(gopro, names=str(names), split="test")
    assert len(folder(gopro, names=["T1-000000", "T1-000002"], split="test", limit=1)) == 2
    names.write_text("elsewhere-000001\n")
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        folder(gopro, names=str(names))


def test_a_name_of_several_splits_means_the_training_pair(tmp_path: Path) -> None:
    write("reds", tmp_path)
    [pair] = folder(tmp_path, layout="reds", names=["000-00000000"], whole=True).pairs
    assert pair.sharp == tmp_path / "train/train_sharp/000/00000000.png"
    [held_out] = folder(tmp_path, layout="reds", names=["000-00000000"], split="test").pairs
    assert held_out.sharp == tmp_path / "val/val_sharp/000/00000000.png"


def test_pairs_of_unknown_scenes_are_no_benchmark(tmp_path: Path) -> None:
    write("gopro_kaggle", tmp_path)
    assert len(folder(tmp_path)) > 0
    with pytest.raises(ValueError, match="not a benchmark"):
        folder(tmp_path, split="test")


def test_a_folder_too_high_up_is_pointed_down(gopro: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data.root=.*/GOPRO_Large"):
        folder(gopro.parent)


def test_an_unknown_layout_is_refused(gopro: Path) -> None:
    with pytest.raises(ValueError, match="layout"):
        folder(gopro, layout="goopro")


def test_training_crops_come_from_where_there_is_detail(tmp_path: Path) -> None:
    half = np.full((100, 200, 3), 128, np.uint8)
    half[:, 100:] = np.random.default_rng(0).integers(0, 256, (100, 100, 3))
    for kind in ("blur", "sharp"):
        for index in range(4):
            (tmp_path / "train" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(half).save(tmp_path / "train" / kind / f"{index}.png")
    data = folder(tmp_path, detail=1.0)
    assert all(data[epoch, 0].sharp.std() > 0.1 for epoch in range(20))


def test_an_index_alone_and_a_plain_loader_draw_epoch_0(gopro: Path) -> None:
    data = folder(gopro, val_scenes=["GOPR0372_07_00"])
    for index, pair in enumerate(data):
        assert torch.equal(pair.blur, data[0, index].blur) and pair.name == data.pairs[index].name
    assert torch.equal(data[-1].sharp, data[0, 2].sharp)
    (batch,) = DataLoader(data, batch_size=3)
    assert batch.blur.shape == batch.sharp.shape == (3, 3, 16, 16)
    assert torch.equal(batch.blur[2], data[0, 2].blur) and len(batch.name) == 3


def test_a_plain_loader_varies_epochs_by_the_sampler(gopro: Path) -> None:
    data = folder(gopro, val_scenes=["GOPR0372_07_00"])
    sampler = EpochSampler(len(data), shuffle=True)
    loader = DataLoader(data, batch_size=3, sampler=sampler)
    sampler.set_epoch(1)
    (batch,) = loader
    for index in range(3):
        own = data[1, [pair.name for pair in data.pairs].index(batch.name[index])]
        assert torch.equal(batch.blur[index], own.blur)
