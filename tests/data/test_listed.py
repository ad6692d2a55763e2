import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

from deblur.data.listed import Listed
from deblur.data.lists import LISTS
from deblur.data.photos import BUILT_IN


def make(
    split: str = "test", data: str = "synthetic", root: Path | None = None, **settings: Any
) -> Listed:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", [f"data={data}"])
    partial = instantiate(cfg.data.dataset, _convert_="all", **settings)
    listed: Listed = partial(root=root and str(root), split=split, crop=64, seed=0)
    return listed


@pytest.fixture
def few(tmp_path: Path) -> Path:
    path = tmp_path / "few.csv"
    path.write_text(
        "split,photo,blur,seed\ntest,polar_bear.webp,trajectory,3\ntest,polar_bear.webp,shake,3\n"
        "test,polar_bear.webp,still,1\nval,dog.webp,objects,0\n"
    )
    return path


def test_a_picture_is_a_function_of_its_row_alone(few: Path) -> None:
    pairs = make(listed=str(few), blurs=["shake"])
    assert len(pairs) == 1 and pairs.scenes == ["polar_bear"]
    pair = pairs[0, 0]
    assert pair.name == pairs[0].name == "shake/polar_bear-3"
    assert pair.blur.shape == pair.sharp.shape and min(pair.blur.shape[1:]) > 700
    assert 0.02 < (pair.blur - pair.sharp).abs().mean()
    again = make(listed=str(few))[5, 1]
    assert torch.equal(again.blur, pair.blur)


def test_photos_that_differ_in_their_endings_are_told_apart(tmp_path: Path) -> None:
    shutil.copy(BUILT_IN / "polar_bear.webp", tmp_path / "polar_bear.jpg")
    names = ["polar_bear.webp", "polar_bear.jpg", "dog.webp"]
    rows = [f"test,{name},shake,1" for name in names]
    (tmp_path / "list.csv").write_text("\n".join(["split,photo,blur,seed", *rows]))
    pairs = make(root=tmp_path, listed=str(tmp_path / "list.csv"))
    assert pairs.scenes == ["polar_bear.webp", "polar_bear.jpg", "dog"]
    assert pairs[1].name == "shake/polar_bear.jpg-1"


def test_what_stands_still_is_sharp(few: Path) -> None:
    still = make(listed=str(few), blurs=["still"])[0, 0]
    assert torch.equal(still.blur, still.sharp)


def test_validation_has_central_squares(few: Path) -> None:
    pairs = make("val", listed=str(few))
    assert pairs.scenes == ["dog"] and pairs[0, 0].blur.shape == (3, 64, 64)


def test_a_folder_is_searched_before_the_bundled_photos(few: Path, tmp_path: Path) -> None:
    shutil.copy(BUILT_IN / "dog.webp", tmp_path / "polar_bear.webp")
    for split, folder in (("test", tmp_path), ("val", BUILT_IN)):
        pairs = make(split, listed=str(few), root=tmp_path)
        assert {path.parent for path in pairs.paths.values()} == {folder}


def test_a_folder_that_is_not_there_is_refused(few: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none: no such folder"):
        make(listed=str(few), root=tmp_path / "none")


def test_a_photo_without_room_for_the_blur_is_refused(few: Path, tmp_path: Path) -> None:
    Image.new("RGB", (200, 90)).save(tmp_path / "dog.webp")
    with pytest.raises(ValueError, match="dog.webp: 200x90 pixels, expected 1[0-9]+ or more"):
        make("val", listed=str(few), root=tmp_path)


def test_it_trains_nothing(few: Path) -> None:
    with pytest.raises(ValueError, match="split is train"):
        make("train", listed=str(few))


@pytest.mark.parametrize(
    "row, message",
    [
        ("test,polar_bear.webp,fog,0", "no camera fog, expected trajectory, shake, objects, still"),
        ("test,../polar_bear.webp,shake,0", "polar_bear.webp, which is outside of"),
        ("test,unicorn.webp,shake,0", "unicorn.webp: no such file, but .*few.csv"),
        ("val,dog.webp,still,0", "no test pictures blurred by trajectory, shake, objects"),
    ],
)
def test_a_wrong_list_is_refused(row: str, message: str, few: Path) -> None:
    few.write_text(f"split,photo,blur,seed\n{row}\n")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        make(listed=str(few))


def test_noise_grows_from_daylight_to_night(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    strengths = ("daylight", "shade", "indoors", "night")
    rows = "".join(f"test,polar_bear.webp,still-{name},0\n" for name in strengths)
    path.write_text(f"split,photo,blur,seed\n{rows}")
    pairs = make(data="noisy", listed=str(path), blurs=[f"still-{name}" for name in strengths])
    levels = [
        float((pair.blur - pair.sharp).std() / 2) for pair in map(pairs.__getitem__, range(4))
    ]
    assert all(2 * less < more for less, more in zip(levels, levels[1:]))
    assert 0.001 < levels[0] < levels[3] < 0.2


@pytest.mark.parametrize("name", ["synthetic.csv", "noisy.csv", "long.csv"])
def test_the_lists_name_no_photo_that_is_trained_on(name: str) -> None:
    with open(BUILT_IN / "ATTRIBUTION.csv", newline="", encoding="utf-8") as file:
        splits = {row["file"]: row["split"] for row in csv.DictReader(file)}
    with open(LISTS / name, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(splits[row["photo"]] == row["split"] for row in rows)
    assert len({(row["split"], row["blur"], row["seed"]) for row in rows}) == len(rows)
