"""What a camera does with light: the sRGB curve, both ways, and the mean over an exposure."""

import torch
from torch import Tensor

from deblur.pair import decode, encode


def to_light(pixels: Tensor) -> Tensor:
    """Undo the sRGB curve: uint8 pixels, any shape, to linear light in [0, 1] (IEC 61966-2-1)."""
    return _LIGHT.to(pixels.device)[pixels.int()]


def to_pixels(light: Tensor) -> Tensor:
    """Apply the sRGB curve: linear light, any shape, clipped at white, to uint8 pixels."""
    light = light.clamp(0, 1)
    curve = torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return decode(2 * curve - 1)


def expose(light: Tensor, kernel: Tensor) -> Tensor:
    """Blur light with a motion kernel.

    light: (C, H, W), linear. kernel: (K, K), K odd. Returns (C, H - K + 1, W - K + 1), the part
    that does not depend on what lies outside the picture: no dark borders.
    """
    size = kernel.shape[-1]
    height, width = light.shape[-2:]
    if size > min(height, width):
        raise ValueError(f"a kernel of {size} pixels does not fit a picture of {width}x{height}")
    # As a product of spectra: the cost does not grow with the kernel.
    shape = [_fast_length(height), _fast_length(width)]
    spectrum = torch.fft.rfft2(light, s=shape) * torch.fft.rfft2(kernel, s=shape)
    full: Tensor = torch.fft.irfft2(spectrum, s=shape)
    return full[..., size - 1 : height, size - 1 : width]


def _fast_length(size: int) -> int:
    return -(-size // 32) * 32


def _light_of_each_pixel_value() -> Tensor:
    srgb = (encode(torch.arange(256, dtype=torch.uint8)) + 1) / 2
    curve: Tensor = ((srgb + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= 0.04045, srgb / 12.92, curve)


_LIGHT = _light_of_each_pixel_value()
