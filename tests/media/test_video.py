import itertools
import re
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from deblur.extras import install_command
from deblur.media.images import Pixels
from deblur.media.video import bursts, open_frames

PICTURES = np.random.default_rng(0).integers(0, 256, (9, 16, 32, 3), np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that encodes PICTURES without loss, unevenly in time."""

    def write(name: str = "clip.mov", turn: int = 0) -> Path:
        file = tmp_path / name
        with av.open(str(file), "w") as container:
            codec, stored = ("ffv1", "bgr0") if name.endswith("mkv") else ("png", "rgb24")
            stream = container.add_stream(codec, rate=60)
            stream.width, stream.height, stream.pix_fmt = 32, 16, stored
            if turn:
                stream.set_display_rotation(turn)
            for place, pixels in enumerate(PICTURES):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts = place + place**2 // 3
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return file

    return write


def numbered(count: int) -> list[Pixels]:
    return [np.full((2, 3, 3), place, np.uint8) for place in range(count)]


def cut(count: int, *sizes: int, **settings: Any) -> list[tuple[int, list[int]]]:
    """Give each burst's middle and its frames' places."""
    found = bursts(numbered(count), itertools.cycle(sizes), **settings)
    return [(burst.middle, [int(frame[0, 0, 0]) for frame in burst.frames]) for burst in found]


def test_the_next_burst_starts_after_the_last_frame_used() -> None:
    assert cut(8, 3) == [(1, [0, 1, 2]), (4, [3, 4, 5])]
    assert cut(9, 3, 5) == [(1, [0, 1, 2]), (5, [3, 4, 5, 6, 7])]
    assert cut(2, 3) == []


def test_a_step_overlaps_or_skips() -> None:
    assert cut(6, 3, step=2) == [(1, [0, 1, 2]), (3, [2, 3, 4])]
    assert cut(8, 5, 3, step=1)[:3] == [(2, [0, 1, 2, 3, 4]), (2, [1, 2, 3]), (4, [2, 3, 4, 5, 6])]
    assert cut(9, 3, step=5) == [(1, [0, 1, 2]), (6, [5, 6, 7])]


def test_places_count_from_the_first() -> None:
    assert [middle for middle, _ in cut(6, 3, first=100)] == [101, 104]


def test_no_more_frames_are_read_than_a_burst_needs() -> None:
    ahead = iter(numbered(20))
    next(bursts(ahead, itertools.repeat(7)))
    assert next(ahead)[0, 0, 0] == 7


def test_a_folder_is_read_in_the_order_of_its_numbers(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for place in (10, 9, 1):
        picture(tmp_path / f"frame{place}.png", seed=place)
    (tmp_path / "notes.txt").write_text("stray")
    frames = open_frames(tmp_path)
    assert frames.count == 3
    assert [file.name for file in frames.files] == [  # type: ignore[attr-defined]
        "frame1.png",
        "frame9.png",
        "frame10.png",
    ]
    assert [frame.shape for frame in frames] == 3 * [(40, 48, 3)]


def test_a_frame_of_another_size_is_named(tmp_path: Path, picture: Callable[..., Path]) -> None:
    picture(tmp_path / "0.png")
    picture(tmp_path / "1.png", size=(30, 40))
    with pytest.raises(ValueError, match="1.png"):
        list(open_frames(tmp_path))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="clip.mp4"):
        open_frames(tmp_path / "clip.mp4")
    with pytest.raises(FileNotFoundError, match="found no pictures"):
        open_frames(tmp_path)


def test_without_pyav_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(ImportError, match=re.escape(install_command("video"))):
        open_frames(tmp_path / "clip.mp4")


def test_a_video_gives_its_frames_one_by_one_and_again(video: Callable[..., Path]) -> None:
    frames = open_frames(video())
    assert frames.count == len(PICTURES)
    for _ in range(2):
        for found, expected in zip(frames, PICTURES, strict=True):
            assert np.array_equal(found, expected)


@pytest.mark.parametrize("turn", [-90, 90, 180])
def test_a_phones_video_is_turned_upright(video: Callable[..., Path], turn: int) -> None:
    first = next(iter(open_frames(video(turn=turn))))
    # -90 is a phone held upright: shown a quarter turn clockwise.
    assert np.array_equal(first, np.rot90(PICTURES[0], turn // 90))


def test_a_video_that_does_not_say_its_length_has_no_count(video: Callable[..., Path]) -> None:
    frames = open_frames(video("clip.mkv"))
    assert frames.count is None
    assert len(list(frames)) == len(PICTURES)


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"not a video")
    with pytest.raises(ValueError, match="clip.mp4"):
        open_frames(tmp_path / "clip.mp4")
    with wave.open(str(tmp_path / "clip.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    with pytest.raises(ValueError, match="clip.wav"):
        open_frames(tmp_path / "clip.wav")


def test_a_broken_frame_is_an_error_that_names_the_file(video: Callable[..., Path]) -> None:
    file = video()
    content = file.read_bytes()
    start = content.index(b"IDAT", len(content) // 2)
    file.write_bytes(content[:start] + bytes(400) + content[start + 400 :])
    with pytest.raises(ValueError, match="clip.mov: not a readable video"):
        list(open_frames(file))
