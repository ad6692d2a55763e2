from pathlib import Path

import numpy as np
import pytest
from film_samples import make_film, pan

from deblur.restoration import survey as module
from deblur.restoration.survey import survey


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


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"text")
    with pytest.raises(ValueError, match="a.mp4"):
        survey(tmp_path / "a.mp4")
