"""Padding: to a network's stride, and as Keras does it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def pad_to_stride(image: Tensor, stride: int, least: int) -> Tensor:
    """Pad (N, C, H, W) below and on the right to multiples of stride, of `least` pixels or more.

    By reflection, or by repeating the border where the picture is smaller than the pad.
    """
    if torch.compiler.is_exporting():
        return _gather_to_stride(image, stride, least)
    height, width = image.shape[-2:]
    below = max(-height % stride, least - height)
    right = max(-width % stride, least - width)
    if below == right == 0:
        return image
    mode = "reflect" if below < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, below), mode=mode)


def _gather_to_stride(image: Tensor, stride: int, least: int) -> Tensor:
    """Pad alike by indices, so that an exported graph has no branch and is right for every size."""
    height, width = image.shape[-2:]
    fewest = -(-least // stride)
    tall, wide = (
        stride * torch.sym_max((size + stride - 1) // stride, fewest) for size in (height, width)
    )
    below, right = (
        image.new_full((), pad, dtype=torch.int64) for pad in (tall - height, wide - width)
    )
    reflects = (below < height) & (right < width)

    def index(padded: int | torch.SymInt, size: int) -> Tensor:
        last = size - 1
        beyond = torch.arange(padded, device=image.device) - last
        return last - torch.where(reflects, beyond.abs(), -beyond.clamp(max=0))

    return image.index_select(-2, index(tall, height)).index_select(-1, index(wide, width))


class SameConv(nn.Conv2d):
    """A convolution whose output is the input's size over its stride, as TensorFlow's 'same'.

    Where the padding is odd its larger half is below and on the right; PyTorch's own
    symmetric padding puts it above and on the left for a 3x3 convolution of stride 2.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride)
        spare = kernel - stride
        self.rim = (spare // 2, spare - spare // 2) * 2

    def forward(self, features: Tensor) -> Tensor:
        """Convolve (N, C, H, W), H and W multiples of the stride."""
        return super().forward(F.pad(features, self.rim))
