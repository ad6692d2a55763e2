from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from film_samples import make_film, pan

from deblur.media.video import open_video
from deblur.restoration import survey as module
from deblur.restoration.survey import survey
from deblur.restoration.video_selection import Picture


def test_sharp_frames_and_the_blur_of_the_others_are_found(tmp_path: Path) -> None:
    filmed, _ = pan("arlesAmphitheater.webp")
    found = survey(make_film(tmp_path / "a.mkv", "ffv1", "yuv444p", frames=filmed))
    assert found.seen == 9 and len(found.sharp) == 6 and len(found.smears) == 3
    assert all(6 < one.length < 24 for one in found.smears)  # 15 were made
    assert all(min(one.direction, 180 - one.direction) < 20 for one in found.smears)
    assert np.abs(found.sharp[0].astype(int) - filmed[0]).mean() < 2


def test_frames_with_a_little_blur_are_not_taken_as_sharp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filmed, _ = pan("arlesAmphitheater.webp")
    monkeypatch.setattr(module, "CLEAR", 0.0)
    found = survey(make_film(tmp_path / "a.mkv", "ffv1", "yuv444p", frames=filmed))
    assert not found.sharp and len(found.smears) == 3


def test_parts_of_a_long_film_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PARTS", 3)
    monkeypatch.setattr(module, "LENGTH", 2)
    found = survey(make_film(tmp_path / "a.mkv", "ffv1", "yuv444p", count=30))
    assert found.seen == 6 and not found.smears


def find_places(pictures: Iterable[Picture]) -> list[int]:
    frames = [picture.frame for picture in pictures]
    stamps = [one.dts if one.pts is None else one.pts for one in frames]
    return [round(30 * stamp * one.time_base) for stamp, one in zip(stamps, frames)]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")]
)
def test_no_frame_is_looked_at_twice(tmp_path: Path, name: str, codec: str) -> None:
    # Seeks end at key frames: at 0 and 250 only.
    options = {"g": "250", "sc_threshold": "0"} if codec == "libx264" else {"g": "250"}
    path = make_film(tmp_path / name, codec, count=320, rate=30, options=options)
    places = [place for part in module._cut_parts(path) for place in find_places(part)]
    assert places == sorted({*places})
    spread = [40 * part + place for part in range(8) for place in range(15)]
    assert np.allclose(places, spread, atol=1)  # times of MKV are rounded


def test_parts_that_overlap_follow_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_film(tmp_path / "a.mp4", count=30, rate=30)
    with open_video(path) as (container, video):
        parts = module._Parts(container, video)
        assert find_places(parts.decode(8)) == [*range(8)]
        container.seek(0)
        assert find_places(parts.decode(8, 4 / 30)) == [*range(8, 16)]
        container.seek(0)
        monkeypatch.setattr(module, "_find_time", lambda frame: None)  # as in some broken files
        assert find_places(parts.decode(8, 20 / 30)) == [*range(8)]


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"text")
    with pytest.raises(ValueError, match="a.mp4"):
        survey(tmp_path / "a.mp4")
