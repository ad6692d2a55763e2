"""The protocol `gopro-gamma`."""

from deblur.metrics.comparison import Comparison, Scores
from deblur.metrics.wang import wang_rgb


def gopro_gamma(pair: Comparison) -> Scores:
    """Score as `wang-rgb` does, what was restored from GoPro's folder blur_gamma.

    psnr, ssim: those of `wang-rgb`, in dB in [0, inf] and in [-1, 1]. The blurred pictures make the
    difference: averages of light by a gamma of 2.2 instead of averages of pixels. A network of one
    scores some 3 dB lower on the other (SRN: 30.19 and 27.34 dB).

    Source: Nah et al., "Deep Multi-scale Convolutional Neural Network for Dynamic Scene
    Deblurring", CVPR 2017, who call blur_gamma the data. Used by DeepDeblur and
    DeepDeblur-PyTorch; nearly everybody after SRN takes the other folder.
    """
    return wang_rgb(pair)
