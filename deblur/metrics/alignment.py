"""Aligns a restored image with a sharp one before they are compared."""

import torch
import torch.nn.functional as F
from torch import Tensor


def match_gain(restored: Tensor, truth: Tensor) -> Tensor:
    """Multiply an image by the factor that brings it closest to the truth (least squares)."""
    energy = restored.square().sum()
    return restored * ((restored * truth).sum() / energy) if energy > 0 else restored


def shift(image: Tensor, down: float, right: float) -> Tensor:
    """Move (N, C, H, W) by any number of pixels, whole or not, with bicubic interpolation.

    The border is filled with a reflection, which must be left out of comparisons.
    """
    height, width = image.shape[-2:]
    rows = torch.arange(height, device=image.device, dtype=image.dtype) - down
    columns = torch.arange(width, device=image.device, dtype=image.dtype) - right
    y, x = torch.meshgrid(rows * 2 / (height - 1) - 1, columns * 2 / (width - 1) - 1, indexing="ij")
    grid = torch.stack([x, y], -1).expand(len(image), -1, -1, -1)
    return F.grid_sample(image, grid, "bicubic", "reflection", align_corners=True)
