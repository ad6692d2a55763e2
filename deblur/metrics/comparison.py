"""Restored images with their sharp ones, and the values that several protocols share."""

from collections.abc import Iterable
from functools import cached_property

import torch
from torch import Tensor

from deblur.metrics.ssim import Structure, structure
from deblur.pair import decode

Scores = dict[str, Tensor]
"""A figure's name and its values (N,), one per image."""


class Comparison:
    """Restored images with their sharp ones; values that protocols share are computed once.

    restored, sharp: (N, 3, H, W) in [-1, 1]. poses: all sharp frames of the exposure,
    (1, 3, H, W) each, for the protocol `kohler`. Raises ValueError if the shapes differ.

    Scores are computed in float64; on MPS, which does not support it, in float32.
    """

    def __init__(
        self, restored: Tensor, sharp: Tensor, poses: Iterable[Tensor] | None = None
    ) -> None:
        if restored.shape != sharp.shape:
            raise ValueError(
                f"restored images of shape {tuple(restored.shape)} cannot be compared with sharp "
                f"ones of shape {tuple(sharp.shape)}"
            )
        self.restored = restored
        self.sharp = sharp
        self.poses = poses
        self.dtype = torch.float32 if sharp.device.type == "mps" else torch.float64

    @cached_property
    def broken(self) -> Tensor:
        """Whether each restored image has a value that is not finite: (N, 1, 1, 1)."""
        return ~self.restored.isfinite().flatten(1).all(1).view(-1, 1, 1, 1)

    @cached_property
    def seen(self) -> Tensor:
        """The restored images as a viewer of the saved 8-bit files sees them, in [0, 1].

        All values of a broken image are NaN, and so are its scores.
        """
        return self._levels(self.restored).masked_fill_(self.broken, torch.nan)

    @cached_property
    def truth(self) -> Tensor:
        """The sharp images, rounded to 8 bits, in [0, 1]."""
        return self._levels(self.sharp)

    @cached_property
    def psnr(self) -> Tensor:
        """The PSNR of the rounded images, (N,), in dB."""
        return psnr(self.seen, self.truth)

    @cached_property
    def structure(self) -> Structure:
        """The SSIMs of the rounded images."""
        return structure(self.seen, self.truth)

    def _levels(self, image: Tensor) -> Tensor:
        return decode(image).to(self.dtype) / 255


def psnr(restored: Tensor, truth: Tensor) -> Tensor:
    """Return 10 log10(1 / mean squared difference) of images (N, C, H, W) in [0, 1], in dB: (N,).

    The mean is over all channels and pixels. In [0, inf]; inf for identical images.
    """
    return -10 * (restored - truth).square_().mean((1, 2, 3)).log10()
