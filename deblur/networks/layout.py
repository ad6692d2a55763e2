"""Conversions between (N, C, H, W) and (N, H, W, C)."""

import torch
from torch import Tensor


def to_planes(pixels: Tensor) -> Tensor:
    """View (N, H, W, C) as (N, C, H, W), channels last."""
    return settle(pixels.permute(0, 3, 1, 2))


def to_pixels(planes: Tensor) -> Tensor:
    """View (N, C, H, W) as (N, H, W, C)."""
    return settle(planes.permute(0, 2, 3, 1))


def settle(permuted: Tensor) -> Tensor:
    """Copy to contiguous memory in an export, where strides would fix sizes; else do nothing."""
    if torch.compiler.is_exporting():
        return permuted.clone(memory_format=torch.contiguous_format)
    return permuted
