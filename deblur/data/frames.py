"""Blur from consecutive frames by averaging, as GoPro was made (Nah et al., CVPR 2017).

Frames are used as they are. Inventing more of them in between, by which other projects lower the
motion from frame to frame, is left out on purpose: its mistakes would be part of the blur.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deblur.blur.light import to_light, to_pixels
from deblur.media.images import Pixels

CURVES = {"none": "blur", "gamma": "blur_gamma", "srgb": "blur_srgb"}
"""The camera's curve that is undone before averaging, and the folder of the blurred pictures.

With none the pixels are averaged as they are, with gamma their power 2.2 (both are GoPro's), with
srgb light by the sRGB curve (IEC 61966-2-1)."""

TILE = 32
STRIDE = 16
"""The side of a tile and the way to the next, in pixels of half the size."""
REACH = 16
"""The largest motion that is looked for, along x and y, in pixels of half the size."""
TEXTURE = 4.0
"""The mean squared slope that a tile needs in its flattest direction: (grey levels a pixel)^2."""

_LUMA = torch.tensor([0.299, 0.587, 0.114])
_HALF = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
_TO_GREY = _LUMA[:, None, None] * torch.outer(_HALF, _HALF)
# The picture is smoothed as much as its slopes are: only then do differences follow from them.
_SMOOTH, _SLOPE = torch.tensor([1.0, 4.0, 1.0]) / 6, torch.tensor([-1.0, 0.0, 1.0]) / 2
_TO_PLANES = torch.stack(
    [torch.outer(y, x) for y, x in ((_SMOOTH, _SMOOTH), (_SMOOTH, _SLOPE), (_SLOPE, _SMOOTH))]
)


def average(frames: Sequence[Pixels], curve: str) -> Pixels:
    """Give the mean of an odd number of frames, rounded; curve: one of `CURVES`."""
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
    """Give how far things move from one frame to the next, in pixels: the largest of the steps.

    A step is the 99th percentile over the tiles of `flow`, 0 where none has texture.
    """
    planes = [to_planes(frame) for frame in frames]
    steps = [flow(*pair).norm(dim=1) for pair in zip(planes, planes[1:])]
    return max(float(step.quantile(0.99)) if len(step) else 0.0 for step in steps)


def to_planes(frame: Pixels) -> Tensor:
    """Give a frame's luma at half the size, 0 to 255, and its slopes along x and y: (3, h, w)."""
    height, width = frame.shape[:2]
    side = 2 * (TILE + 2 * REACH + 2)
    if min(height, width) < side:
        raise ValueError(f"frames are {width}x{height}, expected {side} or more pixels a side")
    colours = torch.from_numpy(frame).permute(2, 0, 1).float()
    grey = F.conv2d(colours[None], _TO_GREY[None], stride=2, padding=1)
    return F.conv2d(grey, _TO_PLANES[:, None])[0]


def flow(before: Tensor, after: Tensor) -> Tensor:
    """Measure the motion of the tiles with texture: (T, 2), x and y in pixels of the frame.

    before, after: two frames as `to_planes` gives them. Tiles are 64 pixels of the frame a side,
    overlap by half and leave out its outermost 34 pixels, for each is looked for in the other frame
    up to 32 pixels away along x and y. Where it matches best is found to whole pixels by the
    squared difference, then to parts of them by the equation of Lucas and Kanade (IJCAI 1981).
    """
    height, width = before.shape[1:]
    inner = before[:, REACH : height - REACH, REACH : width - REACH]
    tiles = inner.unfold(1, TILE, STRIDE).unfold(2, TILE, STRIDE)
    rows, columns = (_flattest(tiles) > TEXTURE).nonzero().unbind(1)
    if not len(rows):  # some builds of torch (2.14.1 with MKL) refuse the transform of no tiles
        return torch.zeros(0, 2)
    grey = after[0] - after[0].mean()
    spread = _box(grey**2) - _box(grey) ** 2
    side = TILE + 2 * REACH
    windows = grey.unfold(0, side, STRIDE).unfold(1, side, STRIDE)
    spreads = spread.unfold(0, 2 * REACH + 1, STRIDE).unfold(1, 2 * REACH + 1, STRIDE)
    offsets = torch.arange(TILE)
    found = []
    # A few at a time stay in the processor's cache.
    for row, column in zip(torch.split(rows, 64), torch.split(columns, 64)):
        own = tiles[:, row, column]
        y, x = _match(own[0], windows[row, column], spreads[row, column])
        down = (STRIDE * row + y)[:, None] + offsets
        right = (STRIDE * column + x)[:, None] + offsets
        rest = _refine(own, after[:, down[:, :, None], right[:, None, :]])
        found.append(torch.stack([x, y], 1) - REACH + rest)
    return 2 * torch.cat(found)


def _match(tiles: Tensor, windows: Tensor, spreads: Tensor) -> tuple[Tensor, Tensor]:
    """Find tiles (N, T, T) in windows (N, S, S): the y and x of the best matches' corners.

    spreads: the variance of each T x T part of the windows, (N, S - T + 1, S - T + 1).
    """
    tiles = tiles - tiles.mean((1, 2), keepdim=True)
    size, count = windows.shape[-2:], spreads.shape[-1]
    spectrum = torch.fft.rfft2(windows) * torch.fft.rfft2(tiles, s=size).conj()
    products = torch.fft.irfft2(spectrum, s=size)[:, :count, :count]
    # Brightness taken off, and less what is the same for all parts.
    difference = spreads - 2 * products / TILE**2
    # Along an edge all match alike: of those within a squared grey level the nearest is the one.
    away = torch.arange(count) - float(count // 2)
    difference += torch.hypot(away[:, None], away) / REACH
    best = difference.flatten(1).argmin(1)
    return best // count, best % count


def _refine(before: Tensor, after: Tensor) -> Tensor:
    """Give the rest of the motion between planes of tiles, (3, N, T, T), that all but match."""
    grey, x, y = (before + after) / 2
    change = before[0] - after[0]
    change = change - change.mean((1, 2), keepdim=True)
    xx, yy, xy = _mean(x * x), _mean(y * y), _mean(x * y)
    right, down = _mean(x * change), _mean(y * change)
    rest = torch.stack([yy * right - xy * down, xx * down - xy * right], 1)
    return (rest / (xx * yy - xy**2).clamp(min=1e-6)[:, None]).clamp(-1, 1)


def _flattest(tiles: Tensor) -> Tensor:
    """Give the mean squared slope in the direction where it is least, of planes (3, ..., T, T)."""
    xx, yy, xy = _mean(tiles[1] ** 2), _mean(tiles[2] ** 2), _mean(tiles[1] * tiles[2])
    return (xx + yy) / 2 - torch.hypot((xx - yy) / 2, xy)


def _mean(tiles: Tensor) -> Tensor:
    return tiles.mean((-2, -1))


def _box(grey: Tensor) -> Tensor:
    """Average each TILE x TILE part of (h, w)."""
    return F.avg_pool2d(F.avg_pool2d(grey[None], (TILE, 1), 1), (1, TILE), 1)[0]
