"""The strength of a blur."""

import torch
from torch import Tensor

from deblur.metrics.luma import luma

LONGEST = 20.0
STEP = 0.05
RINGS = 1024


def blur_sigma(blur: Tensor, sharp: Tensor) -> float:
    """Return the sigma, in pixels, of the Gaussian that best turns a sharp image into its blurred.

    blur, sharp: (1, 3, H, W) in [-1, 1]. The best sigma, of those from 0 to 20, has the least
    squared difference of lumas. Motion blurs are not Gaussians, but are ordered well by this.
    """
    blurred, true = (_spectrum(luma((image.float() + 1) / 2)[0, 0]) for image in (blur, sharp))
    height, width = sharp.shape[-2:]
    down = torch.fft.fftfreq(height, device=sharp.device)[:, None]
    across = torch.fft.rfftfreq(width, device=sharp.device)
    frequency = (down.square() + across.square()).sqrt()
    ring = (frequency * (2 * RINGS)).long().clamp(max=RINGS - 1).flatten()
    twice = torch.where((across > 0) & (across < 0.5), 2.0, 1.0).expand_as(frequency)

    def by_ring(values: Tensor) -> Tensor:
        return torch.bincount(ring, (values * twice).flatten().double(), RINGS)

    energy, cross = by_ring(true.abs().square()), by_ring((true.conj() * blurred).real)
    count = torch.bincount(ring, minlength=RINGS).clamp(min=1)
    radius = torch.bincount(ring, frequency.flatten().double(), RINGS) / count
    sigmas = torch.arange(0, LONGEST + STEP, STEP, dtype=torch.float64, device=sharp.device)
    passed = torch.exp(-2 * (torch.pi * sigmas[:, None] * radius).square())
    error = (passed.square() * energy - 2 * passed * cross).sum(1)
    return float(sigmas[error.argmin()])


def _spectrum(image: Tensor) -> Tensor:
    """Transform an image (H, W), faded out at the borders, where the two images differ most."""
    fades = [torch.hann_window(length, periodic=False).to(image) for length in image.shape]
    spectrum: Tensor = torch.fft.rfft2((image - image.mean()) * fades[0][:, None] * fades[1])
    return spectrum
