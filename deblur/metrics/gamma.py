"""The protocol `gopro-gamma`."""

from deblur.metrics.comparison import Comparison, Scores
from deblur.metrics.wang import wang_rgb


def gopro_gamma(pair: Comparison) -> Scores:
    """Score as `wang-rgb` does, on pictures restored from GoPro's folder blur_gamma.

    psnr, ssim: as in `wang-rgb`, in dB in [0, inf] and in [-1, 1]. Only the blurred pictures
    differ: they are averages of light, by a gamma of 2.2, instead of averages of pixels. A network
    trained on one folder scores some 3 dB lower on the other (SRN: 30.19 and 27.34 dB).

    Source: Nah et al., "Deep Multi-scale Convolutional Neural Network for Dynamic Scene
    Deblurring", CVPR 2017, whose data are blur_gamma. Used by DeepDeblur and DeepDeblur-PyTorch;
    nearly all work since SRN uses the other folder.
    """
    return wang_rgb(pair)
