"""The contract for images in this project.

Every image tensor that is passed between modules is RGB, float32, (N, C, H, W), in [-1, 1]: the
published generators end in tanh, and the published loss weights are calibrated in these units.
`encode` and `decode` are the only two conversions; everything else assumes the contract.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Pair(NamedTuple):
    """A blurred image, the sharp image that it was made from, and the name they share."""

    blur: Tensor
    """(3, H, W) from a data set, (N, 3, H, W) from a loader."""
    sharp: Tensor
    """The same shape as `blur`."""
    name: str
    """Unique within a split; a loader collates names to N of them."""


def encode(pixels: Tensor) -> Tensor:
    """Convert 8-bit pixels to the contract's floats: uint8, any shape, to float32 in [-1, 1]."""
    if pixels.dtype != torch.uint8:
        raise ValueError(f"encode takes uint8 pixels, got {pixels.dtype}")
    return pixels.float() / 127.5 - 1.0


def decode(image: Tensor) -> Tensor:
    """Convert an image in [-1, 1] to 8-bit pixels, rounded and clamped: the inverse of `encode`."""
    return ((image.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)


def quantize(image: Tensor) -> Tensor:
    """Return the image that a viewer of the saved 8-bit file would see, in [-1, 1]."""
    return encode(decode(image))
