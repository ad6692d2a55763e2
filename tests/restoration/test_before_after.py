from pathlib import Path

import numpy as np
import pytest
from film_samples import make_film
from photo_samples import frame, noise, photo_of
from PIL import Image

from deblur.restoration.before_after import write_sheet, write_video_sheet


@pytest.mark.parametrize("ending", ["gif", "avif", "heic", "ppm", "webp", "tif", "png", "jpg"])
def test_a_sheet_of_any_format(ending: str, tmp_path: Path) -> None:
    before, after = tmp_path / f"before.{ending}", tmp_path / f"after.{ending}"
    photo_of(before)
    photo_of(after, frame(seed=1))
    write_sheet(tmp_path / "sheet.png", before, after)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG" and sheet.size[0] > 2 * noise().shape[1]


@pytest.mark.parametrize("ending", ["png", "webp", "gif", "tiff"])
def test_of_several_frames_the_first_is_shown(ending: str, tmp_path: Path) -> None:
    grey, black = (Image.new("RGB", (40, 30), colour) for colour in ("grey", "black"))
    path = tmp_path / f"many.{ending}"
    grey.save(path, save_all=True, append_images=[black, grey])
    write_sheet(tmp_path / "sheet.png", path, path)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert abs(np.asarray(sheet)[40, 20].astype(int) - 128).max() < 4


def test_16_bits_grey_and_alpha_are_seen_as_a_viewer_shows_them(tmp_path: Path) -> None:
    photo_of(tmp_path / "deep.png", frame(1, deep=True, alpha=True))
    write_sheet(tmp_path / "sheet.png", tmp_path / "deep.png", tmp_path / "deep.png")
    assert Image.open(tmp_path / "sheet.png").mode == "RGB"


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    path = photo_of(tmp_path / "a.png").path
    assert path is not None
    (tmp_path / "full.png").symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        write_sheet(tmp_path / "full.png", path, path)
    assert caught.value.filename == str(tmp_path / "full.png")
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(ValueError, match="bad.png"):
        write_sheet(tmp_path / "sheet.png", path, tmp_path / "bad.png")
    assert not (tmp_path / "sheet.png").exists()


def test_of_a_video_the_most_changed_frame_is_shown(tmp_path: Path) -> None:
    black, white = np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 255, np.uint8)
    before = make_film(tmp_path / "a.mkv", "ffv1", "yuv444p", frames=[black] * 4)
    after = make_film(tmp_path / "b.mkv", "ffv1", "yuv444p", frames=[black, black, white, black])
    write_video_sheet(tmp_path / "sheet.png", before, after)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("L"))
    assert pixels[40, 20] < 5 and pixels[40, 64 + 4 + 20] > 250
