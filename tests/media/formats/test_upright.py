from io import BytesIO
from typing import Any

import numpy as np
import pytest
from photo_samples import ICC, MAKER_NOTE, cmyk_profile, exif_block, noise, xmp_packet
from PIL import Image, ImageOps

from deblur.media.formats.upright import make_upright


def stored(image: Image.Image, format: str, **settings: Any) -> Image.Image:
    """Save an image, and open it again."""
    coded = BytesIO()
    image.save(coded, format, **settings)
    return Image.open(coded)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_it_is_turned_as_pillow_turns_it(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    image = stored(Image.fromarray(noise()), format, exif=exif, icc_profile=ICC)
    upright = make_upright(image)
    assert np.array_equal(np.asarray(upright), np.asarray(ImageOps.exif_transpose(image)))
    told = upright.getexif()
    assert told.get(0x0112, 1) == 1 and told[0x010F] == "Maker" and 0x0100 not in told
    assert upright.info["icc_profile"] == ICC


def test_metadata_stays_but_for_the_orientation() -> None:
    settings = {"exif": b"Exif\0\0" + exif_block(6), "xmp": xmp_packet(6), "dpi": (300, 200)}
    upright = make_upright(stored(Image.fromarray(noise()), "JPEG", comment="hello", **settings))
    assert upright.info["exif"] == b"Exif\0\0" + exif_block(1) and MAKER_NOTE in exif_block(1)
    assert upright.info["xmp"] == xmp_packet(1)
    assert (upright.info["dpi"], upright.info["comment"]) == ((200, 300), b"hello")
    plain = Image.fromarray(noise())
    plain.info["mine"] = 7
    assert make_upright(plain).info == {"mine": 7}


@pytest.mark.parametrize("orientation, dpi", [(1, (300, 200)), (3, (300, 200)), (6, (200, 300))])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_density_is_turned_too(format: str, orientation: int, dpi: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif.update({0x0112: orientation, 0x010F: "Maker", 0x011A: 300, 0x011B: 200, 0x0128: 2})
    upright = make_upright(stored(Image.fromarray(noise()), format, exif=exif, dpi=(300, 200)))
    told = Image.Exif()
    told.load(upright.info["exif"])
    assert (told[0x011A], told[0x011B]) == dpi
    assert tuple(round(value) for value in upright.info["dpi"]) == dpi


def test_orientation_and_exif_as_text_of_a_png() -> None:
    image = Image.fromarray(noise())
    image.info |= {"XML:com.adobe.xmp": xmp_packet(6).decode()}
    upright = make_upright(image)
    assert upright.size == image.size[::-1]
    assert upright.info["XML:com.adobe.xmp"] == xmp_packet(1).decode()
    image = Image.fromarray(noise())
    image.info["Raw profile type exif"] = f"\nexif\n 9\n{exif_block(6).hex()}"
    upright = make_upright(image)
    assert upright.size == image.size[::-1] and "Raw profile type exif" not in upright.info
    assert upright.getexif()[0x010F] == "ABC" and 0x0112 not in upright.getexif()


@pytest.mark.parametrize(
    "mode, colour, key, becomes",
    [
        ("RGB", (1, 2, 3), (1, 2, 3), "RGBA"),
        ("L", 9, 9, "LA"),
        ("P", 0, 0, "RGBA"),
    ],
)
def test_a_transparent_colour_becomes_alpha(mode: str, colour: Any, key: Any, becomes: str) -> None:
    image = Image.new(mode, (4, 3), colour)
    image.putpixel((0, 0), (9, 9, 9) if mode == "RGB" else 1)
    upright = make_upright(stored(image, "PNG", transparency=key))
    assert upright.mode == becomes and "transparency" not in upright.info
    alpha = np.asarray(upright)[..., -1]
    assert alpha[0, 0] == 255 and alpha[2, 3] == 0


def test_cmyk_is_converted_by_its_profile_which_is_used_up() -> None:
    image = Image.new("CMYK", (4, 3), (255, 0, 0, 0))
    image.info["icc_profile"] = cmyk_profile()
    upright = make_upright(image)
    assert upright.mode == "RGB" and max(upright.getpixel((0, 0))) < 10
    assert "icc_profile" not in upright.info


def test_modes_that_are_no_photographs_are_refused() -> None:
    with pytest.raises(ValueError, match="mode F"):
        make_upright(Image.new("F", (2, 2)))
