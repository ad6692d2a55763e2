"""DeepDeblur: the multi-scale network of Nah, Kim and Lee (CVPR 2017, arXiv 1612.02177)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.networks.argument_checks import DEEPEST, LONGEST, WIDEST, check_choice, check_range
from deblur.networks.arguments import keep_arguments
from deblur.networks.initialization import zero
from deblur.networks.padding import pad_to_stride
from deblur.networks.resnet import Residual


@keep_arguments
class MultiScale(nn.Module):
    """Restores a blurred image at a quarter, half and all of its size, the coarsest first.

    With the defaults it has 11,721,321 parameters (the paper's 11.7M), in 120 convolutions and two
    that double the resolution. Takes and returns (N, 3, H, W) in [-1, 1], of any size; `pyramid`
    also returns the coarser images, for losses at every scale.

    | part | paper | here |
    |---|---|---|
    | a scale | 5x5 convolution, 19 residual blocks, 5x5 convolution; 64 channels | the same |
    | a block | 5x5 convolution, ReLU, 5x5 convolution, + x; no norm, no ReLU after | the same |
    | borders | zeros | the same |
    | input of a finer scale | blurred, and the coarser result up-convolved: 6 channels | the same |
    | up-convolution | kernel and kind not stated | `upsample` |
    | blurred pyramid | Gaussian | means of 2x2 pixels, which run on every device |
    | output of a scale | the sharp image | `skip`: blurred + change; clamped to [-1, 1] |
    | weights | not stated | PyTorch's own, the last layers zero |

    Args:
        scales: The paper's K.
        blocks: Residual blocks of a scale.
        width: Channels.
        upsample: "shuffle" is a 5x5 convolution to 12 channels, rearranged to 2x2 pixels;
            "transposed" a transposed 4x4 convolution of stride 2 (11,719,791 parameters).
        skip: False makes each scale predict the sharp image itself, as published.
        zero_last: Start each scale's last convolution at zero: every result is then its blurred
            input with `skip`, else gray.

    Raises:
        ValueError: A size is out of range, or a choice is not listed.
    """

    def __init__(
        self,
        *,
        scales: int = 3,
        blocks: int = 19,
        width: int = 64,
        upsample: Literal["transposed", "shuffle"] = "shuffle",
        skip: bool = True,
        zero_last: bool = True,
    ) -> None:
        super().__init__()
        check_range("scales", scales, 1, DEEPEST)
        check_range("blocks", blocks, 0, LONGEST)
        check_range("width", width, 1, WIDEST)
        check_choice("upsample", upsample, "transposed", "shuffle")
        self.skip = skip
        self.stride = 2 ** (scales - 1)
        inputs = [3] + [6] * (scales - 1)
        self.scales = nn.ModuleList(_scale(i, blocks, width, zero_last) for i in inputs)
        self.ups = nn.ModuleList(_up(upsample) for _ in inputs[1:])

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        return self.pyramid(blur)[-1]

    def pyramid(self, blur: Tensor) -> list[Tensor]:
        """Restore (N, 3, H, W) in [-1, 1] at every scale, the coarsest first.

        The image k scales below the finest, which is the last, is (N, 3, ceil(H / 2^k),
        ceil(W / 2^k)); its target is the mean of each 2^k x 2^k pixels of the sharp image.
        """
        blurred = [pad_to_stride(blur, self.stride, least=self.stride)]
        while len(blurred) < len(self.scales):
            blurred.insert(0, F.avg_pool2d(blurred[0], 2))
        restored = [self._restore(blurred[0], self.scales[0](blurred[0]))]
        for image, up, scale in zip(blurred[1:], self.ups, self.scales[1:]):
            hint = up(restored[-1]).to(image.dtype)
            restored.append(self._restore(image, scale(torch.cat([image, hint], dim=1))))
        height, width = blur.shape[-2:]
        shrinks = [2**k for k in reversed(range(len(restored)))]
        return [r[..., : -(-height // s), : -(-width // s)] for r, s in zip(restored, shrinks)]

    def _restore(self, image: Tensor, output: Tensor) -> Tensor:
        """Convert a scale's output to an image in [-1, 1], of the input's type under autocast."""
        return (image + output if self.skip else output.to(image.dtype)).clamp(-1, 1)


def _scale(inputs: int, blocks: int, width: int, zero_last: bool) -> nn.Sequential:
    """Build the network of one scale, (N, inputs, H, W) to (N, 3, H, W)."""
    last = nn.Conv2d(width, 3, 5, padding=2)
    if zero_last:
        zero(last)
    body = (
        Residual(
            nn.Conv2d(width, width, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 5, padding=2),
        )
        for _ in range(blocks)
    )
    return nn.Sequential(nn.Conv2d(inputs, width, 5, padding=2), *body, last)


def _up(upsample: str) -> nn.Module:
    """Build the layer that doubles the size of a restored image."""
    if upsample == "transposed":
        # A kernel that is not a multiple of the stride leaves a checkerboard.
        return nn.ConvTranspose2d(3, 3, 4, stride=2, padding=1)
    return nn.Sequential(nn.Conv2d(3, 12, 5, padding=2), nn.PixelShuffle(2))
