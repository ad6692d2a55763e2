"""Blur from consecutive frames by averaging, as GoPro was made (Nah et al., CVPR 2017).

Frames are used as they are. Other projects interpolate frames to reduce the motion between them;
this is left out on purpose, since interpolation errors would become part of the blur.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deblur.blur.light import to_light, to_pixels
from deblur.media.images import Pixels

CURVES = {"none": "blur", "gamma": "blur_gamma", "srgb": "blur_srgb"}
"""The camera's curve that is inverted before averaging: the folder of the blurred pictures.

"none" averages the pixels as they are, "gamma" their power 2.2 (both are GoPro's), and "srgb"
linear light by the sRGB curve (IEC 61966-2-1)."""

TILE = 32
STRIDE = 16
"""The side of a tile and the distance to the next one, in pixels at half size."""
REACH = 16
"""The largest motion that can be found, along x and y, in pixels at half size."""
TEXTURE = 4.0
"""Least mean squared slope of a tile along its flattest direction, in (grey levels per pixel)^2."""

_LUMA = torch.tensor([0.299, 0.587, 0.114])
_HALF = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
_TO_GREY = _LUMA[:, None, None] * torch.outer(_HALF, _HALF)
# The picture is smoothed as much as its slopes: only then do the slopes predict differences.
_SMOOTH, _SLOPE = torch.tensor([1.0, 4.0, 1.0]) / 6, torch.tensor([-1.0, 0.0, 1.0]) / 2
_TO_PLANES = torch.stack(
    [torch.outer(y, x) for y, x in ((_SMOOTH, _SMOOTH), (_SMOOTH, _SLOPE), (_SLOPE, _SMOOTH))]
)


def average(frames: Sequence[Pixels], curve: str) -> Pixels:
    """Return the rounded mean of an odd number of frames; curve: one of `CURVES`."""
    if curve == "srgb":
        light = sum((to_light(torch.from_numpy(frame)) for frame in frames), torch.zeros(()))
        return np.asarray(to_pixels(light / len(frames)))
    power = {"none": 1.0, "gamma": 2.2}[curve]
    table = np.arange(256, dtype=np.float32) ** power
    total = np.zeros(frames[0].shape, np.float32)
    for frame in frames:
        total += table[frame]
    return np.asarray(((total / len(frames)) ** (1 / power)).round(), np.uint8)


def motion(frames: Sequence[Pixels]) -> float:
    """Return the largest motion between two consecutive frames, in pixels.

    The motion between two frames is the 99th percentile over the tiles of `flow`; it is 0 if no
    tile has texture.
    """
    planes = [to_planes(frame) for frame in frames]
    steps = [flow(*pair).norm(dim=1) for pair in zip(planes, planes[1:])]
    return max(float(step.quantile(0.99)) if len(step) else 0.0 for step in steps)


def to_planes(frame: Pixels) -> Tensor:
    """Return a frame's luma at half size, 0 to 255, and its slopes along x and y: (3, h, w)."""
    height, width = frame.shape[:2]
    side = 2 * (TILE + 2 * REACH + 2)
    if min(height, width) < side:
        raise ValueError(f"frames are {width}x{height}, expected at least {side} pixels a side")
    colours = torch.from_numpy(frame).permute(2, 0, 1).float()
    grey = F.conv2d(colours[None], _TO_GREY[None], stride=2, padding=1)
    return F.conv2d(grey, _TO_PLANES[:, None])[0]


def flow(before: Tensor, after: Tensor) -> Tensor:
    """Measure the motion of the tiles with texture: (T, 2), x and y in pixels of the frame.

    before, after: two frames as `to_planes` returns them. Tiles have 64 frame pixels a side,
    overlap by half and leave out the outermost 34 pixels, since each is searched for in the other
    frame up to 32 pixels away along x and y. The best match is found to whole pixels by the squared
    difference, then to fractions by the equation of Lucas and Kanade (IJCAI 1981).
    """
    height, width = before.shape[1:]
    inner = before[:, REACH : height - REACH, REACH : width - REACH]
    tiles = inner.unfold(1, TILE, STRIDE).unfold(2, TILE, STRIDE)
    rows, columns = (_flattest(tiles) > TEXTURE).nonzero().unbind(1)
    if not len(rows):  # some builds of torch (2.14.1 with MKL) cannot transform zero tiles
        return torch.zeros(0, 2)
    grey = after[0] - after[0].mean()
    spread = _box(grey**2) - _box(grey) ** 2
    side = TILE + 2 * REACH
    windows = grey.unfold(0, side, STRIDE).unfold(1, side, STRIDE)
    spreads = spread.unfold(0, 2 * REACH + 1, STRIDE).unfold(1, 2 * REACH + 1, STRIDE)
    offsets = torch.arange(TILE)
    found = []
    # A few tiles at a time fit into the processor's cache.
    for row, column in zip(torch.split(rows, 64), torch.split(columns, 64)):
        own = tiles[:, row, column]
        y, x = _match(own[0], windows[row, column], spreads[row, column])
        down = (STRIDE * row + y)[:, None] + offsets
        right = (STRIDE * column + x)[:, None] + offsets
        rest = _refine(own, after[:, down[:, :, None], right[:, None, :]])
        found.append(torch.stack([x, y], 1) - REACH + rest)
    return 2 * torch.cat(found)


def _match(tiles: Tensor, windows: Tensor, spreads: Tensor) -> tuple[Tensor, Tensor]:
    """Find tiles (N, T, T) in windows (N, S, S); return y and x of the best matches' corners.

    spreads: the variance of each T x T part of the windows, (N, S - T + 1, S - T + 1).
    """
    tiles = tiles - tiles.mean((1, 2), keepdim=True)
    size, count = windows.shape[-2:], spreads.shape[-1]
    spectrum = torch.fft.rfft2(windows) * torch.fft.rfft2(tiles, s=size).conj()
    products = torch.fft.irfft2(spectrum, s=size)[:, :count, :count]
    # The squared difference without brightness, and without the term that all parts share.
    difference = spreads - 2 * products / TILE**2
    # Along an edge all parts match equally: prefer the nearest within one squared grey level.
    away = torch.arange(count) - float(count // 2)
    difference += torch.hypot(away[:, None], away) / REACH
    best = difference.flatten(1).argmin(1)
    return best // count, best % count


def _refine(before: Tensor, after: Tensor) -> Tensor:
    """Return the sub-pixel motion between planes of tiles, (3, N, T, T), that almost match."""
    grey, x, y = (before + after) / 2
    change = before[0] - after[0]
    change = change - change.mean((1, 2), keepdim=True)
    xx, yy, xy = _mean(x * x), _mean(y * y), _mean(x * y)
    right, down = _mean(x * change), _mean(y * change)
    rest = torch.stack([yy * right - xy * down, xx * down - xy * right], 1)
    return (rest / (xx * yy - xy**2).clamp(min=1e-6)[:, None]).clamp(-1, 1)


def _flattest(tiles: Tensor) -> Tensor:
    """Return the mean squared slope along the flattest direction of planes (3, ..., T, T)."""
    xx, yy, xy = _mean(tiles[1] ** 2), _mean(tiles[2] ** 2), _mean(tiles[1] * tiles[2])
    return (xx + yy) / 2 - torch.hypot((xx - yy) / 2, xy)


def _mean(tiles: Tensor) -> Tensor:
    return tiles.mean((-2, -1))


def _box(grey: Tensor) -> Tensor:
    """Average each TILE x TILE part of (h, w)."""
    return F.avg_pool2d(F.avg_pool2d(grey[None], (TILE, 1), 1), (1, TILE), 1)[0]
