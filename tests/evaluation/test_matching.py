import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from imitations import write

from deblur.data.search import find_pairs
from deblur.evaluation.matching import match

Write = Callable[..., Path]


def pairs(restored: Path, sharp: Path) -> dict[str, str]:
    matched, _ = match(restored, sharp)
    return {name: truth.file.relative_to(sharp).as_posix() for name, _, truth in matched}


@pytest.mark.parametrize(
    "restored, sharp",
    [
        ("a.png", "a.jpg"),
        ("s1/a.png", "s1/a.png"),
        ("s1/a.png", "test/s1/sharp/a.png"),
        ("test/s1/restored/a.png", "s1/a.png"),
        ("s1-a.png", "s1/sharp/a.png"),
        ("s1_a.webp", "s1/sharp/a.png"),
        ("deep/er/a.png", "a.png"),
    ],
)
def test_names_that_mean_the_same_match(
    restored: str, sharp: str, tmp_path: Path, picture: Write
) -> None:
    picture(tmp_path / "r" / restored)
    picture(tmp_path / "s" / sharp)
    picture(tmp_path / "s" / "s2" / "other.png")
    assert [*pairs(tmp_path / "r", tmp_path / "s").values()] == [sharp]


def test_frames_of_the_same_number_go_by_their_scenes(tmp_path: Path, picture: Write) -> None:
    for scene in ("s1", "s2"):
        picture(tmp_path / "r" / f"{scene}-000001.png")
        picture(tmp_path / "s" / scene / "sharp" / "000001.png")
    found = match(tmp_path / "r", tmp_path / "s")[0]
    assert [(name, truth.scene) for name, _, truth in found] == [
        ("s1-000001", "s1"),
        ("s2-000001", "s2"),
    ]


@pytest.mark.parametrize("layout", ["gopro", "realblur_j", "hide", "kohler"])
def test_a_data_set_is_taken_as_it_is_unpacked(layout: str, tmp_path: Path, picture: Write) -> None:
    write(layout, tmp_path / "set")
    pair = find_pairs(tmp_path / "set", layout)[0][0]
    picture(tmp_path / "r" / pair.blur[0].relative_to(tmp_path / "set"))
    ((_, _, truth),), missing = match(tmp_path / "r", tmp_path / "set")
    assert truth.file == pair.sharp
    assert bool(truth.poses) == (layout == "kohler")
    assert missing


def test_the_other_splits_of_a_data_set_are_not_missed(gopro: Path, tmp_path: Path) -> None:
    shutil.copytree(gopro / "test", tmp_path / "r", ignore=lambda *_: ["sharp", "blur_gamma"])
    for stray in (tmp_path / "r").rglob("*.txt"):
        stray.unlink()
    matched, missing = match(tmp_path / "r", gopro)
    assert len(matched) == 3 and not missing
    next((tmp_path / "r").rglob("*.png")).unlink()
    assert [truth.split for truth in match(tmp_path / "r", gopro)[1]] == ["test"]


def test_what_has_no_partner_is_named(tmp_path: Path, picture: Write) -> None:
    picture(tmp_path / "r" / "a.png")
    picture(tmp_path / "s" / "b.png")
    with pytest.raises(ValueError, match="of 1 pictures 1 .*a.png"):
        match(tmp_path / "r", tmp_path / "s")


def test_two_for_one_are_refused(tmp_path: Path, picture: Write) -> None:
    for name in ("x/a.png", "y/a.png"):
        picture(tmp_path / "r" / name)
    picture(tmp_path / "s" / "a.png")
    with pytest.raises(ValueError, match="several pictures"):
        match(tmp_path / "r", tmp_path / "s")


def test_the_sharp_ones_that_are_left_over_are_told(tmp_path: Path, picture: Write) -> None:
    picture(tmp_path / "r" / "a.png")
    for name in ("a.png", "b.png"):
        picture(tmp_path / "s" / name)
    _, missing = match(tmp_path / "r", tmp_path / "s")
    assert [truth.file.name for truth in missing] == ["b.png"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone: no such folder"):
        match(tmp_path / "gone", tmp_path)


@pytest.mark.parametrize("empty", ["r", "s"])
def test_an_empty_folder_is_named(empty: str, tmp_path: Path, picture: Write) -> None:
    for name in "rs":
        (tmp_path / name).mkdir()
    picture(tmp_path / ("s" if empty == "r" else "r") / "a.png")
    with pytest.raises(FileNotFoundError, match=f"/{empty}"):
        match(tmp_path / "r", tmp_path / "s")


def test_a_file_is_no_folder(tmp_path: Path, picture: Write) -> None:
    picture(tmp_path / "s" / "a.png")
    with pytest.raises(NotADirectoryError, match="a.png"):
        match(tmp_path / "s" / "a.png", tmp_path / "s")
