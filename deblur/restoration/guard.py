"""Finds where a network's output has diverged, and puts the input back there."""

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 64
"""The side, in pixels, of the cells that are judged and put back."""
NEAR = 8
"""The side, in pixels, of the squares whose darkest and brightest input is found."""
MARGIN = 0.25
"""How far a value may lie beyond the input around it, relative to black to white."""
SHARE = 0.1
"""The share of a cell's values that may lie further out, as at edges that became sharp."""


def find_harm(blur: Tensor, restored: Tensor) -> Tensor:
    """Return which cells of a restored picture have diverged: (N, 1, rows, columns), 1 or 0.

    blur, restored: (N, 3, H, W) in [-1, 1], any size. A cell has diverged if a value is not finite,
    or if more than a tenth of its values lie far outside the range of the input around them, in any
    colour: new extreme colours and ringing do, an edge that became sharp does not.
    """
    finite = restored.isfinite()
    high, low = _extreme(blur) + 2 * MARGIN, -_extreme(-blur) - 2 * MARGIN
    outside = (~finite | (restored > high) | (restored < low)).float().amax(1, keepdim=True)
    broken = (~finite).float().amax(1, keepdim=True)
    share = F.avg_pool2d(outside, CELL, ceil_mode=True, count_include_pad=False)
    return ((share > SHARE) | (F.max_pool2d(broken, CELL, ceil_mode=True) > 0)).float()


def put_back(blur: Tensor, restored: Tensor, harm: Tensor) -> Tensor:
    """Return the restored picture with the input in the cells of harm, and a fade around them."""
    if not harm.any():
        return restored
    wide = F.max_pool2d(harm, 3, 1, 1)  # so that the fade ends before the harm begins
    cells = F.interpolate(wide, scale_factor=float(CELL), mode="bilinear", align_corners=False)
    share = torch.maximum(cells, F.interpolate(harm, scale_factor=float(CELL)))
    share = share[..., : blur.shape[-2], : blur.shape[-1]]
    return torch.where(restored.isfinite(), restored, blur).lerp(blur, share)


def _extreme(image: Tensor) -> Tensor:
    """Return the greatest value of a square and of two squares on each side, (N, 3, H, W)."""
    squares = F.max_pool2d(F.max_pool2d(image, NEAR, ceil_mode=True), 5, 1, 2)
    wide = F.interpolate(squares, scale_factor=float(NEAR))
    return wide[..., : image.shape[-2], : image.shape[-1]]
