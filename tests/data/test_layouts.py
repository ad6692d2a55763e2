"""Every layout of the table, on a tiny imitation (tests/imitations.py) with its traps."""

from pathlib import Path

import numpy as np
import pytest
from imitations import picture, write

from deblur.data.folder import PairedFolder
from deblur.data.layouts import LAYOUTS
from deblur.data.search import find_pairs, guess
from deblur.media.images import read

# How many pairs of each split, of how many scenes, and the first pair's name.
EXPECTED = {
    "gopro": ({"train": 6, "test": 3}, 3, "GOPR0372_07_00-000047"),
    "avg_3840fps": ({"train": 4, "test": 4}, 2, "0372-00000"),
    "gopro_kaggle": ({None: 12}, 1, "0"),
    "reds": ({"train": 4, "test": 4}, 2, "000-00000000"),
    "realblur_j": ({"train": 2, "test": 4}, 3, "scene001-10"),
    "realblur_r": ({"train": 2, "test": 4}, 3, "scene001-10"),
    "rsblur": ({"train": 1, "val": 1, "test": 1}, 3, "0001-000022"),
    "hide": ({"train": 3, "test": 2}, 3, "0fromGOPR"),
    "dvd": ({"train": 2, "test": 4}, 3, "720p_240fps_1-00000"),
    "nfs": ({None: 4}, 2, "Gymnastics-00004"),
    "kohler": ({"test": 3}, 2, "1-1"),
    "blur_sharp": ({"train": 4, "test": 4}, 2, "GOPR0372_11_00_000001"),
    "input_target": ({"train": 4, "test": 4}, 2, "GOPR0372_11_00_000001"),
    "input_gt": ({"train": 20, "test": 20}, 1, "00"),
    "lq_gt": ({None: 20}, 1, "00"),
    "a_b": ({"train": 20, "val": 20, "test": 20}, 1, "00"),
    "suffixes": ({None: 20}, 1, "00"),
    "side_by_side": ({"train": 3, "test": 3}, 1, "00"),
    "csv": ({"train": 2, "val": 1, "test": 1}, 1, "home-0"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_read_and_recognised(layout: str, tmp_path: Path) -> None:
    write(layout, tmp_path)
    found, unpaired = find_pairs(tmp_path, layout)
    splits, scenes, first = EXPECTED[layout]
    assert unpaired == []
    counts = {split: sum(pair.split == split for pair in found) for split in splits}
    assert counts == splits and sum(splits.values()) == len(found)
    assert len({pair.scene for pair in found}) == scenes
    assert found[0].name == first
    assert {pair.size() for pair in found} == {(48, 40)}
    if layout != "side_by_side":
        assert guess(tmp_path) == layout


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"nfs", "kohler", "side_by_side", "csv"}))
def test_each_blurred_picture_meets_its_own_sharp_one(layout: str, tmp_path: Path) -> None:
    write(layout, tmp_path)
    for pair in find_pairs(tmp_path, layout)[0]:
        again = pair.read()
        assert np.array_equal(again[0], read(pair.blur[0]))
        assert np.array_equal(again[1], read(pair.sharp))
        assert pair.blur[0] != pair.sharp
        # Imitations have equal file names, or a number that both share.
        digits = ["".join(filter(str.isdigit, path.stem)) for path in (pair.blur[0], pair.sharp)]
        assert layout == "csv" or digits[0] == digits[1]


def test_variants_of_the_blurred_pictures(tmp_path: Path) -> None:
    for layout, blur, part in (
        ("gopro", "blur_gamma", "blur_gamma/000047.png"),
        ("reds", "blur_jpeg", "train_blur_jpeg/000/00000000.jpg"),
        ("rsblur", "avg65_img/avg_blur", "avg65_img/avg_blur.png"),
    ):
        write(layout, tmp_path / layout)
        found, _ = find_pairs(tmp_path / layout, layout, blur)
        assert len(found) == sum(EXPECTED[layout][0].values())
        assert found[0].blur[0].as_posix().endswith(part)


def test_tracking_frames_are_averaged_seven_by_seven(tmp_path: Path) -> None:
    write("nfs", tmp_path)
    pair = find_pairs(tmp_path, "nfs")[0][0]
    assert [path.stem for path in pair.blur] == [f"{n:05}" for n in range(1, 8)]
    assert pair.sharp.stem == "00004"
    frames = np.stack([read(path) for path in pair.blur]).astype(float)
    assert np.abs(pair.read()[0] - frames.mean(0)).max() <= 0.5


def test_kohlers_sharp_picture_is_the_middle_one(tmp_path: Path) -> None:
    write("kohler", tmp_path)
    assert find_pairs(tmp_path, "kohler")[0][0].sharp.stem == "GroundTruth1_1_6"


def test_halves_are_cut_apart(tmp_path: Path) -> None:
    write("side_by_side", tmp_path)
    pair = find_pairs(tmp_path, "side_by_side")[0][0]
    whole = read(pair.sharp)
    assert np.array_equal(pair.read(), [whole[:, :48], whole[:, 48:]])
    picture(pair.sharp, 0, (95, 40))
    with pytest.raises(ValueError, match="has an odd width"):
        pair.size()


