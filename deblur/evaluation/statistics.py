"""Summary statistics of a figure over all pictures."""

from collections.abc import Sequence

import numpy as np

Summary = dict[str, float]
"""highest, lowest, mean, median, scene_mean and the interval's ends, low and high."""

NORMAL = 1.959964
"""The normal distribution's 97.5% quantile."""
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's, for 1 to 9 degrees of freedom."""


def summarize(values: Sequence[float], scenes: Sequence[str]) -> Summary:
    """Summarize a figure's per-image values, with the scene of each image.

    scene_mean is the mean over scenes of their means. low and high are the ends of the mean's 95%
    interval; they are absent for one scene. Its standard error is that of scenes, not of images,
    since a scene's images are alike (cluster-robust), and Student's distribution has a degree of
    freedom less than there are scenes: the interval of two scenes is very wide.
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
        spread = np.square(sums - counts * summary["mean"]).sum() ** 0.5 / len(array)
        error = spread * (len(kinds) / (len(kinds) - 1)) ** 0.5
        half = find_quantile(len(kinds) - 1) * error
        summary["low"], summary["high"] = summary["mean"] - half, summary["mean"] + half
    return {name: float(value) for name, value in summary.items()}


def find_quantile(freedom: int) -> float:
    """Return the 97.5% quantile of Student's distribution, to within 0.001.

    freedom: its degrees, at least 1; from 10 on the expansion 26.7.5 of Abramowitz and Stegun.
    """
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z = NORMAL
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    quantile: float = z + sum(term / freedom**power for power, term in enumerate(terms, 1))
    return quantile


def pool(psnr: Sequence[float], pixels: Sequence[int]) -> float:
    """Return the PSNR of the mean squared error over all images, in dB.

    psnr: per-image values in dB. pixels: the number of pixels of each image. A bad image counts
    more than in the mean of per-image values, so that the pooled figure is lower: by half a dB on
    GoPro. It is what torchmetrics' PeakSignalNoiseRatio computes by default.
    """
    errors = 10 ** (-np.asarray(psnr, np.float64) / 10)
    with np.errstate(divide="ignore"):
        return float(-10 * np.log10(np.average(errors, weights=pixels)))
