"""Frames in their order, from a video or from a folder: one by one, or in bursts."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from deblur.extras import install_command
from deblur.media.images import Pixels, list_pictures, read

LIMITED, FULL = 1, 2
BT709, BT601 = 1, 6
RANGES, MATRICES = {LIMITED, FULL}, {BT709, BT601, 4, 5, 7, 9}
"""Colour tags that FFmpeg can convert by, in its numbers."""
COVER = 1 << 10
"""The disposition of a still picture beside sound or video."""


class Frames(Protocol):
    """Frames of one size, read one by one; each iteration starts at the first."""

    count: int | None
    """The number of frames; None where a video does not say."""

    def __iter__(self) -> Iterator[Pixels]: ...


class Burst(NamedTuple):
    """Consecutive frames."""

    middle: int
    """The place of the middle one among all frames, from 0."""
    frames: list[Pixels]
    """An odd number of frames, all of one size."""


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
        with open_video(file) as (container, stream):
            self.count: int | None = count_frames(container, stream)

    def __iter__(self) -> Iterator[Pixels]:
        return _of_one_size((f"{self.file}, frame {i}", f) for i, f in enumerate(self._decode()))

    def _decode(self) -> Iterator[Pixels]:
        colours = Colours()
        try:
            with open_video(self.file) as (container, stream):
                for frame in container.decode(stream):
                    # Phones store frames as the sensor lies, with the turn beside them: in degrees
                    # against the clock, as rot90 counts.
                    turns = round(frame.rotation / 90)
                    pixels = colours.to_rgb(frame, "rgb24").to_ndarray()
                    yield np.ascontiguousarray(np.rot90(pixels, turns))
        except import_av().FFmpegError as error:
            raise unreadable(self.file, error) from error


@contextmanager
def open_video(file: Path) -> Iterator[tuple[Any, Any]]:
    """Open a video, as PyAV does: yield its container and its main stream.

    Raises ValueError for what is no video, and ImportError where PyAV is missing.
    """
    av = import_av()
    try:
        container = av.open(
            str(file.absolute()),  # 12:30.mp4 looks like an address
            container_options={"protocol_whitelist": "file"},  # playlists would open others
            metadata_errors="surrogateescape",  # old files have old encodings
        )
    except av.FFmpegError as error:
        raise unreadable(file, error) from error
    # What it would make up for AVI's missing times is out of order.
    container.flags &= ~av.container.core.Flags.gen_pts.value
    with container:
        if container.format.name.endswith("_pipe") or container.format.name == "image2":
            raise ValueError(f"{file}: is a picture, expected a video")
        stream = container.streams.best("video")
        # Songs have a cover. Of a broken stream not even the size is known.
        if stream is None or stream.disposition & COVER or not getattr(stream, "width", 0):
            raise ValueError(f"{file}: found no pictures that move in it, expected a video")
        stream.thread_type = "AUTO"
        yield container, stream


def count_frames(container: Any, stream: Any) -> int | None:
    """Return the number of a stream's frames by the file's head; None where it does not say.

    Frames that MOV's edit lists hide, as cuts without encoding make them, are not counted: those
    are not in the index, or marked in it.
    """
    if stream.frames and "mov" in container.format.name.split(","):
        if shown := sum(not entry.is_discard for entry in stream.index_entries):
            return shown
    return stream.frames or None


def unreadable(file: Path, error: Any) -> ValueError:
    """Return an error that says in one line why PyAV cannot read a video."""
    return ValueError(f"{file}: not a readable video ({error.strerror})")


def assume_tags(frame: Any) -> None:
    """Add the colour tags that a frame lacks, as players do: limited, and BT.709 by its size."""
    if frame.color_range not in RANGES or frame.format.is_rgb:
        frame.color_range = LIMITED
    if frame.colorspace not in MATRICES:
        large = frame.width >= 1280 or frame.height > 576
        frame.colorspace = BT709 if large else BT601


class Colours:
    """Turns decoded frames into RGB and back, by their colour tags.

    Raises ImportError where PyAV is missing.
    """

    def __init__(self) -> None:
        import_av()
        library = import_module("av.video.reformatter")
        self._to, self._back, self._copy = (library.VideoReformatter() for _ in range(3))
        way = library.Interpolation
        # Without accurate rounding everything gets a level darker.
        self._way = way.BICUBIC | way.ACCURATE_RND | way.FULL_CHR_H_INT | way.FULL_CHR_H_INP

    def to_rgb(self, frame: Any, format: str) -> Any:
        """Return a frame in a packed RGB format; its pixels may be changed."""
        assume_tags(frame)
        rgb = self._to.reformat(frame, format=format, interpolation=self._way, dst_color_range=FULL)
        rgb.make_writable()
        return rgb

    def rename(self, frame: Any) -> Any:
        """Return a frame of yuvj420p as one of yuv420p and the full range, and so on.

        Its values, its times and what it says of itself stay; other frames are returned as they
        are.
        """
        if not frame.format.name.startswith("yuvj"):
            return frame
        plain = frame.format.name.replace("yuvj", "yuv")
        ranges = {"src_color_range": FULL, "dst_color_range": FULL}
        return self._copy.reformat(frame, format=plain, interpolation=self._way, **ranges)

    def from_rgb(self, rgb: Any, format: str, range: int, size: tuple[int, int]) -> Any:
        """Convert a result of to_rgb to a format, a width and a height; range: LIMITED or FULL."""
        return self._back.reformat(
            rgb,
            *size,
            format=format,
            interpolation=self._way,
            src_color_range=FULL,
            dst_color_range=range,
        )


def view(rgb: Any) -> NDArray[Any]:
    """Return the pixels of a packed RGB frame, which may be changed: (H, W, 3), or 4 with alpha."""
    plane, channels = rgb.planes[0], len(rgb.format.components)
    dtype = np.dtype("<u2" if rgb.format.name.endswith("le") else "u1")
    strides = (plane.line_size, channels * dtype.itemsize, dtype.itemsize)
    return np.ndarray((rgb.height, rgb.width, channels), dtype, plane, strides=strides)


def bursts(
    frames: Iterable[Pixels], sizes: Iterable[int], *, step: int | None = None, first: int = 0
) -> Iterator[Burst]:
    """Cut frames into bursts, each of the next of the sizes, as long as there are frames for one.

    step: from the first frame of a burst to that of the next; None is the burst's own size. first:
    the place of the first frame. No more frames are kept than a burst needs.
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


def import_av() -> Any:
    """Import PyAV; raise ImportError that says how to install it."""
    try:
        return import_module("av")
    except ImportError as error:
        raise ImportError(
            f"videos require PyAV: {install_command('video')} (a folder of frames requires nothing)"
        ) from error
