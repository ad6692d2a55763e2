"""Links and names that lead out of a data set's folder."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from imitations import picture, write

from deblur.blur.camera import Camera
from deblur.blur.trajectory import TrajectoryBlur
from deblur.data.check import check
from deblur.data.folder import PairedFolder
from deblur.data.photos import Photos
from deblur.data.prepared import prepare
from deblur.data.search import find_pairs, guess
from deblur.data.snapshots import Snapshots

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows")
FRAME = "test/GOPR0384_11_00/sharp/000047.png"


@pytest.fixture
def gopro(tmp_path: Path) -> Path:
    write("gopro", tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    picture(tmp_path / "private" / "000047.png", 1)
    return tmp_path / "private" / "000047.png"


def relink(path: Path, target: Path | str) -> None:
    path.unlink()
    path.symlink_to(target)


READERS: dict[str, Callable[[Path], object]] = {
    "search": lambda root: find_pairs(root, "gopro"),
    "guess": guess,
    "check": lambda root: check(root, "gopro"),
    "read": lambda root: PairedFolder(root=str(root), split="test", crop=16, seed=0),
    "prepare": lambda root: [
        *prepare(root, root / "out", layout="gopro", blur=None, splits=[], workers=1)
    ],
}


@pytest.mark.parametrize("reader", READERS)
def test_a_link_out_of_a_data_set_is_refused_by_name(
    reader: str, gopro: Path, outside: Path
) -> None:
    relink(gopro / FRAME, outside)
    with pytest.raises(ValueError, match=f"{FRAME}"):
        READERS[reader](gopro)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../private/000047.png", "/gone.png"])
def test_relative_and_broken_links_are_refused_too(target: str, gopro: Path, outside: Path) -> None:
    relink(gopro / FRAME, target)
    with pytest.raises(ValueError, match=f"{FRAME}"):
        find_pairs(gopro, "gopro")


def test_a_folder_that_is_a_link_is_refused_too(gopro: Path, tmp_path: Path) -> None:
    shutil.move(gopro / "train", tmp_path / "elsewhere")
    (gopro / "train").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="set/train.*elsewhere"):
        find_pairs(gopro, "gopro")


def test_whoever_wants_it_has_links_followed(
    gopro: Path, outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [pair.name for pair in find_pairs(gopro, "gopro")[0]]
    relink(gopro / FRAME, outside)
    shutil.move(gopro / "train", tmp_path / "elsewhere")
    (gopro / "train").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("DEBLUR_FOLLOW_LINKS", "1")
    assert [pair.name for pair in find_pairs(gopro, "gopro")[0]] == expected


def test_a_root_that_is_a_link_and_links_inside_are_followed(gopro: Path, tmp_path: Path) -> None:
    (gopro / "val").symlink_to("test")
    relink(gopro / FRAME, "000048.png")
    (tmp_path / "mine").symlink_to(gopro)
    for root in (gopro, tmp_path / "mine"):
        assert {pair.split for pair in find_pairs(root, "gopro")[0]} == {"train", "val", "test"}


def test_a_link_to_a_folder_it_lies_in_is_left_out(gopro: Path) -> None:
    expected = find_pairs(gopro, "gopro")
    (gopro / "train" / "again").symlink_to("..")
    (gopro / "here").symlink_to(".")
    assert find_pairs(gopro, "gopro") == expected


def test_plain_pictures_are_held_to_it_too(tmp_path: Path, outside: Path) -> None:
    for index in range(4):
        picture(tmp_path / "mine" / f"{index}.png", index)
    relink(tmp_path / "mine" / "2.png", outside)
    blur = Camera(motion=TrajectoryBlur(length=5, anxiety=0))
    root, held_out = str(tmp_path / "mine"), {"crop": 32, "val": 1, "test": 1}
    for read in (
        lambda: Snapshots(root=root),
        lambda: Photos(
            root=root, split="train", crop=32, seed=0, blur=blur, size=4, held_out=held_out
        ),
    ):
        with pytest.raises(ValueError, match="mine/2.png"):
            read()


@pytest.mark.parametrize("name", ["../private/000047.png", "{outside}", "a/../../private/1.png"])
def test_a_table_names_no_files_outside(name: str, tmp_path: Path, outside: Path) -> None:
    write("csv", tmp_path / "set")
    table = tmp_path / "set" / "pairs.csv"
    with open(table, "a") as file:
        file.write(f"{name.format(outside=outside)},{name.format(outside=outside)},test,home,x\n")
    with pytest.raises(ValueError, match=f"{table}"):
        find_pairs(tmp_path / "set", "csv")
    assert find_pairs(table, "csv")[0]  # whoever names the table itself trusts it


def test_a_tables_links_stay_inside(tmp_path: Path, outside: Path) -> None:
    write("csv", tmp_path / "set")
    blurred = find_pairs(tmp_path / "set", "csv")[0][0].blur[0]
    relink(blurred, outside)
    with pytest.raises(ValueError, match=f"{blurred.name}"):
        find_pairs(tmp_path / "set", "csv")
