"""The protocol `wang-rgb`: PSNR and SSIM of 8-bit RGB images, the mean of per-image values."""

import torch
from kornia.metrics import ssim as ssim_map
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.image import peak_signal_noise_ratio

from deblur.pair import quantize

WINDOW = 11


def wang_rgb(restored: Tensor, sharp: Tensor) -> dict[str, Tensor]:
    """Score each image of a batch: {"psnr": (N,), "ssim": (N,)}.

    Takes (N, 3, H, W) in [-1, 1], both sides of 11 pixels or more; restored is rounded to 8 bits
    first, as a viewer of the saved file would see it.

    psnr: in dB over the three channels together, in [0, inf]; inf for identical images.
    ssim: Wang et al. (IEEE TIP 2004): a Gaussian window of 11x11, sigma 1.5, the valid region
    only, the mean over channels, in [-1, 1]. Equal to scikit-image's structural_similarity with
    gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis given.
    """
    if restored.shape != sharp.shape:
        raise ValueError(f"{tuple(restored.shape)} restored but {tuple(sharp.shape)} sharp")
    if min(sharp.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs sides of {WINDOW} pixels or more, got {tuple(sharp.shape)}")
    # Under autocast SSIM's variances drown in rounding errors; float64 where there is one.
    device = sharp.device.type
    dtype = torch.float32 if device == "mps" else torch.float64
    with torch.autocast(device, enabled=False):
        seen, truth = ((quantize(image).to(dtype) + 1) / 2 for image in (restored, sharp))
        psnr = peak_signal_noise_ratio(seen, truth, data_range=1.0, dim=(1, 2, 3), reduction="none")
        # Kornia's is separable: six times faster than torchmetrics', with a tenth of its memory.
        ssim = ssim_map(seen, truth, WINDOW, max_val=1.0, padding="valid").mean((1, 2, 3))
    return {"psnr": psnr.float(), "ssim": ssim.float()}


class WangRGB(Metric):
    """The means of `wang_rgb` over all images: compute() gives {"psnr": ..., "ssim": ...}."""

    full_state_update = False
    higher_is_better = True
    psnr: Tensor
    ssim: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("psnr", "ssim", "images"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, restored: Tensor, sharp: Tensor) -> None:
        """Take in (N, 3, H, W) in [-1, 1]."""
        scores = wang_rgb(restored, sharp)
        self.psnr += scores["psnr"].sum()
        self.ssim += scores["ssim"].sum()
        self.images += len(sharp)

    def compute(self) -> dict[str, Tensor]:
        """Give the means; raises where no image was taken in."""
        if self.images == 0:
            raise ValueError("no image was scored")
        return {"psnr": self.psnr / self.images, "ssim": self.ssim / self.images}
