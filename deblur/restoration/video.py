"""A video restored, frame by frame; what lies beside its frames is kept."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from deblur.atomic import discard, hide, install
from deblur.media.video import count_frames, import_av, open_video, view
from deblur.media.video_changes import describe_changes
from deblur.media.video_encoding import Encoding
from deblur.media.video_plan import plan_encoding
from deblur.media.video_writer import VideoWriter
from deblur.restoration.thread_choice import choosing_threads
from deblur.restoration.video_selection import Chosen, Picture, choose, keep_still

VIDEO_ENDINGS = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".ts"),
        *(".mpg", ".mpeg", ".vob", ".wmv", ".asf", ".flv", ".3gp", ".3g2", ".ogv"),
    }
)
AHEAD = 2
"""The number of frames that are decoded ahead of restoring, and restored ahead of encoding."""

Item = TypeVar("Item")


class Progress(NamedTuple):
    """How far a video is."""

    done: int
    """The number of finished frames."""
    total: int | None
    """The number of all frames, by the file or its duration; None where it says neither."""


class NotBlurredError(Exception):
    """None of a video's frames is blurred by motion."""


def restore_video(
    source: Path,
    target: Path,
    restore: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    quality: int | None = None,
    only_blurred: bool = False,
    watch: Callable[[Progress], None] | None = None,
) -> list[str]:
    """Restore a video's main stream, and copy what else its file holds, packet by packet.

    Codec, size, depth, chroma, colour tags, turn, and each frame's time stay as they are; the
    container is that of the target's ending. Frames are decoded and encoded by two other threads
    meanwhile, and restored by as many as are the fastest (see `choosing_threads`).

    The target appears when it is complete. On Ctrl-C what was restored is finished as
    TARGET.part (see `name_part`), and KeyboardInterrupt raised again; other errors leave nothing.
    Until then the file is hidden beside the target, .deblur-*.ENDING, and even of a killed process
    it can be played.

    Args:
        source: The video.
        target: The file to write.
        restore: Takes and returns (H, W, 3), or (H, W, 4) with alpha, uint8 or (above 8 bits)
            uint16, RGB, as stored; called by this thread.
        quality: 1 to 100, 80 if None.
        only_blurred: Restore the frames that are blurred by motion, and encode the others as they
            were decoded.
        watch: Called after each frame.

    Returns:
        Notes on what was changed or left out.

    Raises:
        ValueError: The source is no video, nothing can be written to the target, or the quality is
            out of its range.
        OSError: A file cannot be read or written.
        ImportError: PyAV is missing.
        NotBlurredError: `only_blurred` is set, and motion has blurred no frame.
    """
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"quality must lie in 1 to 100, got {quality}")
    if target.suffix.lower() not in VIDEO_ENDINGS:
        raise ValueError(f"{target}: expected the ending of a video, such as .mp4")
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints its settings, and asks nothing else
    first = _peek(source)
    losses: Counter[str] = Counter()
    with open_video(source) as (container, video):
        encoding, notes = plan_encoding(source, container, video, first, target, quality or 80)
        total = _count(container, encoding)
        with _writing(target, encoding) as writer, choosing_threads(restore) as run:
            items = _read(container, encoding, writer, losses)
            restored = 0
            for done, blurred in enumerate(
                _restore_frames(items, writer, run, only_blurred), start=1
            ):
                restored += blurred
                if watch is not None:
                    watch(Progress(done, total))
            if only_blurred and not restored:
                raise NotBlurredError(f"none of its {writer.count} frames is blurred by motion")
    if only_blurred:
        notes.insert(0, f"restored {restored} of {writer.count} frames, which were blurred")
    notes += [f"{what}: {count}" for what, count in (losses + writer.losses).items()]
    return notes + writer.changes


def name_part(target: Path) -> Path:
    """Return the file that an interrupted restoration leaves; its ending is not a video's."""
    return target.with_name(f"{target.name}.part")


def _peek(source: Path) -> Any:
    """Return the first frame that can be decoded: only that has all its properties."""
    av = import_av()
    with open_video(source) as (container, video):
        with suppress(av.FFmpegError):
            for packet in container.demux(video):
                with suppress(av.FFmpegError):
                    for frame in packet.decode():
                        return frame
    raise ValueError(f"{source}: not a readable video (none of its frames can be decoded)")


