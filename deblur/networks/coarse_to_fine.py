"""A pretrained backbone at low resolution, and a network that adds the detail at full size."""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from deblur.networks.argument_checks import check_choice
from deblur.networks.arguments import keep_arguments
from deblur.networks.initialization import zero
from deblur.networks.maxim import MAXIM, Tiling
from deblur.networks.padding import pad_to_stride
from deblur.networks.resunet import ResUNet


@keep_arguments
class CoarseToFine(nn.Module):
    """Restores a blurred image by MAXIM at a half of its size, then by a ResUNet at all of it.

    Takes and returns (N, 3, H, W) in [-1, 1], of any size. With the defaults it has 13,727,221
    parameters.

    A stage of MAXIM takes 1 / shrink² of its time, and blur is shorter there. As in coarse-to-fine
    deblurring (Nah et al., CVPR 2017) its change is enlarged and added to the image; the ResUNet
    sees that sum and the blurred image, and restores what the low resolution has lost.

    Args:
        shrink: The factor between both resolutions: 2, 4 or 8.
        coarse_width: MAXIM's width.
        groups: As in `MAXIM`.
        bottlenecks: As in `MAXIM`.
        width: Of the ResUNet, like the remaining ones: channels at 1/shuffle of the resolution.
        encoder: Blocks of each level, from the finest down.
        middle: Blocks below the levels.
        decoder: Blocks of each level, from the lowest up.
        shuffle: The side of the squares of pixels.
        zero_last: Start the last convolutions at zero: the network is then the identity.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        shrink: int = 2,
        coarse_width: int = 32,
        groups: int = 2,
        bottlenecks: int = 2,
        width: int = 48,
        encoder: Sequence[int] = (1, 2),
        middle: int = 10,
        decoder: Sequence[int] = (2, 1),
        shuffle: int = 2,
        zero_last: bool = True,
    ) -> None:
        super().__init__()
        check_choice("shrink", shrink, 2, 4, 8)  # targets of a training are halved, see StepLosses
        self.shrink = shrink
        self.coarse = MAXIM(
            stages=1,
            width=coarse_width,
            groups=groups,
            bottlenecks=bottlenecks,
            gelu="erf",
            zero_last=zero_last,
        )
        self.fine = ResUNet(
            width=width,
            encoder=encoder,
            middle=middle,
            decoder=decoder,
            shuffle=shuffle,
            zero_last=zero_last,
        )
        self.guide = nn.Conv2d(3 * shuffle**2, width, 3, padding=1)
        """From the blurred image to features that are added to the ResUNet's first ones."""
        zero(self.guide)
        self.step = math.lcm(self.fine.stride, shrink)
        """The multiples to which images are padded at full resolution."""
        self.stride = math.lcm(self.step, self.coarse.stride * shrink)
        coarse = self.coarse.tiling
        self.tiling = Tiling(side=coarse.side * shrink, overlap=coarse.overlap * shrink)

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        padded, shrunk = self._enter(blur)
        return self._refine(blur, padded, self.coarse(shrunk) - shrunk)

    def pyramid(self, blur: Tensor) -> list[Tensor]:
        """Restore (N, 3, H, W) in [-1, 1] at every scale, the coarsest first.

        The images are (N, 3, ceil(H / s), ceil(W / s)) for s = 4, 2 and 1 times `shrink`, and for
        s = 1; their targets are the means of the sharp image's s x s pixels.
        """
        padded, shrunk = self._enter(blur)
        *coarse, half = self.coarse.pyramid(shrunk)
        outputs = []
        for image, scale in zip((*coarse, half), (4, 2, 1)):
            height, width = (-(-side // (scale * self.shrink)) for side in blur.shape[-2:])
            outputs.append(image[..., :height, :width])
        return [*outputs, self._refine(blur, padded, half - shrunk)]

    def _enter(self, blur: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image, padded to multiples of `step`, at full and at low resolution."""
        padded = pad_to_stride(blur, self.step, least=self.step)
        return padded, F.avg_pool2d(padded, self.shrink)

    def _refine(self, blur: Tensor, padded: Tensor, change: Tensor) -> Tensor:
        """Add the low resolution's change, and restore at full resolution."""
        enlarged = F.interpolate(change, scale_factor=self.shrink, mode="bicubic")
        guide = self.guide(F.pixel_unshuffle(padded, self.fine.shuffle))
        restored: Tensor = self.fine((padded + enlarged).clamp(-1, 1), guide)
        return restored[..., : blur.shape[-2], : blur.shape[-1]]

    def freeze_backbone(self, frozen: bool) -> None:
        """Keep the weights of the low resolution from training, or train them again."""
        self.coarse.requires_grad_(not frozen)
