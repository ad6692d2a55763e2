"""The protocol `deblurgan-legacy`."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from deblur.metrics.comparison import Comparison, Scores, psnr

WIDTHS = range(1, 31)
K = 0.01
BLOCK = 4096
"""Samples transformed at a time."""
REACH = 5 * WIDTHS[-1]
"""Samples that the longest wavelet reaches to each side."""
GREY = (19595, 38470, 7471)
"""Pillow's weights of red, green and blue for a grey level, in parts of 65,536."""


def deblurgan_legacy(pair: Comparison) -> Scores:
    """Score as DeblurGAN's and DeblurGAN-v2's programs do; their "SSIM" is another measure.

    Restored images are truncated to 8 bits (a numpy array's astype), not rounded.

    psnr: in dB over the three channels together, in [0, inf]; truncation costs 0.02 dB at 30 dB,
    0.2 at 40.
    cw_ssim: pyssim's complex-wavelet SSIM, in [0, 1]: the grey levels, row after row, as one
    signal under 30 Ricker wavelets of widths 1 to 30. It reads 0.07 to 0.2 higher than SSIM.

    Source: test.py of DeblurGAN and test_metrics.py of DeblurGAN-v2; pyssim 0.6. Used by those
    two, and by later work that quotes their 0.958 and 0.934 as SSIM.
    """
    # The 1e-3 keeps an exact 8-bit level that is a rounding error too low.
    levels = ((pair.restored.clamp(-1, 1).to(pair.dtype) + 1) * 127.5 + 1e-3).floor_()
    seen = (levels / 255).masked_fill_(pair.broken, torch.nan)
    pairs = zip(seen, pair.truth)
    similar = [cw_ssim(grey(restored), grey(sharp)) for restored, sharp in pairs]
    return {"psnr": psnr(seen, pair.truth), "cw_ssim": torch.stack(similar)}


def grey(image: Tensor) -> Tensor:
    """Convert 8-bit (3, H, W) in [0, 1] to grey levels (H, W) in [0, 255], as Pillow does."""
    weights = torch.tensor(GREY, dtype=image.dtype, device=image.device).view(3, 1, 1)
    return ((image * 255 * weights).sum(0) + 32768).div_(65536).floor_()


def cw_ssim(restored: Tensor, truth: Tensor) -> Tensor:
    """Return pyssim's CW-SSIM of two grey images (H, W), in [0, 1].

    Its wavelet is real and two of its terms cancel. With a and b the two signals' responses to the
    30 wavelets, (2 |sum ab| + k) / (sum a^2 + sum b^2 + k) remains, averaged over the samples.
    """
    count = truth.numel()
    hop = BLOCK - 2 * REACH
    blocks = -(-count // hop)
    signals = torch.stack([restored.flatten(), truth.flatten()])
    padded = F.pad(signals, (REACH, blocks * hop + REACH - count))
    spectra = torch.fft.rfft(padded.unfold(1, BLOCK, hop))
    product, energy = spectra.new_zeros(2, blocks, hop, dtype=truth.dtype)
    for width in WIDTHS:
        wavelet = ricker(width, min(10 * width, count)).to(truth)
        answers = torch.fft.irfft(spectra * torch.fft.rfft(wavelet, BLOCK), BLOCK)
        # With an even number of taps, the one left of the middle is the centre.
        start = REACH + (len(wavelet) - 1) // 2
        a, b = answers[..., start : start + hop]
        product += a * b
        energy += a.square().add_(b.square())
    product, energy = (total.flatten()[:count] for total in (product, energy))
    mean: Tensor = ((2 * product.abs() + K) / (energy + K)).mean()
    return mean


def ricker(width: int, taps: int) -> Tensor:
    """Return the Ricker wavelet (a Gaussian's second derivative) of a width: (taps,), float64."""
    square = ((torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2) / width).square()
    scale = 2 / (math.sqrt(3 * width) * math.pi**0.25)
    wavelet: Tensor = scale * (1 - square) * torch.exp(-square / 2)
    return wavelet
