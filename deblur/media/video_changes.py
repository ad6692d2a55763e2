"""What a restored video's file lacks that its source has: tags, frames and time."""

from pathlib import Path
from typing import Any

from deblur.media.video import count_frames, open_video
from deblur.media.video_tags import current_tags

SLACK = 2
"""The number of frames by which a file may be longer or shorter, by other containers' clocks."""


def describe_changes(source: Path, target: Path, frames: int, end: float) -> list[str]:
    """Return notes on what a restored video's file lacks.

    frames: those that were written. end: seconds, where the last of all packets ended that was
    read.
    """
    notes = []
    with open_video(source) as (container, video), open_video(target) as (new, restored):
        kept = {key.lower() for key in new.metadata}
        if lost := [key for key in current_tags(container.metadata) if key.lower() not in kept]:
            notes.append(f"left out the tags {', '.join(lost)}: {new.format.name} cannot hold them")
        rate = float(video.average_rate or video.guessed_rate or 25)
        expected = count_frames(container, video) or 0
        start, stop = _find_span(container)
        if frames < expected:
            notes.append(f"it should have {expected} frames, and has {frames}")
        elif end < stop - SLACK / rate:
            seconds = f"{stop - start:.2f} s, and ends after {end - start:.2f}"
            notes.append(f"it should last {seconds}: nothing can be read behind")
        if frames < expected or new.format.name.startswith("mpeg"):  # whose lengths are guessed
            return notes
        before, after = (_find_length(one) for one in (video, restored))
        if before and after and abs(after - before) > SLACK / rate:
            notes.append(f"its frames last {after:.2f} s instead of {before:.2f}")
    return notes


def _find_span(container: Any) -> tuple[float, float]:
    """Return where a file starts, and where it ends by its head, in seconds; 0 for unknown."""
    start, length = (container.start_time or 0) / 1e6, (container.duration or 0) / 1e6
    # FFmpeg writes Matroska's end as its length; others write its length, which is no later.
    if "matroska" in container.format.name or not length:
        return start, length
    return start, start + length


def _find_length(stream: Any) -> float:
    return float((stream.duration or 0) * stream.time_base)
