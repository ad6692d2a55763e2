"""Blur that is longer than a network can see, restored where it is shorter: in a smaller image.

A network that learnt blur of up to 30 pixels leaves one of 60 as it is. In the image at half its
size that blur has 30 pixels. What the network changes there is enlarged and added to the whole
image, which keeps its own detail where nothing was blurred.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Scale = Literal["auto", 1, 2, 4]
SCALES: tuple[Scale, ...] = ("auto", 1, 2, 4)
Bands = Callable[[Tensor, float, float], Iterator[tuple[slice, Tensor]]]
"""Restores (C, H, W) between a low and a high value; yields rows, and these as (C, h, W)."""
ROWS = 256
"""The number of the whole image's rows processed at a time."""
SIDE = 512
"""The side, in pixels of the whole image, of the part by which the scale is chosen."""
CONTEXT = 64
"""The width of what the network sees around that part, in pixels of each scale's image."""
SHARE = 0.85
"""The share of the greatest change at any scale; the first of 1, 2 and 4 to reach it is chosen."""
LEAST = 0.025
"""The least root mean square change, relative to black to white: a sharp picture has less."""


def shrink(image: Tensor, scale: int) -> Tensor:
    """Shrink (C, H, W) to (C, ceil(H / scale), ceil(W / scale)), float32, without aliasing."""
    size = [-(-length // scale) for length in image.shape[-2:]]
    shrunk = F.interpolate(image[None].float(), size=size, mode="bilinear", antialias=True)
    return shrunk[0]


def restore_shrunk(
    restore: Bands, image: Tensor, low: float, high: float, scale: int
) -> Iterator[tuple[slice, Tensor]]:
    """Restore (C, H, W) by a shrunk image's change; yield rows, and (C, h, W), in its dtype."""
    change = _find_change(restore, shrink(image, scale).cpu(), low, high)
    height, width = image.shape[-2:]
    wide = F.interpolate(change[None], size=(height, width), mode="bicubic")[0]
    for top in range(0, height, ROWS):
        rows = slice(top, min(top + ROWS, height))
        band = (image[:, rows].float().cpu() + wide[:, rows]).clamp_(low, high)
        band = band if image.is_floating_point() else band.round_()
        yield rows, band.to(image.dtype)


def _find_change(restore: Bands, image: Tensor, low: float, high: float) -> Tensor:
    """Return what a network changes; repeated bands (in smaller tiles) replace the earlier."""
    change = torch.empty_like(image)
    for rows, band in restore(image, low, high):
        change[:, rows] = band - image[:, rows]
    return change


def choose_scale(restore: Bands, image: Tensor, low: float, high: float) -> Literal[1, 2, 4]:
    """Choose the scale at which a network restores an image (C, H, W) best.

    The part of the image with the most detail is restored at each scale, and the changes are
    compared at a quarter of the size, where all of them can be seen: blur within the network's
    reach is changed as much at full size as at any; longer blur only at smaller sizes. Images with
    a side of less than 256 pixels are restored at full size.
    """
    if min(image.shape[-2:]) < SIDE // 2:
        return 1
    row, column = find_detailed_part(image)
    changes = {}
    for scale in (1, 2, 4):
        rim = CONTEXT * scale
        top, left = max(0, row - rim) // 4 * 4, max(0, column - rim) // 4 * 4
        part = image[:, top : row + SIDE + rim, left : column + SIDE + rim]
        change = _find_change(restore, shrink(part, scale).cpu(), low, high)
        seen = change[:, (row - top) // scale :, (column - left) // scale :]
        seen = shrink(seen[:, : SIDE // scale, : SIDE // scale], 4 // scale)
        changes[scale] = float(seen.square().mean().sqrt()) / (high - low)
    return pick_scale(changes)


def pick_scale(changes: dict[int, float]) -> Literal[1, 2, 4]:
    """Pick the scale, 1, 2 or 4, by the change at each, relative to black to white."""
    most = max(changes.values())
    enough = SHARE * most
    if most < LEAST or changes[1] >= enough:
        return 1
    return 2 if changes[2] >= enough else 4


def find_detailed_part(image: Tensor) -> tuple[int, int]:
    """Return the top and left of the part of SIDE pixels with the steepest slopes in sum."""
    grey = shrink(image.float().mean(0, keepdim=True), 8)
    slopes = grey.diff(dim=1, append=grey[:, -1:]).abs() + grey.diff(append=grey[..., -1:]).abs()
    window = [min(SIDE // 8, length) for length in slopes.shape[-2:]]
    sums = F.avg_pool2d(slopes[None], window, 1)[0, 0]
    top, left = divmod(int(sums.argmax()), sums.shape[1])
    return 8 * top, 8 * left
