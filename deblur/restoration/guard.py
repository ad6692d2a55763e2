"""Does no harm: finds where a network's output has blown up, and puts the input back there."""

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 64
"""Pixels of a side: what is judged, and put back, as one."""
NEAR = 8
"""Pixels of a side of the squares that are searched for the input's darkest and brightest."""
MARGIN = 0.25
"""How far beyond the darkest and brightest input around it a value may lie, of black to white."""
SHARE = 0.1
"""Of a cell's values: so many may lie further out, as at edges that have become sharp."""


def find_harm(blur: Tensor, restored: Tensor) -> Tensor:
    """Say which cells of a restored picture have blown up: (N, 1, rows, columns), 1 or 0.

    blur, restored: (N, 3, H, W) in [-1, 1], any size. A cell has blown up where a value is not
    finite, or where more than a tenth of its values lie far outside what the input has around
    them, in any colour: new extreme colours and ringing do, an edge that became sharp does not.
    """
    finite = restored.isfinite()
    high, low = _extreme(blur) + 2 * MARGIN, -_extreme(-blur) - 2 * MARGIN
    outside = (~finite | (restored > high) | (restored < low)).float().amax(1, keepdim=True)
    broken = (~finite).float().amax(1, keepdim=True)
    share = F.avg_pool2d(outside, CELL, ceil_mode=True, count_include_pad=False)
    return ((share > SHARE) | (F.max_pool2d(broken, CELL, ceil_mode=True) > 0)).float()


def put_back(blur: Tensor, restored: Tensor, harm: Tensor) -> Tensor:
    """Give the restored picture with the input in cells of harm, and around them a fade to it."""
    if not harm.any():
        return restored
    wide = F.max_pool2d(harm, 3, 1, 1)  # so that the fade ends before the harm begins
    cells = F.interpolate(wide, scale_factor=float(CELL), mode="bilinear", align_corners=False)
    share = torch.maximum(cells, F.interpolate(harm, scale_factor=float(CELL)))
    share = share[..., : blur.shape[-2], : blur.shape[-1]]
    return torch.where(restored.isfinite(), restored, blur).lerp(blur, share)


def _extreme(image: Tensor) -> Tensor:
    """Give the greatest value of a square and of two squares on each side of it, (N, 3, H, W)."""
    squares = F.max_pool2d(F.max_pool2d(image, NEAR, ceil_mode=True), 5, 1, 2)
    wide = F.interpolate(squares, scale_factor=float(NEAR))
    return wide[..., : image.shape[-2], : image.shape[-1]]
