from io import BytesIO
from pathlib import Path

import pytest
from photo_samples import photo_of

from deblur.media.formats.raw import is_raw_name
from deblur.media.photo import open_photo

TIFF = b"II*\0\x08\0\0\0\0\0" + bytes(60)


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.cr2", b"II*\0\x10\0\0\0CR\2\0" + bytes(60)),
        ("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(60)),
        ("a.crw", b"II\x1a\0\0\0HEAPCCDR" + bytes(60)),
        ("a.raf", b"FUJIFILMCCD-RAW 0201" + bytes(60)),
        ("a.orf", b"IIRO\x08\0\0\0" + bytes(60)),
        ("a.rw2", b"IIU\0\x18\0\0\0" + bytes(60)),
        ("a.x3f", b"FOVb" + bytes(60)),
        ("a.mrw", b"\0MRM" + bytes(60)),
        *((f"a.{ending}", TIFF) for ending in ("nef", "NEF", "arw", "pef", "dng", "3fr", "iiq")),
        ("a.raw", bytes(60)),
    ],
)
def test_a_cameras_raw_file_is_called_so(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_raw_name(tmp_path / name)
    with pytest.raises(ValueError, match=f"{name}"):
        open_photo(tmp_path / name)
    if not content.startswith(TIFF) and content.strip(b"\0"):
        with pytest.raises(ValueError, match="a camera's raw file"):
            open_photo(BytesIO(content))


def test_pictures_are_not_taken_for_raw_files(tmp_path: Path) -> None:
    for ending in ("jpg", "png", "webp"):
        photo_of(tmp_path / f"a.{ending}")
        (tmp_path / f"a.{ending}").rename(tmp_path / "a.nef")
        assert open_photo(tmp_path / "a.nef").count == 1
    photo_of(tmp_path / "a.tif")
    assert open_photo(tmp_path / "a.tif").format == "TIFF"
