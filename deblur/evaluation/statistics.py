"""Summary statistics of a figure over all pictures."""

from collections.abc import Sequence

import numpy as np

Summary = dict[str, float]
"""highest, lowest, mean, median, scene_mean and the interval's ends, low and high."""

BLOCK, BLOCKS = 500, 20
"""Bootstrap samples are drawn in 20 blocks of 500, which bounds the memory."""


def summarize(values: Sequence[float], scenes: Sequence[str]) -> Summary:
    """Summarize a figure's per-image values, with the scene of each image.

    scene_mean is the mean over scenes of their means. low and high are the ends of a 95% bootstrap
    interval of the mean, from 10,000 resamples of the scenes; they are absent for one scene. Scenes
    are resampled, not images, since a scene's images are alike: that would give too narrow an
    interval.
    """
    array = np.asarray(values, np.float64)
    kinds, owner = np.unique(np.asarray(scenes), return_inverse=True)
    counts = np.bincount(owner)
    sums = np.bincount(owner, array)
    summary = {
        "highest": array.max(),
        "lowest": array.min(),
        "mean": array.mean(),
        "median": float(np.median(array)),
        "scene_mean": (sums / counts).mean(),
    }
    if len(kinds) > 1 and np.isfinite(array).all():
        rng = np.random.default_rng(0)
        draws = (rng.integers(len(kinds), size=(BLOCK, len(kinds))) for _ in range(BLOCKS))
        means = np.concatenate([sums[drawn].sum(1) / counts[drawn].sum(1) for drawn in draws])
        summary["low"], summary["high"] = np.percentile(means, [2.5, 97.5])
    return {name: float(value) for name, value in summary.items()}


def pool(psnr: Sequence[float], pixels: Sequence[int]) -> float:
    """Return the PSNR of the mean squared error over all images, in dB.

    psnr: per-image values in dB. pixels: the number of pixels of each image. A bad image counts
    more than in the mean of per-image values, so that the pooled figure is lower: by half a dB on
    GoPro. It is what torchmetrics' PeakSignalNoiseRatio computes by default.
    """
    errors = 10 ** (-np.asarray(psnr, np.float64) / 10)
    with np.errstate(divide="ignore"):
        return float(-10 * np.log10(np.average(errors, weights=pixels)))
