"""The protocol `matlab-rgb`."""

from deblur.metrics.comparison import Comparison, Scores


def matlab_rgb(pair: Comparison) -> Scores:
    """Score 8-bit RGB images as MATLAB's psnr and ssim do.

    psnr: in dB over the three channels together, in [0, inf]; as in `wang-rgb`.
    ssim: of the image as a volume of height, width and channels, in [-1, 1], with an 11x11x11
    window and the mean over the whole image; see `deblur.metrics.ssim`.

    Source: MATLAB's ssim, where an RGB image is a volume. Used in the papers of DeepDeblur, SRN,
    MPRNet, Restormer, Stripformer, NAFNet and most since.
    """
    return {"psnr": pair.psnr, "ssim": pair.structure.matlab}
