"""A sheet that shows a picture's file before and after it was restored."""

from pathlib import Path

import torch
from torch import Tensor

from deblur.media.formats.frame import fit
from deblur.media.image_grid import sheet
from deblur.media.photo import open_photo


def write_sheet(path: Path, before: Path, after: Path) -> None:
    """Write two pictures of any format side by side; of several frames or pages the first is shown.

    Raises ValueError ("PATH: reason") for what is no picture, and OSError with the path.
    """
    sheet(path, [{"before": _read(before), "after": _read(after)}])


def _read(path: Path) -> Tensor:
    """Read a picture's first frame as it is seen on white, uint8 (3, H, W)."""
    with open_photo(path) as photo:
        frame = next(photo.frames())
    seen = fit(frame, "the sheet", lambda note: None, alpha=False, deep=False)
    return torch.from_numpy(seen.pixels).permute(2, 0, 1).expand(3, -1, -1)
