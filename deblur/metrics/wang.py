"""The protocol `wang-rgb`."""

from deblur.metrics.comparison import Comparison, Scores


def wang_rgb(pair: Comparison) -> Scores:
    """Score 8-bit RGB images, with the SSIM of each channel separately.

    psnr: in dB over the three channels together, in [0, inf]; inf for identical images.
    ssim: the mean over the channels and the places where the window fits, in [-1, 1]; equal to
    scikit-image's structural_similarity with gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, channel_axis given.

    Source: Wang et al., "Image Quality Assessment: From Error Visibility to Structural
    Similarity", IEEE TIP 2004. Used by DeepDeblur-PyTorch, BasicSR and MMagic.
    """
    return {"psnr": pair.psnr, "ssim": pair.structure.wang}
