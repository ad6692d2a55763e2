"""Frames in their order, from a video or from a folder: one by one, or in bursts."""

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from deblur.images import Pixels, list_pictures, read


class Frames(Protocol):
    """Frames of one size, read one by one; each iteration starts at the first."""

    count: int | None
    """How many they are; None where a video does not say."""

    def __iter__(self) -> Iterator[Pixels]: ...


class Burst(NamedTuple):
    """Consecutive frames."""

    middle: int
    """The place of the middle one among all frames, from 0."""
    frames: list[Pixels]
    """Of an odd number, all of one size."""


def open_frames(source: Path) -> Frames:
    """Open a video file or a folder of frames; raise FileNotFoundError where there is neither."""
    if source.is_dir():
        return FolderFrames(source)
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file, expected a video or a folder of frames")
    return VideoFrames(source)


class FolderFrames:
    """The pictures of a folder by name; numbers in names count as numbers: 9 is before 10."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(list_pictures(folder), key=_numbered)
        self.count: int | None = len(self.files)
        if not self.files:
            raise FileNotFoundError(f"{folder}: found no pictures, expected the frames of a video")

    def __iter__(self) -> Iterator[Pixels]:
        return _of_one_size((str(file), read(file)) for file in self.files)


class VideoFrames:
    """The frames of a video's main stream, upright, as PyAV decodes them.

    Their times are not used: a variable frame rate changes nothing. Raises ValueError for what is
    no video, and ImportError where PyAV is missing.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._av = _import_av()
        try:
            with self._av.open(str(file)) as container:
                stream = container.streams.best("video")
                # Of a broken stream not even the size is known.
                found = stream is not None and stream.width > 0
                self.count: int | None = (stream.frames or None) if found else None
        except self._av.FFmpegError as error:
            raise self._unreadable(error) from error
        if not found:
            raise ValueError(f"{file}: found no pictures that move in it, expected a video")

    def __iter__(self) -> Iterator[Pixels]:
        return _of_one_size((f"{self.file}, frame {i}", f) for i, f in enumerate(self._decode()))

    def _decode(self) -> Iterator[Pixels]:
        try:
            with self._av.open(str(self.file)) as container:
                stream = container.streams.best("video")
                stream.thread_type = "AUTO"
                for frame in container.decode(stream):
                    # Phones store frames as the sensor lies, with the turn beside them: in degrees
                    # against the clock, as rot90 counts.
                    turns = round(frame.rotation / 90)
                    yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
        except self._av.FFmpegError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Any) -> ValueError:
        return ValueError(f"{self.file}: not a readable video ({error.strerror})")


def bursts(
    frames: Iterable[Pixels], sizes: Iterable[int], *, step: int | None = None, first: int = 0
) -> Iterator[Burst]:
    """Cut frames into bursts, each of the next of the sizes, as long as there are frames for one.

    step: from the first frame of a burst to that of the next; None is the burst's own size. first:
    the place of the first frame. Never are more frames kept than a burst needs.
    """
    ahead = iter(frames)
    kept: list[Pixels] = []
    for size in sizes:
        kept += islice(ahead, max(0, size - len(kept)))
        if len(kept) < size:
            return
        yield Burst(first + size // 2, kept[:size])
        hop = step or size
        for _ in islice(ahead, max(0, hop - len(kept))):
            pass
        del kept[:hop]
        first += hop


def _of_one_size(frames: Iterable[tuple[str, Pixels]]) -> Iterator[Pixels]:
    """Pass named frames on; raise ValueError at the first one of another size."""
    height, width = 0, 0
    for name, frame in frames:
        height, width = height or frame.shape[0], width or frame.shape[1]
        if frame.shape[:2] != (height, width):
            raise ValueError(
                f"{name}: is {frame.shape[1]}x{frame.shape[0]}, expected {width}x{height} as the "
                "frames before it"
            )
        yield frame


def _numbered(file: Path) -> list[str | int]:
    parts = re.split(r"(\d+)", file.name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def _import_av() -> Any:
    try:
        return import_module("av")
    except ImportError as error:
        raise ImportError(
            "PyAV is needed to read a video: pip install 'deblur[video]' (a folder of frames needs "
            "nothing)"
        ) from error