def test_a_missing_partner_is_named(tmp_path: Path) -> None:
    write("gopro", tmp_path)
    (tmp_path / "test/GOPR0384_11_00/sharp/000048.png").unlink()
    (tmp_path / "train/GOPR0372_07_00/blur/000047.png").unlink()
    assert find_pairs(tmp_path, "gopro")[1] == [
        "test/GOPR0384_11_00/blur/000048.png",
        "train/GOPR0372_07_00/sharp/000047.png",
    ]


def test_endings_may_differ_and_be_in_capitals(tmp_path: Path) -> None:
    write("gopro", tmp_path)
    for path in tmp_path.glob("train/*/sharp/*.png"):
        path.rename(path.with_suffix(".PNG"))
    assert len(find_pairs(tmp_path, "gopro")[0]) == 9


def test_grey_and_transparent_pictures_are_read_as_colour(tmp_path: Path) -> None:
    write("gopro", tmp_path)
    picture(tmp_path / "test/GOPR0384_11_00/sharp/000047.png", 1, mode="L")
    picture(tmp_path / "test/GOPR0384_11_00/sharp/000048.png", 1, mode="RGBA")
    for pair in find_pairs(tmp_path, "gopro")[0]:
        assert pair.read().shape == (2, 40, 48, 3)


def test_realblur_without_its_lists_has_no_splits(tmp_path: Path) -> None:
    write("realblur_j", tmp_path)
    for path in tmp_path.glob("*.txt"):
        path.unlink()
    assert {pair.split for pair in find_pairs(tmp_path, "realblur_j")[0]} == {None}


def test_a_table_must_name_its_columns_and_splits(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("left,right\na,b\n")
    with pytest.raises(ValueError, match="expected blur and sharp"):
        find_pairs(tmp_path, "csv")
    (tmp_path / "pairs.csv").write_text("blur,sharp,split\na.png,b.png,toast\n")
    with pytest.raises(ValueError, match="split is toast"):
        find_pairs(tmp_path, "csv")
    rows = "a.png,b.png,train\nc.png,d.png,\n"
    (tmp_path / "pairs.csv").write_text(f"blur,sharp,split\n{rows}")
    with pytest.raises(ValueError, match="pairs.csv: line 3 has no split"):
        find_pairs(tmp_path, "csv")
    (tmp_path / "pairs.csv").write_text(f"blur,sharp\n{rows}".replace(",train", ""))
    assert [pair.split for pair in find_pairs(tmp_path, "csv")[0]] == [None, None]


def test_a_folder_of_other_things_has_no_layout(tmp_path: Path) -> None:
    picture(tmp_path / "holiday/beach.png", 1)
    assert guess(tmp_path) is None


def test_realblur_without_its_lists_says_where_they_are(tmp_path: Path) -> None:
    write("realblur_j", tmp_path)
    for path in tmp_path.glob("*.txt"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="RealBlur_J_train_list.txt"):
        PairedFolder(root=str(tmp_path), split="train", crop=8, seed=0, layout="realblur_j")


def test_files_that_differ_by_their_extensions_alone_are_not_lost_silently(tmp_path: Path) -> None:
    for name in ("train/blur/1.jpg", "train/blur/1.png", "train/sharp/1.png"):
        picture(tmp_path / name, 1)
    (pair,), unpaired = find_pairs(tmp_path, guess(tmp_path) or "")
    assert [file.name for file in pair.blur] == ["1.png"] and unpaired == ["train/blur/1.jpg"]


@pytest.mark.parametrize(
    ("blur", "sharp"),
    [
        *(("x_blur", "x_sharp"), ("test/x_blurred", "test/x_sharp"), ("x_blurry", "x_sharp")),
        *(("train/x_input", "train/x_target"), ("x_input", "x_gt"), ("x_lq", "x_gt")),
        *(("blur/x_blur", "sharp/x_sharp"), ("val/blur/x_blur", "val/sharp/x_sharp")),
    ],
)
def test_names_may_tell_the_sides(blur: str, sharp: str, tmp_path: Path) -> None:
    picture(tmp_path / f"{blur}.png", 1)
    picture(tmp_path / f"{sharp}.jpg", 2)
    assert guess(tmp_path) == "suffixes"
    (pair,), unpaired = find_pairs(tmp_path, "suffixes")
    assert (pair.name, pair.blur[0].stem[:3], unpaired) == ("x", blur.split("/")[-1][:3], [])
    assert pair.sharp.suffix == ".jpg"
    assert pair.split == (blur.split("/")[0] if blur[:4] in ("test", "trai", "val/") else None)


@pytest.mark.parametrize("truth", ["gt", "GT"])
def test_the_folders_of_splits_are_no_scenes(truth: str, tmp_path: Path) -> None:
    """They are in DVD's layout, too, all of whose other scenes are for training."""
    for split in ("train", "test"):
        for side in ("input", truth):
            picture(tmp_path / split / side / "1.png", 1)
    assert guess(tmp_path) == "input_gt"
    assert {pair.split for pair in find_pairs(tmp_path, "input_gt")[0]} == {"train", "test"}
