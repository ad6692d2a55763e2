"""The protocols `li-2024-squash` and `li-2024-crop`."""

import torch

from deblur.metrics.comparison import Comparison, Scores
from deblur.pair import decode


def li_2024(pair: Comparison) -> Scores:
    """Score 8-bit images of 256x256 pixels, also by the faulty PSNR that Li may have printed.

    psnr, ssim: as in `wang-rgb`, in dB in [0, inf] and in [-1, 1].
    psnr_overflowed: in dB, from the difference squared in 8 bits, where numpy overflows (modulo
    256). It is never below 24.07 dB and hardly varies: images of 21 dB get 29. Li's 29.16 dB with
    an SSIM of 0.746 suggests it; docs/errata.md tests that.

    Frames are reduced to 256x256 by squashing or by centre crops (see `deblur.metrics.views`),
    since "segmenting" in the paper allows both.

    Source: Li, "Generative Adversarial Network on Motion-Blur Image Restoration", arXiv
    2412.19479; deblur-gan (R. Meudec), whose network Li uses, squashes. Used by those two.
    """
    wrapped = decode(pair.restored) - decode(pair.sharp)
    error = (wrapped * wrapped).to(pair.dtype).mean((1, 2, 3))
    overflowed = (-10 * (error / 255**2).log10()).masked_fill_(pair.broken.flatten(), torch.nan)
    return {"psnr": pair.psnr, "psnr_overflowed": overflowed, "ssim": pair.structure.wang}
