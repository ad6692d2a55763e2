"""Only the blurred frames of a film are restored, and what stands still does not flicker."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from film_samples import BLURRED, STILL, make_film, pan
from numpy.typing import NDArray

from deblur.restoration.restorer import Restorer
from deblur.restoration.video import NotBlurredError, restore_video
from deblur.restoration.video_selection import find_motion, is_blurred, keep_still

Pixels = NDArray[Any]


def decode(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [*container.decode(video=0)]


def rgb(frames: list[Any]) -> list[Pixels]:
    return [frame.to_ndarray(format="rgb24").astype(float) for frame in frames]


def psnr(first: Pixels, second: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.mean((first - second) ** 2)))


def test_blurred_frames_gain_and_the_others_stay_bit_for_bit(tmp_path: Path) -> None:
    filmed, sharp = pan("arlesAmphitheater.webp")
    source = make_film(tmp_path / "a.mkv", "ffv1", "yuv444p", frames=filmed, sound="pcm_s16le")
    small = Restorer.load("small", device="cpu", precision="float32")
    notes = restore_video(source, tmp_path / "out.mkv", small.restore, only_blurred=True)
    assert notes == ["restored 3 of 9 frames, which were blurred"]
    before, after = decode(source), decode(tmp_path / "out.mkv")
    same = [
        all(bytes(old) == bytes(new) for old, new in zip(first.planes, second.planes))
        for first, second in zip(before, after)
    ]
    assert {place for place, kept in enumerate(same) if not kept} == BLURRED
    assert [frame.pts for frame in after] == [frame.pts for frame in before]
    was, now = rgb(before), rgb(after)
    gains = [psnr(now[place], sharp[place]) - psnr(was[place], sharp[place]) for place in BLURRED]
    assert min(gains) > 2
    for place in BLURRED:
        for beside in (place - 1, place + 1):
            change, old = (
                np.abs(frames[place] - frames[beside])[:, -STILL:] for frames in (now, was)
            )
            assert change.mean() <= old.mean()


def test_noise_and_compression_do_not_flicker_more_than_in_the_source(tmp_path: Path) -> None:
    filmed, _ = pan("arlesAmphitheater.webp")
    random = np.random.default_rng(0)
    noisy = [
        np.clip(frame + random.normal(0, 2, frame.shape), 0, 255).round().astype(np.uint8)
        for frame in filmed
    ]
    source = make_film(tmp_path / "a.mkv", "ffv1", "yuv444p", frames=noisy)
    small = Restorer.load("small", device="cpu", precision="float32")
    restore_video(source, tmp_path / "out.mkv", small.restore, only_blurred=True)
    was, now = rgb(decode(source)), rgb(decode(tmp_path / "out.mkv"))
    assert any(not np.array_equal(now[place], was[place]) for place in BLURRED)
    for place in BLURRED:
        change, old = (
            np.abs(frames[place] - frames[place + 1])[:, -STILL:].mean() for frames in (now, was)
        )
        assert change <= 1.001 * old


def test_a_film_without_blur_is_not_written(tmp_path: Path) -> None:
    filmed, _ = pan("arlesAmphitheater.webp", 3, blurred=set())
    source = make_film(tmp_path / "a.mkv", "ffv1", "yuv444p", frames=filmed)
    with pytest.raises(NotBlurredError):
        restore_video(source, tmp_path / "out.mkv", np.copy, only_blurred=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a.mkv"]


@pytest.mark.parametrize("photo", ["berlinCathedral.webp", "chateaudeChambord.webp"])
def test_what_stands_still_does_not_hide_what_is_blurred(photo: str) -> None:
    filmed, sharp = ([frame[..., 1].copy() for frame in frames] for frames in pan(photo, 3))
    assert is_blurred(filmed[1], [filmed[0], filmed[2]])
    for place in (0, 2):
        assert not is_blurred(filmed[place], [filmed[1]])
    assert not is_blurred(sharp[1], [sharp[0], sharp[2]])


def test_motion_is_found_where_it_is() -> None:
    random = np.random.default_rng(0)
    frame, other = np.full((2, 240, 320), 90, np.uint8)
    assert find_motion(frame, [other]) == (slice(0, 240), slice(0, 320))
    other[:, :200] = random.integers(0, 255, (240, 200), np.uint8)
    rows, columns = find_motion(frame, [other])
    assert rows == slice(0, 240) and columns.start == 0 and 160 <= columns.stop <= 200


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_the_same_beside_is_put_back(dtype: type[np.unsignedinteger[Any]]) -> None:
    random = np.random.default_rng(0)
    top = np.iinfo(dtype).max
    source = random.integers(0, top, (64, 96, 3), dtype)
    beside, restored = source.copy(), source // 2
    beside[:, 48:] = top - source[:, 48:]
    kept = keep_still(restored, source, [beside])
    assert np.array_equal(kept[:, :44], source[:, :44])
    assert np.array_equal(kept[:, 64:], restored[:, 64:])
    assert keep_still(restored, source, []) is restored
