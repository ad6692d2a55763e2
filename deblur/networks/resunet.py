"""A U-Net of residual blocks at low resolution, designed for restoring photos on a CPU."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from deblur.networks.argument_checks import WIDEST, check_levels, check_range
from deblur.networks.arguments import keep_arguments
from deblur.networks.initialization import zero
from deblur.networks.padding import pad_to_stride
from deblur.networks.resnet import Residual


@keep_arguments
class ResUNet(nn.Module):
    """Restores a blurred image: plain convolutions, most of them at an eighth of the resolution.

    Takes and returns (N, 3, H, W) in [-1, 1], of any size; the restored image is
    clamp(x + f, -1, 1). With the defaults it has 7,582,428 parameters.

    Its parts are known: squares of pixels become channels first (PixelUnshuffle), blocks are EDSR's
    (Lim et al., CVPRW 2017: no norm), most of them have the smallest features, and skips are added
    (both as in NAFNet). Most layers are 3x3 convolutions of many channels and ReLUs, which
    processors compute fastest. No layer depends on the whole image, so that tiles and whole images
    have the same result.

    Args:
        width: Channels at 1/shuffle of the resolution, doubled at each level below.
        encoder: Blocks of each level, from the finest down.
        middle: Blocks below the levels.
        decoder: Blocks of each level, from the lowest up.
        shuffle: The side of the squares of pixels.
        zero_last: Start the last convolution at zero: the network is then the identity. The second
            convolution of each block always starts at zero.

    Raises:
        ValueError: A size is out of range.
    """

    def __init__(
        self,
        *,
        width: int = 48,
        encoder: Sequence[int] = (1, 2),
        middle: int = 10,
        decoder: Sequence[int] = (2, 1),
        shuffle: int = 2,
        zero_last: bool = True,
    ) -> None:
        super().__init__()
        check_range("width", width, 1, WIDEST)
        check_range("shuffle", shuffle, 1, 16)
        check_levels(encoder, middle, decoder)
        self.shuffle = shuffle
        self.stride = shuffle * 2 ** len(encoder)
        channels = [width * 2**level for level in range(len(encoder) + 1)]
        self.first = nn.Conv2d(3 * shuffle**2, width, 3, padding=1)
        self.encoders = nn.ModuleList(_blocks(c, n) for c, n in zip(channels, encoder))
        self.downs = nn.ModuleList(nn.Conv2d(c, 2 * c, 2, stride=2) for c in channels[:-1])
        self.middle = _blocks(channels[-1], middle)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, 2 * c, 1), nn.PixelShuffle(2)) for c in channels[:0:-1]
        )
        self.decoders = nn.ModuleList(_blocks(c, n) for c, n in zip(channels[-2::-1], decoder))
        self.last = nn.Conv2d(width, 3 * shuffle**2, 3, padding=1)
        if zero_last:
            zero(self.last)

    def forward(self, blur: Tensor, guide: Tensor | None = None) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1].

        guide: (N, width, H / shuffle, W / shuffle), added to the first layer's features; H and W
        must be multiples of the stride then.
        """
        height, width = blur.shape[-2:]
        padded = pad_to_stride(blur, self.stride, least=self.stride)
        features = self.first(F.pixel_unshuffle(padded, self.shuffle))
        if guide is not None:
            features = features + guide.to(features.dtype)
        skips: list[Tensor] = []
        for encoder, down in zip(self.encoders, self.downs):
            skips.append(encoder(features))
            features = down(skips[-1])
        features = self.middle(features)
        for up, decoder in zip(self.ups, self.decoders):
            features = decoder(up(features) + skips.pop())
        change = F.pixel_shuffle(self.last(features), self.shuffle)[..., :height, :width]
        return (blur + change.to(blur.dtype)).clamp(-1, 1)


def _blocks(channels: int, count: int) -> nn.Sequential:
    """Build residual blocks that start as the identity."""
    blocks = nn.Sequential()
    for _ in range(count):
        first, last = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
        assert first.bias is not None
        nn.init.zeros_(first.bias)
        zero(last)
        blocks.append(Residual(first, nn.ReLU(inplace=True), last))
    return blocks
