"""What a video shows of its own blur: its sharpest frames, and how its blurred ones are smeared."""

import heapq
import math
from collections.abc import Iterator
from contextlib import suppress
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from deblur.blur.measured import Measured
from deblur.media.video import Colours, import_av, open_video, view
from deblur.restoration.classifier import load_classifier, measure_features
from deblur.restoration.diagnosis import LONGEST, diagnose_luma, to_luma
from deblur.restoration.noise import measure_noise
from deblur.restoration.sharpness import measure_sharpness
from deblur.restoration.spectra import cut_windows
from deblur.restoration.video_selection import Chosen, Picture, choose, find_motion

PARTS, LENGTH = 8, 15
"""The number of evenly spaced parts of a long video that are looked at, and of a part's frames."""
MOST = 12
"""The most sharp frames that are kept, the sharpest ones."""
CLEAR = 0.1
"""The likelihood of blur up to which a frame is sharp beyond doubt: a slightly blurred target would
teach a network to leave blur."""
SHORTEST = 3.0
"""The shortest smear, in pixels, from which a network can learn."""

Pixels = NDArray[np.uint8]


class Survey(NamedTuple):
    """What was found in a video."""

    sharp: list[Pixels]
    """The sharpest frames that are sharp beyond doubt, in their order, (H, W, 3), as stored."""
    smears: list[Measured]
    """How far, and where to, the blurred frames are smeared where they move."""
    noise: float
    """The median standard deviation of the blurred frames' noise, in 8-bit levels."""
    seen: int
    """The number of frames that were looked at."""


def survey(source: Path) -> Survey:
    """Look at a video's frames as `--only-blurred` does; of a long one, at parts.

    Raises ValueError ("PATH: reason") for what is no video, OSError, and ImportError where PyAV is
    missing.
    """
    kept: list[tuple[float, int, Pixels]] = []
    smears: list[Measured] = []
    noises: list[float] = []
    seen = 0
    for pictures in _cut_parts(source):
        for chosen in choose(pictures):
            seen += 1
            pixels = view(chosen.picture.rgb)
            luma = to_luma(pixels)
            if chosen.blurred:
                smears.append(_measure_smear(chosen, luma))
                noises.append(measure_noise(luma))
                continue
            sharpness = measure_sharpness(cut_windows(luma))
            heapq.heappush(kept, (sharpness, seen, pixels.copy()))
            if len(kept) > MOST:
                heapq.heappop(kept)
    sharp = [
        pixels
        for _, _, pixels in sorted(kept, key=lambda one: one[1])
        if diagnose_luma(to_luma(pixels)).likelihood <= CLEAR
    ]
    smears = [one for one in smears if one.length >= SHORTEST]
    return Survey(sharp, smears, float(np.median(noises)) if noises else 0.0, seen)


def _measure_smear(chosen: Chosen, luma: Pixels) -> Measured:
    """Measure a blurred frame where it moves."""
    rows, columns = find_motion(luma, [to_luma(other) for other in chosen.beside])
    with torch.inference_mode():
        windows = cut_windows(np.ascontiguousarray(luma[rows, columns]))
        said = load_classifier()(measure_features(windows))
    return Measured(min(LONGEST, float(said.lengths[0])), float(said.directions[0]))


def _cut_parts(source: Path) -> Iterator[Iterator[Picture]]:
    """Yield the consecutive pictures of parts of a video; of a short one all, as a single part."""
    with open_video(source) as (container, video):
        rate = float(video.average_rate or 0)
        frames = video.frames or (container.duration or 0) / 1e6 * rate
        parts = _Parts(container, video)
        yield parts.decode(PARTS * LENGTH if frames <= PARTS * LENGTH else LENGTH)
        if frames <= PARTS * LENGTH:
            return
        for part in range(1, PARTS if container.duration else 1):
            start = (container.start_time or 0) + container.duration * part // PARTS
            with suppress(import_av().FFmpegError):
                container.seek(start)
                yield parts.decode(LENGTH, start / 1e6)


class _Parts:
    """Decodes parts of a video, none of whose frames is in two of them."""

    def __init__(self, container: Any, video: Any) -> None:
        self.container, self.video = container, video
        self.last = -math.inf

    def decode(self, count: int, start: float = -math.inf) -> Iterator[Picture]:
        """Decode frames from a time on, in seconds, up to a count, or to where the file is broken.

        A seek ends at a key frame, which may lie before that time and before parts already decoded.
        """
        colours = Colours()

        def is_passed(frame: Any) -> bool:
            time = _find_time(frame)
            return time is not None and (time < start or time <= self.last)

        with suppress(import_av().FFmpegError):
            frames = dropwhile(is_passed, self.container.decode(self.video))
            for frame in islice(frames, count):
                time = _find_time(frame)
                self.last = self.last if time is None else time
                yield Picture(frame, colours.to_rgb(frame, "rgb24"))


def _find_time(frame: Any) -> float | None:
    """Return a frame's time in seconds; None where the file does not say."""
    stamp = frame.dts if frame.pts is None else frame.pts
    return None if stamp is None else float(stamp * frame.time_base)