def _count(container: Any, encoding: Encoding) -> int | None:
    if (frames := count_frames(container, encoding.video)) is not None:
        return frames
    seconds = Fraction(container.duration or 0, 1_000_000)
    if "matroska" in container.format.name and _is_by_ffmpeg(container):
        seconds -= Fraction(container.start_time or 0, 1_000_000)
    rate = encoding.rate if encoding.video.average_rate else 0
    return int(seconds * rate) or None


def _is_by_ffmpeg(container: Any) -> bool:
    """Return whether FFmpeg wrote a Matroska file: then its end stands for its length."""
    tags = {key.lower(): value for key, value in container.metadata.items()}
    return bool(tags.get("encoder", "").startswith("Lavf"))


def _restore_frames(
    items: Iterator[Any],
    writer: VideoWriter,
    restore: Callable[[NDArray[Any]], NDArray[Any]],
    only_blurred: bool,
) -> Iterator[bool]:
    """Restore pictures and pass packets on; yield after each picture whether it was restored."""
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as decoder, ThreadPoolExecutor(1) as encoder:
        read = read_ahead(items, decoder)
        try:
            for item in choose(read) if only_blurred else _choose_all(read):
                while len(waiting) >= AHEAD:
                    waiting.popleft().result()
                if not isinstance(item, Chosen):
                    waiting.append(encoder.submit(writer.copy, item))
                    continue
                frame, rgb = item.picture
                if item.blurred:
                    pixels = view(rgb)
                    source = np.ascontiguousarray(pixels)
                    restored = keep_still(restore(source), source, item.beside)
                    pixels[..., :3] = restored[..., :3]
                rgb = rgb if item.blurred else None
                waiting.append(encoder.submit(writer.write, frame, rgb))
                yield item.blurred
        finally:
            for future in waiting:
                future.result()


def _choose_all(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        yield Chosen(item, True) if isinstance(item, Picture) else item


def read_ahead(items: Iterable[Item], thread: ThreadPoolExecutor) -> Iterator[Item]:
    """Yield items, while a thread makes the next ones."""
    end = object()
    iterator = iter(items)
    waiting = deque(thread.submit(next, iterator, end) for _ in range(AHEAD))
    while (item := waiting.popleft().result()) is not end:
        waiting.append(thread.submit(next, iterator, end))
        yield item  # type: ignore[misc]  # it is not the end


def _read(
    container: Any, encoding: Encoding, writer: VideoWriter, losses: Counter[str]
) -> Iterator[Any]:
    """Yield the main stream's frames as pictures, and the other streams' packets as they are."""
    for packet in _demux(container, encoding, losses):
        if packet.stream.index != encoding.video.index:
            yield packet
            continue
        try:
            frames = packet.decode()
        except import_av().FFmpegError:
            losses["left out frames that cannot be decoded"] += 1
        else:
            for frame in frames:
                yield Picture(frame, writer.unpack(frame))


def _demux(container: Any, encoding: Encoding, losses: Counter[str]) -> Iterator[Any]:
    """Yield all packets, and where the file breaks off one that empties the decoder."""
    av = import_av()
    try:
        yield from container.demux([encoding.video, *encoding.copies])
    except av.FFmpegError as error:
        losses[f"breaks in the file, with nothing behind ({error.strerror})"] += 1
        end = av.Packet()
        end.stream, end.time_base = encoding.video, encoding.video.time_base
        yield end


@contextmanager
def _writing(target: Path, encoding: Encoding) -> Iterator[VideoWriter]:
    """Open a hidden file, which becomes the target, or on Ctrl-C a part of it."""
    av = import_av()
    part = hide(target, target.suffix)
    writer = None
    try:
        writer = VideoWriter(part, encoding)
        yield writer
        writer.finish()
        if part.exists():
            source = Path(encoding.source.name)
            writer.changes = describe_changes(source, part, writer.count, writer.end)
            install(part, target)
            name_part(target).unlink(missing_ok=True)
    except KeyboardInterrupt:
        if writer is not None and writer.count:
            writer.finish()
            install(part, name_part(target))
        raise
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    finally:
        if writer is not None:
            with suppress(av.FFmpegError):
                writer.container.close()
        discard(part)
