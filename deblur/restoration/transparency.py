"""Colours that nobody sees, under an alpha of 0: they must not bleed into those that are seen."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

STRIP = 256
"""The number of rows processed at a time."""


def fill_hidden(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Fill the pixels (H, W, C) where alpha (H, W) is 0 from the visible ones around them.

    Returns the pixels themselves where none, or nothing else, is hidden. The fill is smooth: means
    of ever larger squares, weighted by alpha, as the colour of what is nearly clear is often
    rounded to nothing.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    strips = [slice(top, top + STRIP) for top in range(0, len(pixels), STRIP)]
    # The first halving goes by strips: in floats, the whole picture would be four times as large.
    halves = _fill(torch.cat([_halve(_weighted(pixels[s], alpha[s])) for s in strips], 1))
    filled = pixels.copy()
    for strip in strips:
        if hidden[strip].any():
            # A row more on each side, from which the strip's outermost rows are interpolated.
            first = max(0, strip.start // 2 - 1)
            around = _enlarge(halves[:, first : strip.stop // 2 + 1], *pixels.shape[:2])
            around = around[:, strip.start - 2 * first :][:, : len(filled[strip])]
            if pixels.dtype.kind == "u":
                around = around.round()
            colours = around.permute(1, 2, 0).numpy().astype(pixels.dtype)
            np.copyto(filled[strip], colours, where=hidden[strip][..., None])
    return filled


def _weighted(pixels: NDArray[Any], alpha: NDArray[Any]) -> Tensor:
    """Return (C + 1, h, W): colours times alpha, and alpha, of which 1 is opaque."""
    top = np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 1
    weight = torch.from_numpy(alpha.astype(np.float32) / np.float32(top))
    colours = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
    return torch.cat([colours * weight, weight[None]])


def _halve(weighted: Tensor) -> Tensor:
    return F.avg_pool2d(weighted, 2, ceil_mode=True)


def _fill(weighted: Tensor) -> Tensor:
    """Return weighted colours as (C, h, w); those of little weight follow their surroundings."""
    colours, weight = weighted[:-1], weighted[-1]
    colours = colours / weight.clamp(min=torch.finfo().tiny)
    trust = (weight * 4).clamp(max=1)  # in a square of four, one that is seen is enough
    if weight.numel() == 1 or bool((trust == 1).all()):
        return colours
    return _enlarge(_fill(_halve(weighted)), *weight.shape).lerp(colours, trust)


def _enlarge(colours: Tensor, height: int, width: int) -> Tensor:
    """Interpolate colours (C, h, w) to twice their size, as far as the height and width."""
    twice = F.interpolate(colours[None], scale_factor=2, mode="bilinear")
    return twice[0, :, :height, :width]
