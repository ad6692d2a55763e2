"""The protocol `float-rgb`."""

import torch

from deblur.metrics.comparison import Comparison, Scores, psnr
from deblur.metrics.ssim import structure


def float_rgb(pair: Comparison) -> Scores:
    """Score RGB images before they are rounded to 8 bits; values are clamped to the range.

    psnr: in dB over the three channels together, in [0, inf]. Rounding would cost 0.006 dB at
    30 dB, and 0.055 at 40. Pictures from files are rounded already.
    ssim: as in `wang-rgb`.

    Source: eval.py of MIMO-UNet's authors. Used by MIMO-UNet, SFNet and DeepRFT.
    """
    restored, truth = (
        (image.to(pair.dtype).clamp(-1, 1) + 1) / 2 for image in (pair.restored, pair.sharp)
    )
    restored.masked_fill_(pair.broken, torch.nan)
    return {"psnr": psnr(restored, truth), "ssim": structure(restored, truth).wang}
