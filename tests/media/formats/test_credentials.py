import struct
import zlib
from pathlib import Path
from uuid import UUID

import pytest
import tifffile
from photo_samples import ICC, frame, noise, photo_of
from PIL import Image

from deblur.media.formats import tags
from deblur.media.photo import open_photo

STORE = b"jumb of a signature"
NOTE = "content credentials were left out: they are for the old pixels"


def signed(path: Path) -> Path:
    """Write a picture with content credentials."""
    if path.suffix == ".tif":
        extra = [(52545, 7, len(STORE), STORE, True)]
        tifffile.imwrite(path, noise(), photometric="rgb", extratags=extra)
        return path
    Image.fromarray(noise()).save(path, lossless=True, exif=b"Exif\0\0")
    content = path.read_bytes()
    if path.suffix == ".png":
        chunk = struct.pack(">I", len(STORE)) + b"caBX" + STORE
        chunk += struct.pack(">I", zlib.crc32(b"caBX" + STORE))
        content = content[:33] + chunk + content[33:]
    else:
        content += b"C2PA" + struct.pack("<I", len(STORE)) + STORE + bytes(len(STORE) % 2)
        content = content[:4] + struct.pack("<I", len(content) - 8) + content[8:]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("target", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_credentials_are_left_out_and_it_is_said(tmp_path: Path, ending: str, target: str) -> None:
    photo = open_photo(signed(tmp_path / f"a.{ending}"))
    photo.write(tmp_path / f"b.{target}", photo.frames())
    assert photo.notes == [NOTE]
    assert STORE not in (tmp_path / f"b.{target}").read_bytes()
    assert open_photo(tmp_path / f"b.{target}").notes == []


def test_boxes_and_blocks_of_signatures_are_said(tmp_path: Path) -> None:
    box = b"uuid" + UUID("d8fec3d6-1b0e-483c-9297-5828877ec481").bytes
    # The beginning of an AVIF, where its profile is, is searched for the box.
    Image.fromarray(noise()).save(tmp_path / "a.avif", icc_profile=ICC + box)
    photo_of(tmp_path / "a.heic", frame())
    with open(tmp_path / "a.heic", "ab") as file:
        file.write(struct.pack(">I", len(box) + 4) + box)
    Image.fromarray(noise(1)[..., 0]).save(tmp_path / "a.gif", comment="hello")
    content = (tmp_path / "a.gif").read_bytes()
    place = content.index(b"\x21\xfe")
    block = b"\x21\xff\x0bC2PA_GIF\1\0\0" + bytes([len(STORE)]) + STORE + b"\0"
    (tmp_path / "a.gif").write_bytes(content[:place] + block + content[place:])
    for name in ("a.avif", "a.heic", "a.gif"):
        photo = open_photo(tmp_path / name)
        assert photo.notes == [NOTE] and len([*photo.frames()]) == 1


def test_the_tag_goes_from_a_tiff(tmp_path: Path) -> None:
    photo = open_photo(signed(tmp_path / "a.tif"))
    photo.write(tmp_path / "b.tif", photo.frames())
    with open(tmp_path / "b.tif", "rb") as file:
        assert 52545 not in next(tags.read(file))
