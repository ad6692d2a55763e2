from pathlib import Path

import pytest
from film_samples import make_cover, make_film

from deblur.media.video_content import is_video_content


@pytest.mark.parametrize(
    ("ending", "codec"),
    [
        *(("mp4", "libx264"), ("mov", "libx264"), ("mkv", "libx264"), ("webm", "libvpx-vp9")),
        *(("avi", "mpeg4"), ("ts", "libx264"), ("m2ts", "libx264"), ("mpg", "mpeg2video")),
        *(("flv", "libx264"), ("wmv", "mpeg4"), ("3gp", "mpeg4")),
    ],
)
def test_videos_are_told_by_their_content(tmp_path: Path, ending: str, codec: str) -> None:
    assert is_video_content(make_film(tmp_path / f"a.{ending}", codec).read_bytes())


def test_pictures_are_no_videos() -> None:
    assert not is_video_content(make_cover())
    assert not is_video_content(b"\0\0\0\x18ftypheic\0\0\0\0")
    assert not is_video_content(b"\0\0\0\x18ftypcrx \0\0\0\1")  # a camera's raw file
    assert not is_video_content(b"RIFF\0\0\0\0WEBPVP8 ")
    assert not is_video_content(b"")
