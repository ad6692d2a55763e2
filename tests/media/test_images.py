import os
import shutil
import sys
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import kornia_rs
import numpy as np
import pytest
import tifffile
from photo_samples import frame, noise, photo_of
from PIL import Image

from deblur.media.formats.frame import to_8_bits
from deblur.media.images import _plain_depth, list_pictures, read, read_size
from deblur.media.pillow_settings import read_any_picture


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
        with pytest.raises(ValueError, match="a.png"):
            reader(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.png")


@pytest.mark.parametrize("level", [0, 9])
def test_plain_pngs_are_read_fast_and_alike(tmp_path: Path, level: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", compress_level=level)
    assert _plain_depth(tmp_path / "a.png") == 8
    assert np.array_equal(read(tmp_path / "a.png"), pixels)


def test_a_png_with_an_orientation_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png", exif=exif)
    assert _plain_depth(tmp_path / "a.png") == 0
    assert read(tmp_path / "a.png").shape == (6, 4, 3)
    assert read_size(tmp_path / "a.png") == (4, 6)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_the_size_is_that_of_the_upright_picture(tmp_path: Path, ending: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", (6, 4)).save(tmp_path / f"a.{ending}", exif=exif)
    assert read_size(tmp_path / f"a.{ending}") == (4, 6)
    assert read(tmp_path / f"a.{ending}").shape == (6, 4, 3)


def test_16_bits_are_rounded_to_8(tmp_path: Path) -> None:
    deep = np.arange(0, 65536, 331, dtype=np.uint16)[None]
    Image.fromarray(deep).save(tmp_path / "grey.png")
    expected = np.round(deep / 257).astype(np.uint8)
    assert np.array_equal(read(tmp_path / "grey.png")[..., 1], expected)
    colour = np.repeat(deep[..., None], 3, axis=-1)
    colour = np.ascontiguousarray(colour)
    kornia_rs.io.write_image_png_u16(str(tmp_path / "colour.png"), colour, "rgb")
    assert _plain_depth(tmp_path / "colour.png") == 16
    assert np.array_equal(read(tmp_path / "colour.png")[..., 2], expected)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_16_bits_of_any_kind_are_rounded_alike(
    tmp_path: Path, name: str, channels: int, alpha: bool
) -> None:
    photo_of(tmp_path / name, frame(channels, True, alpha))
    expected = np.round(noise(channels + alpha, True)[..., :channels] / 257)
    assert np.array_equal(read(tmp_path / name), np.repeat(expected, 3 // channels, -1))


def test_rounding_is_to_the_nearest() -> None:
    deep = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_8_bits(deep), np.round(deep / 257))


@pytest.mark.parametrize("deep", [False, True])
def test_grey_whose_zero_is_white_is_inverted(tmp_path: Path, deep: bool) -> None:
    grey = noise(1, deep)[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric="miniswhite")
    expected = np.round(~grey / 257) if deep else ~grey
    assert np.array_equal(read(tmp_path / "a.tif")[..., 1], expected)


def test_16_bits_are_turned_upright(tmp_path: Path) -> None:
    deep, turned = noise(4, True), [(274, 3, 1, 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", extratags=turned)
    expected = np.round(np.rot90(deep[..., :3], -1) / 257)
    assert np.array_equal(read(tmp_path / "a.tif"), expected)


def test_16_bits_in_planes_of_their_own_are_refused(tmp_path: Path) -> None:
    planes = noise(3, True).transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    with pytest.raises(ValueError, match="a.tif.*planes of their own"):
        read(tmp_path / "a.tif")


@pytest.mark.skipif(sys.platform != "linux", reason="not Linux")
@pytest.mark.parametrize("deep", [False, True])
def test_a_name_that_is_not_utf_8_is_read(tmp_path: Path, deep: bool) -> None:
    photo_of(tmp_path / "a.png", frame(3, deep))
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    shutil.copy(tmp_path / "a.png", odd)
    assert np.array_equal(read(odd), read(tmp_path / "a.png"))
    assert read_size(odd) == read_size(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["png", "webp", "tif"])
def test_animations_are_refused(tmp_path: Path, ending: str) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "green")]
    path = tmp_path / f"a.{ending}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="2 frames"):
        read(path)


def test_a_phones_second_picture_is_left_alone(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "green")]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert read(tmp_path / "a.jpg")[0, 0, 0] > 200


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 6), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="mode F, expected 8 or 16 bits"):
        read(tmp_path / "a.tif")


def test_a_truncated_png_is_named(tmp_path: Path, picture: Callable[..., Path]) -> None:
    path = picture(tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match="a.png"):
        read(path)


def claim(path: Path, size: tuple[int, int]) -> None:
    """Write a PNG of a few bytes that says it is larger."""
    Image.new("RGB", (4, 4)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = size[0].to_bytes(4) + size[1].to_bytes(4)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    path.write_bytes(content)


limited = pytest.mark.parametrize("settings", [nullcontext, read_any_picture])
"""By Pillow in a library's process, by ourselves in a program's."""


@limited
@pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1)])
def test_a_small_file_that_claims_to_be_huge_is_refused(
    tmp_path: Path, size: tuple[int, int], settings: Callable[[], AbstractContextManager[None]]
) -> None:
    claim(tmp_path / "bomb.png", size)
    for reader in (read, read_size):
        with settings(), pytest.raises(ValueError, match="bomb.png"):
            reader(tmp_path / "bomb.png")


@limited
def test_a_huge_picture_of_another_kind_is_refused(
    tmp_path: Path, settings: Callable[[], AbstractContextManager[None]]
) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.tif", compression="group4")
    assert (tmp_path / "bomb.tif").stat().st_size < 100_000
    with settings(), pytest.raises(ValueError, match="bomb.tif"):
        read(tmp_path / "bomb.tif")


def test_no_program_is_run_to_read_what_is_called_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.check_call", pytest.fail)  # by which Pillow runs Ghostscript
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    with pytest.raises(ValueError, match="a.png"):
        read(path)
