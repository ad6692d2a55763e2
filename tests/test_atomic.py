import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from deblur.atomic import duplicate, replacing


def test_a_file_is_replaced_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.ckpt"
    for text in (b"one", b"two"):
        with replacing(path) as file:
            file.write(text)
            assert not path.exists() or path.read_bytes() == b"one"
    assert path.read_bytes() == b"two"
    assert [path] == list(path.parent.iterdir())


def test_a_file_is_on_the_disk_before_it_takes_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for name in ("fsync", "replace"):
        known = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, n=name, k=known: (done.append(n), k(*a)))
    with replacing(tmp_path / "a.ckpt") as file:
        file.write(b"one")
    assert done == ["fsync", "replace", "fsync"]  # of the file, and of its folder


class Full:
    """A disk that has no room left after some bytes."""

    def __init__(self, file: Any) -> None:
        self.file, self.left = file, 1000

    def write(self, data: bytes) -> int:
        self.left -= len(data)
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written: int = self.file.write(data)
        return written

    def flush(self) -> None:
        self.file.flush()


def test_what_was_there_stays_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="a.ckpt: cannot be written: No space left on device"):
        with replacing(path) as file:
            torch.save({"a": torch.zeros(5000)}, Full(file))
    with pytest.raises(RuntimeError, match="another"):
        with replacing(path) as file:
            raise RuntimeError("another")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_keeps_the_content(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:

        def refuse(*_: Any) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    path, second = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    for content in (b"one", b"two"):
        with replacing(path) as file:
            file.write(content)
        if content == b"one":
            second.write_bytes(b"older")
            duplicate(path, "best.ckpt")
    assert (path.read_bytes(), second.read_bytes()) == (b"two", b"one")
    assert sorted(tmp_path.iterdir()) == [second, path]
