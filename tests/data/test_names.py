from collections.abc import Callable
from pathlib import Path

from deblur.data.folder import PairedFolder
from deblur.data.names import tell_apart
from deblur.data.search import find_pairs
from deblur.data.snapshots import Snapshots


def test_only_equal_names_become_longer() -> None:
    names, short, paths = ["1", "1", "2", "2"], ["a/1", "b/1", "c", "c"], ["A", "B", "c.x", "c.y"]
    assert tell_apart(names, short, paths) == ["a/1", "b/1", "c.x", "c.y"]
    assert tell_apart(["1", "2"], ["a/1", "b/2"]) == ["1", "2"]


def test_pairs_of_a_table_have_names_of_their_own(tmp_path: Path) -> None:
    blurred = ["a/1.png", "b/1.png", "b/2.png", "c/3.png", "c/3.jpg"]
    rows = [f"{path},{path}.png,test" for path in blurred] + ["d/2.png,d/2.png.png,train"]
    (tmp_path / "pairs.csv").write_text("\n".join(["blur,sharp,split", *rows]))
    names = {pair.blur[0]: pair.name for pair in find_pairs(tmp_path, "csv")[0]}
    found = [names[tmp_path / path] for path in (*blurred, "d/2.png")]
    assert found == ["a/1", "b/1", "2", "c/3.png", "c/3.jpg", "2"]


def test_pairs_of_two_splits_are_told_apart_where_all_are_used(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for file in ("train/{}/1.png", "test/{}/1.png", "test/{}/2.png"):
        for side in ("blur", "sharp"):
            picture(tmp_path / file.format(side))
    data = PairedFolder(root=str(tmp_path), split="test", crop=16, seed=0, whole=True)
    names = [data[index].name for index in range(len(data))]
    assert sorted(names) == ["2", "test/1", "train/1"] and data.scenes == names


def test_pictures_that_differ_in_their_endings_are_told_apart(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for name in ("a.jpg", "a.png", "b.png"):
        picture(tmp_path / name)
    data = Snapshots(root=str(tmp_path))
    assert [data[index].name for index in range(3)] == data.scenes == ["a.jpg", "a.png", "b"]
