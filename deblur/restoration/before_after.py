"""A sheet that shows a picture's file before and after it was restored."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur.media.formats.frame import fit
from deblur.media.image_grid import sheet
from deblur.media.photo import open_photo
from deblur.media.video import VideoFrames

SAMPLE = 8
"""The distance, in pixels, between those by which frames of a video are compared."""


def write_sheet(path: Path, before: Path, after: Path) -> None:
    """Write two pictures of any format side by side; of several frames or pages the first is shown.

    Raises ValueError ("PATH: reason") for what is no picture, and OSError with the path.
    """
    sheet(path, [{"before": _read(before), "after": _read(after)}])


def write_video_sheet(path: Path, before: Path, after: Path) -> None:
    """Write the frame of a video that was changed the most, before and after, side by side.

    Raises ValueError ("PATH: reason") for what is no video, and OSError with the path.
    """
    most, pair = -1.0, None
    for old, new in zip(VideoFrames(before), VideoFrames(after)):
        if old.shape != new.shape:
            continue
        apart = old[::SAMPLE, ::SAMPLE].astype(np.int16) - new[::SAMPLE, ::SAMPLE]
        if (change := float(np.abs(apart).mean())) > most:
            most, pair = change, (old, new)
    if pair is None:
        raise ValueError(f"{after}: has no frame to compare with {before}")
    sheet(path, [dict(zip(("before", "after"), map(_to_tensor, pair)))])


def _to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _read(path: Path) -> Tensor:
    """Read a picture's first frame as it is seen on white, uint8 (3, H, W)."""
    frame = next(open_photo(path).frames())
    seen = fit(frame, "the sheet", lambda note: None, alpha=False, deep=False)
    return _to_tensor(seen.pixels).expand(3, -1, -1)
