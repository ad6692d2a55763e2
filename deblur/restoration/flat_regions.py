"""Flat parts of a picture: where nothing varies there is nothing to restore, so nothing changes.

A network may shift flat patches by a level, and saturated ones by many, above all at a picture's
rim. Blur spreads every edge into a slope, so the parts that lie between a blurred edge's sides
are never flat, and whatever a network restores there stays.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 8
"""The side of a cell, in pixels; the range of values is that of squares of three by three cells."""
NOTHING, SOMETHING = 2 / 255, 6 / 255
"""The ranges, relative to black to white, up to which a square is flat and from which it is not."""
STRIP = 64 * CELL
"""The number of rows processed at a time."""
Choice = Callable[[Tensor, Tensor], Tensor]
"""Chooses from two tensors, value by value."""


@torch.inference_mode()
def find_detail(image: Tensor, low: float, high: float) -> Tensor | None:
    """Find where a picture (C, H, W), whose black is low and white high, has detail.

    Returns a share, 0 to 1, for each row of cells and each column of pixels: (H / 8, W). It is 1
    up to 4 pixels or more around any detail or NaN, and 0 beyond 36; None where it is 1 everywhere.
    """
    greatest, least = _pool(image, torch.maximum), _pool(image, torch.minimum)
    spread = F.max_pool2d(greatest, 3, 1, 1) + F.max_pool2d(-least, 3, 1, 1)
    spread = spread.amax(0, keepdim=True) / (high - low)
    share = ((spread - NOTHING) / (SOMETHING - NOTHING)).clamp(0, 1).nan_to_num(1.0)
    share = F.avg_pool2d(F.max_pool2d(share, 3, 1, 1), 3, 1, 1, count_include_pad=False)
    if bool((share == 1).all()):
        return None
    wide = F.interpolate(share[None], scale_factor=(1, CELL), mode="bilinear")
    return wide[0, 0, :, : image.shape[2]]


def keep_flat(blur: Tensor, restored: Tensor, detail: Tensor, rows: slice) -> Tensor:
    """Return rows of a restored picture with those of the blurred one where that has no detail.

    blur, restored: (1 or 3, h, W), of these rows. detail: of the whole picture, so that the result
    does not depend on how it was cut into bands and tiles.
    """
    place = ((torch.arange(rows.start, rows.stop) + 0.5) / CELL - 0.5).clamp(0, len(detail) - 1)
    above = place.long()
    below = (above + 1).clamp(max=len(detail) - 1)
    share = detail[above].lerp(detail[below], (place - above)[:, None])
    return blur.lerp(restored, share)


def _pool(image: Tensor, choose: Choice) -> Tensor:
    """Return what is chosen of each cell: (C, H / 8, W / 8), on the CPU."""
    cells = []
    for top in range(0, image.shape[1], STRIP):
        strip = image[:, top : top + STRIP]
        strip = strip.float() if strip.dtype == torch.uint16 else strip  # torch cannot choose there
        cells.append(_reduce(_reduce(strip, 1, choose), 2, choose).float().cpu())
    return torch.cat(cells, 1)


def _reduce(image: Tensor, axis: int, choose: Choice) -> Tensor:
    """Choose one of each CELL along an axis; far faster than pooling, which copies first."""
    lines = [slice(None)] * axis
    chosen = image[*lines, ::CELL].clone()
    for start in range(1, min(CELL, image.shape[axis])):
        others = image[*lines, start::CELL]
        part = chosen.narrow(axis, 0, others.shape[axis])
        part.copy_(choose(part, others))
    return chosen
