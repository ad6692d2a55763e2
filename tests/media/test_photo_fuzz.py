"""Broken files: each is read, or refused in a line, and nothing else happens."""

import warnings
import zlib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deblur.data.photos import BUILT_IN
from deblur.media.photo import FORMATS, Frame, open_photo
from deblur.media.pillow_settings import read_any_picture

REAL = ("citrus-fruits.jpg", "european-honey-bee.jpg", "bison.webp")
MADE = {
    **{"animation.gif": "L", "animation.webp": "RGBA", "animation.png": "RGBA", "pages.tif": "RGB"},
    **{"palette.png": "P", "grey.bmp": "L", "colour.bmp": "RGB", "colour.ppm": "RGB"},
    **{"cmyk.jpg": "CMYK", "lzw.tif": "RGBA", "jpeg.tif": "RGB", "still.avif": "RGB"},
}
DEEP = ("deep.png", "deep.tif")
CASES = 12
"""Broken files of each."""


def make(path: Path) -> None:
    """Write a small picture with metadata, of the kind that its name tells."""
    if path.name in REAL:
        path.write_bytes((BUILT_IN / path.name).read_bytes())
        return
    picture = Image.open(BUILT_IN / REAL[0]).resize((96, 64))
    if path.name in DEEP or path.suffix == ".heic":
        deep = np.asarray(picture).astype(np.uint16) * 257
        open_photo(BUILT_IN / REAL[0]).write(path, [Frame(deep, deep[..., 0])])
        return
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    picture = picture.convert(MADE[path.name])
    settings: dict[str, object] = {"exif": exif, "xmp": b"<x:xmpmeta/>", "dpi": (300, 300)}
    if path.stem in ("animation", "pages"):
        others = [picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), picture.rotate(9)]
        settings |= {"save_all": True, "append_images": others, "duration": 40, "loop": 0}
    if path.suffix == ".tif":
        compressions = {"lzw": "tiff_lzw", "jpeg": "jpeg"}
        settings["compression"] = compressions.get(path.stem, "tiff_adobe_deflate")
    picture.save(path, **settings)  # type: ignore[arg-type]


def broken(whole: bytes, generator: np.random.Generator) -> bytes:
    """Cut a file, flip bytes of its head or anywhere, or change, swap and repeat its parts."""
    content = bytearray(whole)
    kind = generator.integers(6)
    if kind == 0:
        return bytes(content[: generator.integers(len(content))])
    if kind in (1, 2):
        end = 400 if kind == 1 else len(content)
        for place in generator.integers(2, end, generator.integers(1, 12)):
            content[place % len(content)] = generator.integers(256)
        return bytes(content)
    first, second = sorted(int(place) for place in generator.integers(8, len(content), 2))
    size = int(generator.integers(1, 200))
    if kind == 3:
        content[first : first + size] = bytes([generator.integers(256)]) * size
    elif kind == 4:
        one, other = content[first : first + size], content[second : second + size]
        content[first : first + size], content[second : second + size] = other, one
    else:
        content[first:first] = content[second : second + size]
    return bytes(content)


@pytest.mark.parametrize("name", [*REAL, *MADE, *DEEP, "still.heic"])
def test_broken_files_are_read_or_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    make(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    source, target = tmp_path / f"broken-{name}", tmp_path / f"written-{name}"
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    with read_any_picture(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(CASES):
            source.write_bytes(broken(whole, generator))
            try:
                photo = open_photo(source, limit=4_000_000)
                assert photo.format in FORMATS
                if photo.count < 20:
                    photo.write(target, photo.frames())
                    target.unlink()
                else:
                    [*islice(photo.frames(), 20)]
            except (ValueError, OSError) as error:
                assert str(source) in str(error) and "\n" not in str(error)
            assert [*tmp_path.iterdir()] == [source]
    assert capfd.readouterr() == ("", "")
