import errno
import os
import re
import sys
import time
from collections.abc import Callable
from io import RawIOBase
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from conftest import ROOT

from deblur import atomic
from deblur.atomic import (
    check_target,
    discard_parts,
    duplicate,
    hide,
    install,
    replacing,
    write_text,
)

OLD, NEW = b"the old file", b"the new one, which is longer"


NOBODY = 1 << 30
"""No process has this number: the greatest one of Linux is 2^22."""


class Killed(BaseException):
    """The end of a process that has no time to tidy up."""


class Disk(RawIOBase):
    """A file to which something happens at each of its bytes, and at its end."""

    def __init__(self, file: BinaryIO, happen: Callable[[], None]) -> None:
        self.file, self.happen = file, happen

    def write(self, data: Any) -> int:
        for byte in bytes(data):
            self.happen()
            self.file.write(bytes([byte]))
            self.file.flush()
        return len(data)


def watch(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], None]) -> None:
    """Let something happen before and after each call of the system."""
    for name in ("fsync", "replace"):
        known = getattr(os, name)

        def call(*arguments: Any, known: Any = known) -> None:
            happen()
            known(*arguments)
            happen()

        monkeypatch.setattr(os, name, call)


@pytest.fixture(params=["a file", "nothing"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "a.bin"
    if request.param == "a file":
        path.write_bytes(OLD)
    return path


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


MOMENTS = len(NEW) + 2 * 3
"""Bytes, and before and after each of three calls: a file's fsync, its renaming, its folder's."""


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_kill_leaves_the_old_file_or_the_new_one(
    moment: int, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, moments = content(target), iter(range(MOMENTS))

    def happen() -> None:
        if next(moments, None) == moment:
            raise Killed

    with monkeypatch.context() as patch:
        watch(patch, happen)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # nobody tidies up
        patch.setattr(os, "getpid", lambda: NOBODY)
        with pytest.raises(Killed), replacing(target) as file:
            Disk(file, happen).write(NEW)
    assert content(target) in (before, NEW)
    assert content(target) == (NEW if moment >= MOMENTS - 3 else before)
    with replacing(target) as file:
        file.write(NEW)
    assert [target] == list(target.parent.iterdir()) and content(target) == NEW


def test_a_power_cut_leaves_the_old_file_or_the_new_one(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk surely has is what was synced: only such a file ever has the target's name."""
    before = content(target)
    safe = {target.stat().st_ino} if before else set()
    synced: list[bool] = []
    known = os.fsync

    def fsync(handle: int) -> None:
        known(handle)
        safe.add(os.fstat(handle).st_ino)
        synced.append(os.fstat(handle).st_ino == target.parent.stat().st_ino)

    def happen() -> None:
        assert content(target) in (before, NEW)
        assert not target.exists() or target.stat().st_ino in safe

    monkeypatch.setattr(os, "fsync", fsync)
    watch(monkeypatch, happen)
    with replacing(target) as file:
        Disk(file, happen).write(NEW)
    happen()
    assert synced == [False, True]  # the file, and then its folder


@pytest.mark.parametrize("moment", range(MOMENTS - 3))
def test_a_full_disk_is_named_and_leaves_the_old_file(
    moment: int, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, moments = content(target), iter(range(MOMENTS))

    def happen() -> None:
        if next(moments) == moment:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    watch(monkeypatch, happen)
    with pytest.raises(OSError) as caught, replacing(target) as file:
        Disk(file, happen).write(NEW)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(target))
    assert content(target) == before and len(list(target.parent.iterdir())) == bool(before)


def test_other_errors_stay_what_they_are(target: Path) -> None:
    before = content(target)
    for error in (RuntimeError("out of memory"), FileNotFoundError(2, "gone", "source.png")):
        with pytest.raises(type(error)) as caught, replacing(target) as file:
            file.write(NEW)
            raise error
        assert caught.value is error
    assert content(target) == before


def test_links_and_modes_stay_and_new_files_follow_the_umask(tmp_path: Path) -> None:
    target, link, plain = tmp_path / "a.txt", tmp_path / "link.txt", tmp_path / "plain"
    plain.touch()
    write_text(target, "é\n")
    assert target.stat().st_mode == plain.stat().st_mode
    target.chmod(0o640)
    link.symlink_to("a.txt")
    write_text(link, "two\n")
    assert link.is_symlink() and target.read_bytes() == b"two\n"
    assert target.stat().st_mode & 0o777 == 0o640
    made = tmp_path / "made"
    made.write_bytes(b"three")
    install(made, link)
    assert link.is_symlink() and target.read_bytes() == b"three" and not made.exists()
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("write", [lambda target: write_text(target, "new"), check_target])
@pytest.mark.parametrize(
    ("folder", "error"), [("none", FileNotFoundError), ("file", NotADirectoryError)]
)
def test_a_folder_that_is_none_is_named(
    tmp_path: Path, write: Callable[[Path], None], folder: str, error: type[OSError]
) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / folder / "a.txt"
    with pytest.raises(error) as raised:
        write(target)
    assert raised.value.filename == str(target)


def test_a_folder_that_cannot_be_synced_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"


def test_a_target_is_tried_before_the_work(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(OLD)
    for target in (old, tmp_path / "new", Path(os.devnull)):
        check_target(target)
    assert old.read_bytes() == OLD and [*tmp_path.iterdir()] == [old]
    with pytest.raises(IsADirectoryError):
        check_target(tmp_path)


@pytest.mark.parametrize("ending", [".part", ".mp4"])
def test_what_killed_processes_left_of_a_target_alone_is_discarded(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: NOBODY)
    left = {name: hide(tmp_path / name, ending) for name in ("a.png", "b.png")}
    monkeypatch.undo()
    for path in left.values():
        path.touch()
    discard_parts(tmp_path / "a.png")
    assert [*tmp_path.iterdir()] == [left["b.png"]]


@pytest.mark.parametrize(
    "writer, age, stays",
    [
        ({}, 0, True),
        ({"_LIFE": "00000000"}, 0, False),  # this process' number, an earlier life
        ({"getpid": lambda: os.getppid()}, 0, os.name == "posix"),
        ({"_HOST": "00000000"}, 0, True),
        ({"_HOST": "00000000"}, 2 * atomic.DAY, False),
    ],
)
def test_what_is_being_written_is_not_discarded(
    writer: dict[str, Any], age: float, stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in writer.items():
        monkeypatch.setattr(os if name == "getpid" else atomic, name, value)
    part = hide(tmp_path / "a.png")
    monkeypatch.undo()
    part.touch()
    os.utime(part, (time.time() - age,) * 2)
    discard_parts(tmp_path / "a.png")
    assert part.exists() == stays


def test_two_writers_of_a_target_do_not_disturb_each_other(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    with replacing(target) as first:
        first.write(OLD)
        with replacing(target) as second:
            second.write(NEW)
        assert content(target) == NEW
    assert [*tmp_path.iterdir()] == [target] and content(target) == OLD


@pytest.mark.skipif(sys.platform != "linux", reason="not Linux")
def test_a_device_is_written_to_and_not_replaced() -> None:
    with pytest.raises(OSError) as caught, replacing(Path("/dev/full")) as file:
        file.write(NEW)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_keeps_the_content(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:

        def refuse(*_: Any) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    path, second = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    for text in ("one", "two"):
        write_text(path, text)
        if text == "one":
            second.write_bytes(b"older")
            duplicate(path, "best.ckpt")
    assert (path.read_bytes(), second.read_bytes()) == (b"two", b"one")
    assert sorted(tmp_path.iterdir()) == [second, path]
    for _ in range(2):  # and again, when both are the same file
        duplicate(path, "best.ckpt")
        assert sorted(tmp_path.iterdir()) == [second, path]


def test_whole_files_are_written_here_alone() -> None:
    own = re.compile(r"\bos\.(replace|rename|fsync)\b|\.write_(text|bytes)\(|\bpart\.replace\(")
    others = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "deblur").rglob("*.py")
        if own.search(path.read_text(encoding="utf-8")) and path != Path(atomic.__file__)
    }
    assert others == {"deblur/hardware.py"}  # a command to the system, not a file
