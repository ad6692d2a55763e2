"""The protocol `kohler`."""

import math

import torch

from deblur.media.registration import offset
from deblur.metrics.alignment import match_gain, shift
from deblur.metrics.comparison import Comparison, Scores, psnr
from deblur.metrics.ssim import SIZE, structure
from deblur.pair import decode


def kohler(pair: Comparison) -> Scores:
    """Score one 8-bit RGB image against each sharp frame of its exposure; the best counts.

    The camera's poses were photographed one after the other, some 199 for each blurred picture, and
    each of them is a correct answer. The restored image is aligned with each (to fractions of a
    pixel), multiplied by the factor that fits best, and compared where the two overlap.

    psnr: the highest, in dB over the three channels together, in [0, inf].
    ssim: the highest, as in `wang-rgb`, in [-1, 1].

    Source: Köhler et al., "Recording and Playback of Camera Shake: Benchmarking Blind
    Deconvolution with a Real-World Database", ECCV 2012. Used by DeepDeblur, DeblurGAN,
    DeblurGAN-v2 and SRN. Raises ValueError if there is only a single sharp frame.
    """
    if pair.poses is None or len(pair.seen) != 1:
        raise ValueError(
            "the protocol kohler requires all ground truths: "
            "type data=kohler, or let deblur score find them in the unpacked set"
        )
    if pair.broken.any():
        return {name: pair.seen.new_full((1,), torch.nan) for name in ("psnr", "ssim")}
    seen = pair.seen
    pixels = decode(pair.restored)[0].permute(1, 2, 0).cpu().numpy()
    scores = []
    for pose in pair.poses:
        levels = decode(pose)
        down, right = offset(pixels, levels[0].permute(1, 2, 0).cpu().numpy())
        margin = math.ceil(max(abs(down), abs(right))) + 2
        if 2 * margin + SIZE > min(seen.shape[-2:]):  # the offset is wrong: hardly any overlap
            down, right, margin = 0.0, 0.0, 2
        inside = (..., slice(margin, -margin), slice(margin, -margin))
        truth = levels[inside].to(seen) / 255
        moved = match_gain(shift(seen, -down, -right)[inside], truth).clamp_(0, 1)
        scores.append(torch.stack([psnr(moved, truth), structure(moved, truth).wang]))
    best = torch.stack(scores).amax(0)
    return {"psnr": best[0], "ssim": best[1]}
