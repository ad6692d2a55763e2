"""What of a frame a protocol looks at: networks are given it, and scores are taken of it."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deblur.pair import decode, encode

SIDE = 256

View = Callable[[Tensor], Tensor]


def whole(image: Tensor) -> Tensor:
    """Leave images (N, 3, H, W) as they are."""
    return image


def squash(image: Tensor) -> Tensor:
    """Resize 8-bit images to 256x256, whatever their shape, by Pillow's bicubic filter."""
    return _resize(image, (SIDE, SIDE))


def halve(image: Tensor) -> Tensor:
    """Resize 8-bit images to half their sides, by Pillow's bicubic filter."""
    return _resize(image, (image.shape[-1] // 2, image.shape[-2] // 2))


def centre(image: Tensor) -> Tensor:
    """Cut the middle 256x256 pixels out; raises ValueError where an image is smaller."""
    height, width = image.shape[-2:]
    if min(height, width) < SIDE:
        raise ValueError(f"a crop of {SIDE} pixels does not fit into images of {width}x{height}")
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    return image[..., top : top + SIDE, left : left + SIDE]


def _resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    pixels = decode(image).permute(0, 2, 3, 1).cpu().numpy()
    small = [
        np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)) for one in pixels
    ]
    return encode(torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2)).to(image.device)
