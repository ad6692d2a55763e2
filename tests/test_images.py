from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deblur.images import list_pictures, read, read_size


def test_a_picture_comes_back_as_it_was_written(tmp_path: Path) -> None:
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png"), pixels)
    assert read_size(tmp_path / "a.png") == (7, 5)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_other_kinds_of_pictures_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (6, 4)).save(path)
    assert read(path).shape == (4, 6, 3)


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert read(tmp_path / "a.jpg").shape == (6, 4, 3)


def test_only_pictures_are_listed(tmp_path: Path, picture: Callable[..., Path]) -> None:
    for name in ("b.png", "a.JPG", ".hidden.png"):
        picture(tmp_path / name)
    (tmp_path / "frames 7 offset 0.txt").write_text("stray")
    assert [path.name for path in list_pictures(tmp_path)] == ["a.JPG", "b.png"]


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n"])
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    for reader in (read, read_size):
        with pytest.raises(ValueError, match="a.png: not a readable picture"):
            reader(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.png")
