"""SSIM (Wang et al., IEEE TIP 2004) in the two forms that papers report without distinction.

Both use a Gaussian window of 11 pixels and sigma 1.5, with population variances and the constants
(0.01 L)^2 and (0.03 L)^2, L = 1. The window covers a single channel, or a volume of height, width
and channels, as in MATLAB's `ssim` of an RGB image. In a volume the differences between the
channels count as variance. Blur hardly changes those, so that this form is higher, by 0.1 to 0.15.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 11
SIGMA = 1.5
RADIUS = SIZE // 2
C1, C2 = 0.01**2, 0.03**2
STRIP = 16
"""Rows, and columns, that are blurred at a time, so that the results stay in the cache."""


class Structure(NamedTuple):
    """The SSIM of N images, each form (N,), in [-1, 1]."""

    wang: Tensor
    """The window covers one channel; the mean over the places where it fits into the image."""
    matlab: Tensor
    """The window covers a volume; the mean over all places, with the border pixels replicated."""


def structure(restored: Tensor, truth: Tensor, mask: Tensor | None = None) -> Structure:
    """Return both SSIMs of images (N, 3, H, W) in [0, 1], in the images' own precision.

    mask: (N, 1, H, W), the weight of each place in the mean; None for equal weights. Raises
    ValueError if a side is smaller than the window.
    """
    if min(truth.shape[-2:]) < SIZE:
        raise ValueError(f"SSIM requires {SIZE} or more pixels a side, got {tuple(truth.shape)}")
    weights = torch.ones_like(truth[:, :1]) if mask is None else mask
    with torch.autocast(truth.device.type, enabled=False):
        both = [_structure(*images) for images in zip(restored, truth, weights)]
    return Structure(*(torch.stack(values) for values in zip(*both)))


def window() -> Tensor:
    """Return the window's profile: (11,), float64, with sum 1."""
    steps = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64)
    weights = torch.exp(-steps.square() / (2 * SIGMA**2))
    return weights / weights.sum()


def channel_mix() -> Tensor:
    """Return the volume window's pass along the channels as a matrix: (3, 3), float64.

    The outer two of the three channels are replicated outside.
    """
    weights = window()
    reach = torch.arange(-RADIUS, RADIUS + 1)
    rows = [
        [weights[(reach + row).clamp(0, 2) == column].sum() for column in range(3)]
        for row in range(3)
    ]
    return torch.tensor(rows, dtype=torch.float64)


def _structure(x: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return both SSIMs of a pair of images (3, H, W), computed in strips of rows."""
    height, width = x.shape[1:]
    down = _band().to(x)
    across, mix = down.T.contiguous(), channel_mix().to(x)
    right = RADIUS + -width % STRIP
    middle = slice(RADIUS, -RADIUS)
    x, y = (F.pad(image - 0.5, (RADIUS, right, RADIUS, RADIUS), "replicate") for image in (x, y))
    wang, matlab = x.new_zeros(2)
    for top in range(0, height, STRIP):
        rows = min(STRIP, height - top)
        a, b = (image[:, top : top + rows + 2 * RADIUS] for image in (x, y))
        moments = down[:rows, : rows + 2 * RADIUS] @ torch.stack([a, b, a * a + b * b, a * b])
        tiles = moments.unfold(-1, STRIP + 2 * RADIUS, STRIP)
        moments = (tiles @ across).flatten(-2)[..., :width]
        weigh = weights[:, top : top + rows]
        inside = (..., slice(max(RADIUS - top, 0), max(height - RADIUS - top, 0)), middle)
        wang += (_ssim(moments[inside]) * weigh[inside]).sum()
        matlab += (_ssim((mix @ moments.flatten(2)).view_as(moments)) * weigh).sum()
    fitting = weights[:, RADIUS:-RADIUS, middle].sum()
    return wang / (3 * fitting), matlab / (3 * weights.sum())


def _band() -> Tensor:
    """Return the window's pass along STRIP places as a matrix: (STRIP, STRIP + 10)."""
    band = torch.zeros(STRIP, STRIP + 2 * RADIUS, dtype=torch.float64)
    for step, weight in enumerate(window()):
        band.diagonal(step).fill_(weight)
    return band


def _ssim(moments: Tensor) -> Tensor:
    """Return the SSIM of each place from blurred x - 1/2, y - 1/2, x^2 + y^2 and xy of those.

    Subtracting the half does not change the variances, and reduces their rounding in float32.
    """
    x, y, energy, product = moments
    covariance = product - x * y
    variances = energy - (x * x).add_(y * y)
    x, y = x + 0.5, y + 0.5
    above = covariance.mul_(2).add_(C2).mul_((x * y).mul_(2).add_(C1))
    similar: Tensor = above.div_(variances.add_(C2).mul_((x * x).add_(y * y).add_(C1)))
    return similar
