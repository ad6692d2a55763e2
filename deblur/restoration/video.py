"""A video restored, frame by frame; what lies beside its frames is kept."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deblur.atomic import hide, install
from deblur.media.video import FULL, LIMITED, Colours, import_av, open_video, view
from deblur.media.video_encoding import TAGS, Encoding, has_alpha, plan_encoding

VIDEO_ENDINGS = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".ts"),
        *(".mpg", ".mpeg", ".vob", ".wmv", ".asf", ".flv", ".3gp", ".3g2", ".ogv"),
    }
)


class Progress(NamedTuple):
    """How far a video is."""

    done: int
    """Frames."""
    total: int | None
    """As the file says, or by its duration; None where it says neither."""


def restore_film(
    source: Path,
    target: Path,
    restore: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    quality: int | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> list[str]:
    """Restore a video's main stream, and copy what else its file holds, packet by packet.

    Codec, size, depth, chroma, colour tags, turn, and each frame's time stay as they are; the
    container is that of the target's ending. restore: takes and gives (H, W, 3), or (H, W, 4) with
    alpha, uint8 or (above 8 bits) uint16, RGB, as stored. quality: 1 to 100, 80 if None. watch:
    called after each frame.

    The target appears when it is complete. On Ctrl-C it is finished with what was restored, and
    KeyboardInterrupt raised again; other errors leave nothing. Until then the file is hidden beside
    the target, .deblur-*.ENDING, and even of a killed process it can be played.

    Returns what was changed or left out. Raises ValueError ("PATH: reason") for what is no video
    and targets that cannot be, OSError, and ImportError where PyAV is missing.
    """
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"quality must lie in 1 to 100, got {quality}")
    if target.suffix.lower() not in VIDEO_ENDINGS:
        raise ValueError(f"{target}: expected the ending of a video, such as .mp4")
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints its settings, and asks nothing else
    first = _peek(source)
    with open_video(source) as (film, video):
        encoding, notes = plan_encoding(film, video, first, target, quality or 80)
        total = _count(film, encoding)
        with _writing(target, encoding) as writer:
            for frame in _read(film, encoding, writer):
                writer.write(frame, restore)
                if watch is not None:
                    watch(Progress(writer.count, total))
        notes += [f"{what}: {count}" for what, count in writer.losses.items()]
        if writer.count < 0.95 * video.frames:
            notes.append(f"it should have {video.frames} frames, and has {writer.count}")
    return notes


def _peek(source: Path) -> Any:
    """Decode the first frame that can be: only it tells all of what it is."""
    av = import_av()
    with open_video(source) as (film, video):
        with suppress(av.FFmpegError):
            for packet in film.demux(video):
                with suppress(av.FFmpegError):
                    for frame in packet.decode():
                        return frame
    raise ValueError(f"{source}: not a readable video (none of its frames can be decoded)")


def _count(film: Any, encoding: Encoding) -> int | None:
    seconds = Fraction(film.duration or 0, 1_000_000)
    rate = encoding.rate if encoding.video.average_rate else 0
    return int(encoding.video.frames or seconds * rate) or None


def _read(film: Any, encoding: Encoding, writer: "_Writer") -> Iterator[Any]:
    """Decode the main stream's frames; the other streams' packets go to the writer at once."""
    for packet in _demux(film, encoding, writer):
        if packet.stream.index != encoding.video.index:
            writer.copy(packet)
            continue
        try:
            frames = packet.decode()
        except import_av().FFmpegError:
            writer.losses["left out frames that cannot be decoded"] += 1
        else:
            yield from frames


def _demux(film: Any, encoding: Encoding, writer: "_Writer") -> Iterator[Any]:
    """Give all packets, and where the file breaks off one that empties the decoder."""
    av = import_av()
    try:
        yield from film.demux([encoding.video, *encoding.copies])
    except av.FFmpegError as error:
        writer.losses[f"breaks in the file, with nothing behind ({error.strerror})"] += 1
        end = av.Packet()
        end.stream, end.time_base = encoding.video, encoding.video.time_base
        yield end


@contextmanager
def _writing(target: Path, encoding: Encoding) -> Iterator["_Writer"]:
    """Give a writer of a hidden file, which becomes the target: complete, or as far as Ctrl-C."""
    av = import_av()
    part = hide(target, target.suffix)
    writer = None
    try:
        writer = _Writer(part, encoding)
        yield writer
        writer.finish(target)
    except KeyboardInterrupt:
        if writer is not None and writer.count:
            writer.finish(target)
        raise
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    finally:
        if writer is not None:
            with suppress(av.FFmpegError):
                writer.container.close()
        part.unlink(missing_ok=True)


class _Writer:
    """Writes a video's file."""

    def __init__(self, file: Path, encoding: Encoding) -> None:
        self.file, self.encoding = file, encoding
        self.container, self.stream, self.copies = encoding.create(str(file.absolute()))
        self.colours = Colours()
        self.range = FULL if encoding.first.color_range == FULL else LIMITED
        deep = max(component.bits for component in encoding.first.format.components) > 8
        clear = has_alpha(encoding.stored)
        self.packed = ("rgba64le" if deep else "rgba") if clear else "rgb48le" if deep else "rgb24"
        self.count = 0
        self.losses: Counter[str] = Counter()
        """How many of what."""
        self.last: int | None = None
        """The time of the last frame, in ticks."""

    def write(self, frame: Any, restore: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        """Restore a frame and encode it."""
        rgb = self.colours.to_rgb(frame, self.packed)
        pixels = view(rgb)
        pixels[..., :3] = restore(np.ascontiguousarray(pixels))[..., :3]
        if self.encoding.turns:
            upright = np.ascontiguousarray(np.rot90(pixels, self.encoding.turns))
            turned = import_av().VideoFrame.from_ndarray(upright, format=self.packed)
            turned.colorspace = rgb.colorspace
            rgb = turned
        if frame.is_corrupt:
            self.losses["restored frames that are damaged"] += 1
        if (rgb.width, rgb.height) != self.encoding.size:
            self.losses["scaled frames of another size"] += 1
        stored = self.colours.from_rgb(rgb, self.encoding.stored, self.range, self.encoding.size)
        stored.pict_type = 0  # the encoder's choice, not the source's
        for tag in TAGS:
            setattr(stored, tag, getattr(self.encoding.first, tag))
        self._set_time(stored, frame)
        self.container.mux(self.stream.encode(stored))
        self.count += 1

    def _set_time(self, stored: Any, frame: Any) -> None:
        tick, rate = self.encoding.tick, self.encoding.rate
        time = frame.pts if frame.pts is not None else frame.dts
        if time is None:
            place = 0 if self.last is None else self.last + max(1, round(1 / rate / tick))
        else:
            place = round(time * frame.time_base / tick)
            if place * tick != time * frame.time_base:
                self.losses[f"moved frames to multiples of {tick} s"] += 1
        if self.last is not None:
            place = max(place, self.last + 1)
        stored.pts, stored.duration = place, round(frame.duration * frame.time_base / tick)
        stored.time_base = tick
        self.last = place

    def copy(self, packet: Any) -> None:
        """Take a packet of another stream; one that the container refuses is counted."""
        if packet.dts is None and packet.pts is None:
            return
        packet.stream = self.copies[packet.stream.index]
        try:
            self.container.mux(packet)
        except import_av().ArgumentError:
            self.losses["left out packets of other streams that are out of order"] += 1

    def finish(self, target: Path) -> None:
        """Complete the file and give it its name; once more does no harm."""
        with suppress(EOFError):
            self.container.mux(self.stream.encode())
        self.container.close()
        if self.file.exists():
            install(self.file, target)
