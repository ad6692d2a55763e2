from pathlib import Path

import pytest
from photo_samples import noise, xmp_packet
from PIL import Image

from deblur.media.photo import open_photo


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
@pytest.mark.parametrize("target", ["jpg", "png", "tif", "bmp"])
@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_density_is_turned_with_the_pixels(
    tmp_path: Path, ending: str, target: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif.update({0x0112: orientation, 0x010F: "Maker", 0x011A: 204, 0x011B: 98, 0x0128: 2})
    picture = Image.fromarray(noise())
    picture.save(tmp_path / f"a.{ending}", exif=exif, dpi=(204, 98), xmp=xmp_packet(orientation))
    photo = open_photo(tmp_path / f"a.{ending}")
    photo.write(tmp_path / f"b.{target}", photo.frames())
    expected = (98, 204) if orientation > 4 else (204, 98)
    with Image.open(tmp_path / f"b.{target}") as again:
        assert tuple(map(round, again.info["dpi"])) == expected
        if target != "bmp":
            told = again.getexif()
            assert (round(told[0x011A]), round(told[0x011B])) == expected
    # Once it is upright, it stays so.
    photo = open_photo(tmp_path / f"b.{target}")
    photo.write(tmp_path / f"c.{target}", photo.frames())
    with Image.open(tmp_path / f"c.{target}") as again:
        assert tuple(map(round, again.info["dpi"])) == expected


def test_each_page_has_its_own_density(tmp_path: Path) -> None:
    pages = [Image.fromarray(noise(seed=seed)) for seed in range(2)]
    exif = Image.Exif()
    exif[0x0112] = 8
    pages[0].info["dpi"] = pages[1].info["dpi"] = (204, 98)
    pages[1].encoderinfo = {"exif": exif, "dpi": (204, 98)}
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], dpi=(204, 98))
    photo = open_photo(tmp_path / "a.tif")
    photo.write(tmp_path / "b.tif", photo.frames())
    with Image.open(tmp_path / "b.tif") as again:
        densities = []
        for number, page in enumerate(pages):
            again.seek(number)
            densities.append(again.info["dpi"])
    assert densities == [(204, 98), (98, 204)]
