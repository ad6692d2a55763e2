"""Sharpness without a reference.

After Crete, Dolmiere, Ladret and Nicolas, "The blur effect: perception and estimation with a new
no-reference perceptual blur metric" (SPIE Human Vision and Electronic Imaging, 2007): blur a
picture once more, and see how much of its gradients that takes away. From a sharp picture it takes
much, from a blurred one little. Gradients are Sobel's, as in scikit-image's `blur_effect`.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SEEN = 4
"""The number of windows measured, the most detailed ones."""
WIDTH = 11
"""The width, in pixels, of the mean filter that blurs the picture once more."""
LEAST_SIDE = 4
"""The shortest side, in pixels, with gradients besides its border's."""
LEAST = 1e-9
"""The least size of a gradient, so that no sum is zero."""


def measure_sharpness(windows: Tensor) -> float:
    """Return the sharpness of a picture by its most detailed windows, (N, side, side), luma.

    One minus Crete's blur, of the sharpest window: 0 is blurred beyond the filter's width, and near
    1 no two neighbours are alike. Compare a picture with its restored self, not with others: noise
    counts as sharpness, and its removal as blur.
    """
    return 1 - float(measure_blur(windows[:SEEN]).min())


def measure_blur(pictures: Tensor) -> Tensor:
    """Return Crete's blur of pictures, (N, H, W): (N,), 0 for the sharpest, 1 for no detail at all.

    Of the two directions, horizontal and vertical, the more blurred one.
    """
    if min(pictures.shape[1:]) < LEAST_SIDE:
        return torch.ones(len(pictures))
    return torch.maximum(_measure_across(pictures), _measure_across(pictures.mT))


def _measure_across(pictures: Tensor) -> Tensor:
    """Measure horizontal blur."""
    half = WIDTH // 2
    padded = np.pad(pictures.numpy(), [(0, 0), (0, 0), (half, half)], mode="symmetric")
    smooth = F.avg_pool2d(torch.from_numpy(padded), (1, WIDTH), stride=1)
    before, after = _gradient(pictures), _gradient(smooth)
    lost = (before - after).clamp(min=0).sum((-2, -1))
    total = before.sum((-2, -1))
    return (total - lost) / total


def _gradient(pictures: Tensor) -> Tensor:
    """Return the size of Sobel's horizontal gradient, from the third to the last pixel but one."""
    kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]], dtype=pictures.dtype)
    steep = F.conv2d(pictures[:, None], kernel[None, None] / 8)[:, 0]
    return steep[..., 1:, 1:].abs().clamp(min=LEAST)
