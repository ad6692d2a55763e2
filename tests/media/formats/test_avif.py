import struct
from pathlib import Path
from typing import Any

import pytest
from photo_samples import ICC, exif_block, noise
from pictures import pixels
from PIL import Image

from deblur.media.formats.metadata import Cicp
from deblur.media.photo import Photo, open_photo

SRGB, P3, PQ = (1, 13), (12, 13), (9, 16)


def tagged(path: Path, primaries: int, transfer: int, extra: bytes = b"") -> Photo:
    """Write an AVIF of these colours; extra: takes the place of what is reserved."""
    Image.fromarray(pixels(40, 60)).save(path)
    content = path.read_bytes()
    srgb = b"colrnclx" + struct.pack(">HH", *SRGB)
    assert content.count(srgb) == 1
    content = content.replace(srgb, srgb[:8] + struct.pack(">HH", primaries, transfer))
    path.write_bytes(content.replace(b"pict" + bytes(len(extra)), b"pict" + extra))
    return open_photo(path)


def written(photo: Photo, target: Path) -> Photo:
    photo.write(target, photo.frames())
    return open_photo(target)


def tags_of(photo: Photo) -> Cicp | None:
    return photo._original.metadata.cicp


@pytest.mark.parametrize("colours", [SRGB, P3, PQ, (2, 2)])
def test_colour_tags_stay(tmp_path: Path, colours: tuple[int, int]) -> None:
    photo = tagged(tmp_path / "a.avif", *colours)
    again = written(photo, tmp_path / "b.avif")
    assert tags_of(photo) == tags_of(again) == colours and photo.notes == []
    [*again.frames()]


def test_an_animation_keeps_its_colour_tags(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.avif", save_all=True, append_images=frames[1:])
    content = (tmp_path / "a.avif").read_bytes()
    mark = b"colrnclx" + struct.pack(">HH", *SRGB)
    assert (count := content.count(mark)) > 1
    changed = content.replace(mark, mark[:8] + struct.pack(">HH", *P3))
    (tmp_path / "a.avif").write_bytes(changed)
    written(open_photo(tmp_path / "a.avif"), tmp_path / "b.avif")
    again = (tmp_path / "b.avif").read_bytes()
    assert again.count(mark[:8] + struct.pack(">HH", *P3)) == count and mark not in again


@pytest.mark.parametrize("colours", [P3, PQ])
def test_other_formats_that_hold_them_get_them(tmp_path: Path, colours: tuple[int, int]) -> None:
    photo = tagged(tmp_path / "a.avif", *colours)
    png = written(photo, tmp_path / "b.png")
    assert b"cICP" + bytes([*colours, 0, 1]) in (tmp_path / "b.png").read_bytes()
    assert tags_of(png) == colours == tags_of(written(png, tmp_path / "c.avif"))
    heic = written(photo, tmp_path / "b.heic")
    assert tags_of(heic) == colours == tags_of(written(heic, tmp_path / "c.png"))
    assert photo.notes == png.notes == heic.notes == []


@pytest.mark.parametrize("ending", ["jpg", "webp", "tif", "gif", "bmp", "ppm"])
def test_formats_that_cannot_hold_them_say_so(tmp_path: Path, ending: str) -> None:
    photo = tagged(tmp_path / "a.avif", *P3)
    photo.write(tmp_path / f"b.{ending}", photo.frames())
    assert any("cannot hold: CICP colour tags (12/13)" in note for note in photo.notes)
    plain = tagged(tmp_path / "a.avif", *SRGB)
    plain.write(tmp_path / f"b.{ending}", plain.frames())
    assert not any("CICP" in note for note in plain.notes)


def test_a_colour_profile_goes_before_colour_tags(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.avif", icc_profile=ICC)
    photo = open_photo(tmp_path / "a.avif")
    photo.write(tmp_path / "b.jpg", photo.frames())
    photo.write(tmp_path / "b.png", photo.frames())
    assert photo.notes == [] and b"cICP" not in (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("count", [1, 2])
def test_exif_is_kept_byte_for_byte(tmp_path: Path, count: int, order: str) -> None:
    frames = [Image.fromarray(noise(seed=seed)) for seed in range(count)]
    settings: dict[str, Any] = {"save_all": True, "append_images": frames[1:]} if count > 1 else {}
    frames[0].save(tmp_path / "a.webp", exif=exif_block(6, order), **settings)
    photo = written(open_photo(tmp_path / "a.webp"), tmp_path / "b.avif")
    assert photo.size == frames[0].size[::-1] and photo.count == count
    again = written(photo, tmp_path / "c.avif")
    assert again.size == photo.size
    for name in ("b.avif", "c.avif"):
        assert (tmp_path / name).read_bytes().count(exif_block(1, order)) == 1
        with Image.open(tmp_path / name) as picture:
            assert picture.info["exif"] == exif_block(1, order)


@pytest.mark.parametrize("kind", [b"tmap", b"clli", b"mdcv"])
def test_what_pillow_does_not_read_is_said(tmp_path: Path, kind: bytes) -> None:
    (note,) = tagged(tmp_path / "a.avif", *PQ, extra=kind).notes
    assert "left out" in note
