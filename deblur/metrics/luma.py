"""The protocol `y`."""

import torch
from torch import Tensor

from deblur.metrics.comparison import Comparison, Scores, psnr
from deblur.metrics.ssim import structure

WEIGHTS = (65.481, 128.553, 24.966)


def y(pair: Comparison) -> Scores:
    """Score only the luma of 8-bit RGB images.

    The luma is BT.601's, from 16 (black) to 235 (white), not rounded; the range is taken as 255.

    psnr: in dB, in [0, inf]; 1 to 2 dB above that of `wang-rgb`, since the luma spans 219 levels
    only and errors of colour do not count.
    ssim: as in `wang-rgb`, of the luma.

    Source: ITU-R BT.601. Used for super-resolution and deraining, and by MMagic for RealBlur.
    """
    restored, truth = luma(pair.seen), luma(pair.truth)
    local = structure(restored.expand(-1, 3, -1, -1), truth.expand(-1, 3, -1, -1))
    return {"psnr": psnr(restored, truth), "ssim": local.wang}


def luma(image: Tensor) -> Tensor:
    """Convert RGB (N, 3, H, W) in [0, 1] to BT.601's studio luma over 255, (N, 1, H, W)."""
    weights = torch.tensor(WEIGHTS, dtype=image.dtype, device=image.device).view(3, 1, 1)
    return ((image * weights).sum(1, keepdim=True) + 16) / 255
