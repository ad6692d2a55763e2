import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from photo_samples import ICC, exif_block, frame, photo_of, xmp_packet
from pictures import pixels
from PIL import Image

from deblur.extras import install_command
from deblur.media.formats import heif
from deblur.media.photo import Frame, open_photo


def widened(bits: int, shift: float = 0.0) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Draw waves of so many bits in 16."""
    waves = pixels(48, 64, shift).astype(np.uint16) << (bits - 8)
    return waves << (16 - bits) | waves >> (2 * bits - 16)


def test_without_its_library_heic_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    photo_of(tmp_path / "a.png")
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(12) + b"heic")
    monkeypatch.setattr(heif, "import_module", missing)
    with pytest.raises(ValueError, match=f"a.heic: .*{re.escape(install_command('heif'))}"):
        open_photo(tmp_path / "a.heic")
    photo = open_photo(tmp_path / "a.png")
    with pytest.raises(ValueError, match=re.escape(install_command("heif"))):
        photo.write(tmp_path / "b.heic", photo.frames())
    assert not (tmp_path / "b.heic").exists()


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_heic_keeps_its_bits_and_metadata(tmp_path: Path, bits: int) -> None:
    waves = pixels(48, 64) if bits == 8 else widened(bits)
    mode = "RGB" if bits == 8 else "RGB;16"
    file = pillow_heif.from_bytes(mode, (64, 48), waves.tobytes())
    file[0].info["icc_profile"] = ICC
    depth = {} if bits == 8 else {"bit_depth": bits}
    stored = {"exif": b"Exif\0\0" + exif_block(1), "xmp": xmp_packet(), "chroma": 444}
    file.save(tmp_path / "a.heic", quality=90, **stored, **depth)
    photo = open_photo(tmp_path / "a.heic")
    (before,) = photo.frames()
    assert (photo.format, photo.size, photo.notes) == ("HEIF", (64, 48), [])
    assert before.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert np.abs(before.pixels.astype(int) - waves).mean() < np.iinfo(waves.dtype).max / 50
    photo.write(tmp_path / "b.heic", [before])
    again = open_photo(tmp_path / "b.heic")
    (after,) = again.frames()
    info = pillow_heif.open_heif(tmp_path / "b.heic").info
    assert (info["bit_depth"], info["chroma"], info["icc_profile"]) == (bits, 444, ICC)
    assert info["exif"].removeprefix(b"Exif\0\0") == exif_block(1) and info["xmp"] == xmp_packet()
    assert np.abs(before.pixels.astype(int) - after.pixels).mean() < np.iinfo(waves.dtype).max / 50


def test_more_bits_than_are_written_are_said(tmp_path: Path) -> None:
    photo = photo_of(tmp_path / "a.png", frame(3, deep=True))
    photo.write(tmp_path / "a.heic", photo.frames())
    assert photo.notes == ["16 bits were rounded to 10: HEIC is written with no more"]
    assert (
        pillow_heif.open_heif(tmp_path / "a.heic", convert_hdr_to_8bit=False).info["bit_depth"]
        == 10
    )
    small = photo_of(tmp_path / "b.png")
    small.write(tmp_path / "b.heic", small.frames())
    heic = open_photo(tmp_path / "a.heic")
    heic.write(tmp_path / "c.heic", heic.frames())
    assert small.notes == heic.notes == []


def test_white_is_white_of_ten_bits(tmp_path: Path) -> None:
    white = np.full((48, 64, 3), 65535, np.uint16)
    pillow_heif.from_bytes("RGB;16", (64, 48), white.tobytes()).save(
        tmp_path / "a.heic", quality=-1
    )
    (read,) = open_photo(tmp_path / "a.heic").frames()
    assert (read.pixels > 65400).all()


def test_heic_is_upright_as_it_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(pixels(48, 64))
    file = pillow_heif.from_bytes("RGB", (64, 48), picture.tobytes())
    file.save(tmp_path / "a.heic", quality=90, exif=exif.tobytes())
    photo = open_photo(tmp_path / "a.heic")
    (read,) = photo.frames()
    upright = np.asarray(picture.transpose(Image.Transpose.ROTATE_270))
    assert photo.size == (48, 64) and np.abs(read.pixels.astype(int) - upright).mean() < 8
    photo.write(tmp_path / "b.heic", [read])
    again = open_photo(tmp_path / "b.heic")
    assert again.size == (48, 64)
    photo.write(tmp_path / "b.jpg", [read])
    assert open_photo(tmp_path / "b.jpg").size == (48, 64)


def test_alpha_and_grey_are_written(tmp_path: Path) -> None:
    waves = pixels(48, 64)
    photo = photo_of(tmp_path / "a.heic", Frame(waves, waves[..., 0].copy()))
    (read,) = photo.frames()
    assert read.alpha is not None and np.abs(read.alpha.astype(int) - waves[..., 0]).mean() < 8
    (grey,) = photo_of(tmp_path / "b.heic", Frame(waves[..., :1].copy(), None)).frames()
    assert grey.pixels.shape == (48, 64, 1)


def test_a_broken_heic_is_refused(tmp_path: Path) -> None:
    photo_of(tmp_path / "a.heic", Frame(pixels(48, 64), None))
    content = (tmp_path / "a.heic").read_bytes()
    for size in (60, 300, len(content) - 9):
        with pytest.raises(ValueError, match="not a readable picture"):
            [*open_photo(BytesIO(content[:size])).frames()]


def test_of_several_pictures_the_main_one_is_read(tmp_path: Path) -> None:
    file = pillow_heif.from_bytes("RGB", (64, 48), pixels(48, 64).tobytes())
    file.add_frombytes("RGB", (64, 48), pixels(48, 64, shift=2).tobytes())
    file.save(tmp_path / "a.heic", quality=90)
    photo = open_photo(tmp_path / "a.heic")
    (read,) = photo.frames()
    assert np.abs(read.pixels.astype(int) - pixels(48, 64)).mean() < 8
    assert photo.notes == ["other pictures in the file (bursts, depth, gain maps) were left out"]


def test_a_heic_without_a_picture_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo_of(tmp_path / "a.heic", Frame(pixels(48, 64), None))
    monkeypatch.setattr(pillow_heif, "open_heif", lambda *args, **settings: pillow_heif.HeifFile())
    with pytest.raises(ValueError, match="a.heic"):
        open_photo(tmp_path / "a.heic")


@pytest.mark.parametrize("error", [IndexError("list index out of range"), TypeError("Missing")])
def test_what_a_library_did_not_think_of_is_said_to_be_odd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:

    def fail(*args: Any, **settings: Any) -> None:
        raise error

    photo_of(tmp_path / "a.heic", Frame(pixels(48, 64), None))
    monkeypatch.setattr(pillow_heif, "open_heif", fail)
    with pytest.raises(ValueError, match="a.heic"):
        open_photo(tmp_path / "a.heic")


def test_a_motion_photos_video_is_said_to_be_left_out(tmp_path: Path) -> None:
    photo_of(tmp_path / "a.heic", Frame(pixels(48, 64), None))
    video = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42"
    with open(tmp_path / "a.heic", "ab") as file:
        file.write((len(video) + 8).to_bytes(4, "big") + b"mpvd" + video)
    assert open_photo(tmp_path / "a.heic").notes == ["the video of a motion photo was left out"]
