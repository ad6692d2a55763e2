from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from deblur.media.video_encoders import Encoder
from deblur.media.video_encoding import Encoding
from deblur.media.video_writer import VideoWriter

LIMITED, FULL = 1, 2


def fill(pixels: str, range: int, size: tuple[int, int]) -> Any:
    """Give a frame of noise."""
    frame, random = av.VideoFrame(*size, pixels), np.random.default_rng(0)
    for plane in frame.planes:
        plane.update(random.integers(16, 236, plane.buffer_size, np.uint8))
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    frame.color_range, frame.colorspace = range, 6
    return frame


def read_planes(frame: Any) -> list[NDArray[np.int_]]:
    lines = [np.frombuffer(plane, np.uint8).reshape(plane.height, -1) for plane in frame.planes]
    return [line[:, : plane.width].astype(int) for line, plane in zip(lines, frame.planes)]


def write(file: Path, stored: str, first: Any, frame: Any, change: Any = None) -> Any:
    """Write a frame by a lossless codec and read it back; change: of what `unpack` returns."""
    with av.open(str(file.with_suffix(".avi")), "w") as source:
        video = source.add_stream("mjpeg", rate=25)
        tick = Fraction(1, 25)
        encoding = Encoding(
            "matroska", Encoder("ffv1"), stored, tick, Fraction(25), 80, source, video, first
        )
        writer = VideoWriter(file, encoding)
        writer.write(frame, change and change(writer.unpack(frame)))
        writer.finish()
    with av.open(str(file)) as container:
        return next(container.decode(video=0))


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("size", [(64, 48), (65, 49)])
@pytest.mark.parametrize("pixels", ["yuvj420p", "yuvj422p", "yuvj444p"])
def test_the_full_range_is_no_change(
    tmp_path: Path, pixels: str, size: tuple[int, int], restored: bool
) -> None:
    frame = fill(pixels, FULL, size)
    before = read_planes(frame)
    change = (lambda rgb: rgb) if restored else None
    found = write(tmp_path / "a.mkv", pixels.replace("j", ""), frame, frame, change)
    assert (found.format.name, found.color_range) == (pixels.replace("j", ""), FULL)
    for old, new in zip(before, read_planes(found), strict=True):
        assert np.array_equal(old, new)


@pytest.mark.parametrize(
    ("pixels", "range", "other", "wanted"),
    [
        ("yuvj444p", FULL, LIMITED, lambda luma: luma * 219 / 255 + 16),
        ("yuv444p", LIMITED, FULL, lambda luma: (luma - 16) * 255 / 219),
    ],
)
def test_a_frame_of_another_range_is_converted(
    tmp_path: Path, pixels: str, range: int, other: int, wanted: Any
) -> None:
    frame = fill(pixels, range, (64, 48))
    for plane in frame.planes[1:]:
        plane.update(np.full(plane.buffer_size, 128, np.uint8))
    before = read_planes(frame)[0]
    found = write(tmp_path / "a.mkv", "yuv444p", fill("yuv444p", other, (64, 48)), frame)
    assert found.color_range == other
    assert np.abs(read_planes(found)[0] - wanted(before)).max() <= 2
