"""The protocols `li-2024-squash` and `li-2024-crop`."""

import torch

from deblur.metrics.comparison import Comparison, Scores
from deblur.pair import decode


def li_2024(pair: Comparison) -> Scores:
    """Score 8-bit images of 256x256 pixels, with the PSNR that Li may have printed beside the true.

    psnr, ssim: those of `wang-rgb`, in dB in [0, inf] and in [-1, 1].
    psnr_overflowed: in dB, from the difference squared in 8 bits, where numpy wraps it to its
    remainder by 256. It is never below 24.07 dB and is nearly flat: images of 21 dB read 29. Li's
    29.16 dB beside an SSIM of 0.746 looks like it; docs/errata.md puts that to the test.

    The frames become 256x256 by squashing or as centre crops (see `deblur.metrics.views`), for
    "segmenting" in the paper allows both.

    Source: Li, "Generative Adversarial Network on Motion-Blur Image Restoration", arXiv
    2412.19479; deblur-gan (R. Meudec), whose network it is, squashes. Used by those two.
    """
    wrapped = decode(pair.restored) - decode(pair.sharp)
    error = (wrapped * wrapped).to(pair.dtype).mean((1, 2, 3))
    overflowed = (-10 * (error / 255**2).log10()).masked_fill_(pair.broken.flatten(), torch.nan)
    return {"psnr": pair.psnr, "psnr_overflowed": overflowed, "ssim": pair.structure.wang}
