"""Light on a sensor: the sRGB curve and its inverse, and the sum over an exposure."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def to_light(pixels: Tensor) -> Tensor:
    """Invert the sRGB curve: uint8 pixels, any shape, to linear light in [0, 1] (IEC 61966-2-1)."""
    return _LIGHT.to(pixels.device)[pixels.int()]


def to_pixels(light: Tensor) -> Tensor:
    """Apply the sRGB curve: linear light, any shape, clipped at white, to uint8 pixels."""
    light = light.clamp(0, 1)
    curve = torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * curve).round().to(torch.uint8)


def expose(light: Tensor, kernels: Tensor) -> Tensor:
    """Blur each picture of a batch with its motion kernel.

    light: (N, C, H, W), linear. kernels: (N, K, K), K odd. Returns (N, C, H - K + 1, W - K + 1),
    the part that depends on no pixels outside of the picture, so that there are no dark borders.
    """
    size = kernels.shape[-1]
    height, width = light.shape[-2:]
    if size > min(height, width):
        raise ValueError(f"a kernel of {size} pixels does not fit a picture of {width}x{height}")
    # A product of spectra, whose cost does not grow with the kernel.
    shape = [_fast_length(height), _fast_length(width)]
    spectrum = torch.fft.rfft2(light, s=shape) * torch.fft.rfft2(kernels, s=shape)[:, None]
    full: Tensor = torch.fft.irfft2(spectrum, s=shape)
    return full[..., size - 1 : height, size - 1 : width]


def soften(light: Tensor, sigma: float) -> Tensor:
    """Blur (C, H, W) by a Gaussian of sigma pixels, as a slightly soft lens does."""
    if not sigma:
        return light
    radius = math.ceil(3 * sigma)
    offsets = torch.arange(-radius, radius + 1, device=light.device)
    weights = torch.softmax(-(offsets**2) / (2 * sigma**2), 0)
    around = F.pad(light[:, None], (radius,) * 4, mode="replicate")
    across = F.conv2d(around, weights.view(1, 1, 1, -1))
    return F.conv2d(across, weights.view(1, 1, -1, 1))[:, 0]


def trim(image: Tensor, rim: int) -> Tensor:
    """Cut `rim` pixels off each side of (..., H, W)."""
    height, width = image.shape[-2:]
    return image[..., rim : height - rim, rim : width - rim]


def _fast_length(size: int) -> int:
    return -(-size // 32) * 32


def _light_of_each_pixel_value() -> Tensor:
    srgb = torch.arange(256) / 255
    curve: Tensor = ((srgb + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= 0.04045, srgb / 12.92, curve)


_LIGHT = _light_of_each_pixel_value()
