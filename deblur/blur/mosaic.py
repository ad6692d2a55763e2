"""The colour filter of a sensor, and demosaicing.

The interpolation is that of Malvar, He and Cutler, "High-quality linear interpolation for
demosaicing of Bayer-patterned color images" (ICASSP 2004): bilinear, corrected by the gradient of
the measured colour.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Figure 2 of the article, times 16: green at red or blue pixels; red or blue at green pixels in
# their own row, and column; red at blue or blue at red pixels.
_GREEN = [[0, 0, -2, 0, 0], [0, 0, 4, 0, 0], [-2, 4, 8, 4, -2], [0, 0, 4, 0, 0], [0, 0, -2, 0, 0]]
_ROW = [[0, 0, 1, 0, 0], [0, -2, 0, -2, 0], [-2, 8, 10, 8, -2], [0, -2, 0, -2, 0], [0, 0, 1, 0, 0]]
_CROSS = [[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3], [0, 4, 0, 4, 0], [0, 0, -3, 0, 0]]
_SEEN = F.pad(torch.ones(1, 1), (2, 2, 2, 2))
_WAYS = torch.stack(
    [_SEEN] + [torch.tensor(way) / 16 for way in (_GREEN, _ROW, list(zip(*_ROW)), _CROSS)]
)
SEEN, GREEN, ROW, COLUMN, CROSS = range(5)
# By colour, and by the pixel's place in a 2x2 square of the filter: red green / green blue.
_PLACES = {
    0: [[SEEN, ROW], [COLUMN, CROSS]],
    1: [[GREEN, SEEN], [SEEN, GREEN]],
    2: [[CROSS, COLUMN], [ROW, SEEN]],
}


def mosaic(light: Tensor) -> Tensor:
    """Filter (3, H, W) by an RGGB pattern: (H, W), one colour per pixel."""
    raw = light[1].clone()
    raw[::2, ::2] = light[0, ::2, ::2]
    raw[1::2, 1::2] = light[2, 1::2, 1::2]
    return raw


def demosaic(raw: Tensor) -> Tensor:
    """Interpolate the two missing colours of each pixel of an RGGB picture (H, W): (3, H, W)."""
    height, width = raw.shape
    # Reflecting about the outermost pixels keeps the filter's pattern.
    around = F.pad(raw[None, None], (2, 2, 2, 2), mode="reflect")
    ways = F.conv2d(around, _WAYS[:, None].to(raw))[0]
    light = raw.new_empty(3, height, width)
    for colour, places in _PLACES.items():
        for row in (0, 1):
            for column in (0, 1):
                part = (slice(row, None, 2), slice(column, None, 2))
                light[colour][part] = ways[places[row][column]][part]
    return light
