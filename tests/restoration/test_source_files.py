import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from deblur.restoration.source_files import find_sources, lies_in, locate, walk


@pytest.fixture
def failed() -> list[tuple[str, str]]:
    return []


def find(failed: list[tuple[str, str]], *patterns: object) -> list[Path]:
    return find_sources(map(str, patterns), lambda *told: failed.append(told))


def list_folder(failed: list[tuple[str, str]], folder: Path, out: Path = Path("out")) -> list[Path]:
    files = walk(folder, out, lambda file: file.suffix == ".jpg", lambda *told: failed.append(told))
    return [inside for _, inside in files]


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a folder that cannot be listed or entered, for root too, whom no mode keeps out."""
    folder = tmp_path / "photos" / "closed"
    folder.mkdir(parents=True)
    (folder / "a.jpg").touch()
    (folder.parent / "b.jpg").touch()
    scandir, status = os.scandir, os.stat

    def refuse(path: object) -> None:
        raise PermissionError(13, os.strerror(13), str(path))

    def guarded_scandir(path: str = ".") -> "os.ScandirIterator[str]":
        if Path(path) == folder:
            refuse(path)
        return scandir(path)

    def guarded_stat(path: str, **settings: object) -> os.stat_result:
        if not isinstance(path, int) and folder in Path(path).parents:
            refuse(path)
        return status(path, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "scandir", guarded_scandir)
    monkeypatch.setattr(os, "stat", guarded_stat)
    yield folder
    monkeypatch.undo()


def test_a_closed_folder_is_named_and_the_rest_found(
    closed: Path, failed: list[tuple[str, str]]
) -> None:
    assert list_folder(failed, closed.parent) == [Path("b.jpg")]
    assert failed == [(str(closed), "Permission denied")]


def test_a_file_in_a_closed_folder_is_not_said_to_be_missing(
    closed: Path, failed: list[tuple[str, str]]
) -> None:
    open_file = closed.parent / "b.jpg"
    assert find(failed, closed / "a.jpg", open_file) == [open_file]
    assert failed == [(str(closed / "a.jpg"), "Permission denied")]


def test_a_pattern_names_the_folders_that_it_could_not_look_into(
    closed: Path, failed: list[tuple[str, str]]
) -> None:
    found = find(failed, closed.parent / "**" / "*.jpg")
    assert found == [closed.parent / "b.jpg"]
    assert (str(closed), "Permission denied") in failed


def test_only_regular_files_are_pictures(tmp_path: Path, failed: list[tuple[str, str]]) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.jpg"))
        (tmp_path / "folder.jpg").mkdir()
        (tmp_path / "a.jpg").touch()
        (tmp_path / "link.jpg").symlink_to("a.jpg")
        assert list_folder(failed, tmp_path) == [Path("a.jpg"), Path("link.jpg")]
        assert not failed
        assert find(failed, tmp_path / "pipe.jpg", tmp_path / "socket.jpg") == []
    assert [Path(path).name for path, _ in failed] == ["pipe.jpg", "socket.jpg"]
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe.jpg").st_mode)


def test_links_to_nothing_and_to_themselves_are_named(
    tmp_path: Path, failed: list[tuple[str, str]]
) -> None:
    (tmp_path / "gone.jpg").symlink_to("nothing.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    assert list_folder(failed, tmp_path) == []
    assert find(failed, tmp_path / "gone.jpg", tmp_path / "*.jpg") == []
    assert {Path(path).name for path, _ in failed} == {"gone.jpg", "loop.jpg"}


def test_a_source_is_one_however_it_is_written(
    tmp_path: Path, failed: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").touch()
    monkeypatch.chdir(tmp_path)
    assert find(failed, "a.jpg", "./a.jpg", tmp_path / "a.jpg", "*.jpg") == [Path("a.jpg")]
    assert find(failed, ".", tmp_path) == [Path(".")]
    with pytest.raises(FileNotFoundError, match=r"\*.bmp"):
        find(failed, "*.bmp")


def test_where_a_path_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    assert locate(Path("in/..")) == locate(Path(".")) == tmp_path.resolve()
    assert locate(Path("link")) != locate(Path("in"))
    assert lies_in(Path("link/a.jpg"), Path("in")) and lies_in(Path("in"), Path("in"))
    assert not lies_in(Path("inner"), Path("in"))
