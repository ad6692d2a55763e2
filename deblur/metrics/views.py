"""Views of a frame, which protocols define: networks restore the view, and it is scored."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deblur.pair import decode, encode

SIDE = 256

View = Callable[[Tensor], Tensor]


def whole(image: Tensor) -> Tensor:
    """Return images (N, 3, H, W) as they are."""
    return image


def squash(image: Tensor) -> Tensor:
    """Resize 8-bit images to 256x256, whatever their shape, by Pillow's bicubic filter."""
    return _resize(image, (SIDE, SIDE))


def halve(image: Tensor) -> Tensor:
    """Resize 8-bit images to half their sides, by Pillow's bicubic filter."""
    return _resize(image, (image.shape[-1] // 2, image.shape[-2] // 2))


def centre(image: Tensor) -> Tensor:
    """Cut out the middle 256x256 pixels; raise ValueError if an image is smaller."""
    height, width = image.shape[-2:]
    if min(height, width) < SIDE:
        raise ValueError(f"images are {width}x{height}, expected {SIDE} or more pixels a side")
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    return image[..., top : top + SIDE, left : left + SIDE]


def _resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    pixels = decode(image).permute(0, 2, 3, 1).cpu().numpy()
    small = [
        np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)) for one in pixels
    ]
    return encode(torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2)).to(image.device)
