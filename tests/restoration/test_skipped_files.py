from pathlib import Path

import pytest

from deblur.restoration.batch import is_known
from deblur.restoration.skipped_files import describe_passed


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.NEF", "in/c.dng", "in/notes.txt", "in/x.TXT", "clip.mp4", "readme"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "photos"


def test_raw_files_other_kinds_and_linked_folders_are_counted(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d.cr2").touch()
    (tree / "link").symlink_to(tmp_path / "elsewhere")
    assert describe_passed([str(tree)], tmp_path / "out", is_known) == (
        "passed over: 2 raw files of cameras (develop them first), "
        "3 files of other kinds (.txt, none), 1 linked folder (name them to have them restored)"
    )
    again = [str(tree), str(tree / "in"), str(tree / "..")]
    assert describe_passed(again[:2], tmp_path / "out", is_known) == describe_passed(
        again[:1], tmp_path / "out", is_known
    )
    assert describe_passed([str(tree / "link")], tmp_path / "out", is_known).startswith(
        "passed over: 1 raw file of cameras"
    )


def test_nothing_is_said_of_pictures_hidden_files_and_results(tree: Path) -> None:
    for name in ("b.NEF", "in/c.dng", "in/notes.txt", "in/x.TXT", "readme"):
        (tree / name).unlink()
    for name in (".DS_Store", "out/log.txt", ".cache/x.bin"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).touch()
    assert describe_passed([str(tree)], tree / "out", is_known) == ""
    assert (
        describe_passed([str(tree / "a.jpg"), str(tree / "none.xyz")], tree / "out", is_known) == ""
    )


def test_patterns_are_followed_and_few_endings_are_named(tmp_path: Path) -> None:
    (tmp_path / "b1").mkdir()
    for ending in "abcdef":
        (tmp_path / "b1" / f"x.{ending}").touch()
    assert describe_passed([f"{tmp_path}/b*"], tmp_path / "out", is_known).count(", .") == 4
