"""NAFNet: restoration without nonlinear activations (Chen, Chu, Zhang and Sun, ECCV 2022)."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.networks.argument_checks import WIDEST, check_choice, check_levels, check_range
from deblur.networks.arguments import keep_arguments
from deblur.networks.initialization import zero
from deblur.networks.layout import to_pixels, to_planes
from deblur.networks.local import LocalMean
from deblur.networks.padding import pad_to_stride


@keep_arguments
class NAFNet(nn.Module):
    """Restores a blurred image: a U-Net of gated blocks, most of them at low resolution.

    "Simple Baselines for Image Restoration", arXiv 2204.04676. Takes and returns (N, 3, H, W) in
    [-1, 1], of any size. The attribute `stride`, to which sizes are padded, is two to the power of
    the number of levels.

    | part | source | here |
    |---|---|---|
    | values with width 16, 32, 64 | 4,347,827, 17,111,907, 67,888,835 | the same |
    | names and shapes of weights | in the files, under `params` | the same |
    | pixels | [0, 1] | the same inside, [-1, 1] outside |
    | padding below and on the right | zeros | `padding` |
    | attention when published figures were measured | local statistics | `tlc` |
    | output | x + f | clamp(x + f, -1, 1) |
    | start of `ending` | PyTorch's | zero, or PyTorch's |

    Args:
        width: Channels at full resolution, doubled at each level.
        encoder: Blocks of each level, from full resolution down.
        middle: Blocks below the levels.
        decoder: Blocks of each level, from the lowest up.
        tlc: The area that attention averages over in evaluation mode. "off" is the whole image;
            "on" a window around each pixel, for features larger than it (Chu et al., ECCV 2022:
            see `local`); "auto" the same, but only in images larger than the window, both rounded
            up to the stride. If the window is a multiple of the stride, the last two are equal.
        window: The side of this window, in pixels of the image: 1.5 times the training crop.
        padding: To the stride: "reflect", or "zeros" (black), as the published weights require.
        zero_last: Start the last convolution at zero: the network is then the identity.

    Raises:
        ValueError: A size is out of range, or a choice is not listed.
    """

    def __init__(
        self,
        *,
        width: int = 32,
        encoder: Sequence[int] = (1, 1, 1, 28),
        middle: int = 1,
        decoder: Sequence[int] = (1, 1, 1, 1),
        tlc: Literal["off", "on", "auto"] = "off",
        window: int = 384,
        padding: Literal["reflect", "zeros"] = "reflect",
        zero_last: bool = True,
    ) -> None:
        super().__init__()
        check_range("width", width, 1, WIDEST)
        check_levels(encoder, middle, decoder)
        check_choice("tlc", tlc, "off", "on", "auto")
        check_range("window", window, 1, 1e6)
        check_choice("padding", padding, "reflect", "zeros")
        self.padding = padding
        self.stride = 2 ** len(encoder)
        channels = [width * 2**level for level in range(len(encoder) + 1)]
        self.intro = nn.Conv2d(3, width, 3, padding=1)
        self.encoders = nn.ModuleList(_blocks(c, n) for c, n in zip(channels, encoder))
        self.downs = nn.ModuleList(nn.Conv2d(c, 2 * c, 2, stride=2) for c in channels[:-1])
        self.middle_blks = _blocks(channels[-1], middle)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, 2 * c, 1, bias=False), nn.PixelShuffle(2))
            for c in channels[:0:-1]
        )
        self.decoders = nn.ModuleList(_blocks(c, n) for c, n in zip(channels[-2::-1], decoder))
        self.ending = nn.Conv2d(width, 3, 3, padding=1)
        if zero_last:
            zero(self.ending)
        if tlc != "off":
            self._pool_locally(window, window + -window % self.stride if tlc == "auto" else None)

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        height, width = blur.shape[-2:]
        features = self.intro(self._pad((blur + 1) / 2))
        skips: list[Tensor] = []
        for encoder, down in zip(self.encoders, self.downs):
            skips.append(encoder(features))
            features = down(skips[-1])
        features = self.middle_blks(features)
        for up, decoder in zip(self.ups, self.decoders):
            features = decoder(up(features) + skips.pop())
        change: Tensor = self.ending(features)[..., :height, :width]
        return (blur + 2 * change.to(blur.dtype)).clamp(-1, 1)

    def _pool_locally(self, window: int, beyond: int | None) -> None:
        """Set the window of each pooling, and the size from which it is used, at its resolution."""
        levels = [*self.encoders, self.middle_blks]
        for level, blocks in [*enumerate(levels), *enumerate(reversed(self.decoders))]:
            for pool in (layer for layer in blocks.modules() if isinstance(layer, LocalMean)):
                pool.window = max(1, window >> level)
                pool.beyond = None if beyond is None else beyond >> level

    def _pad(self, image: Tensor) -> Tensor:
        """Pad (N, 3, H, W) in [0, 1] below and on the right to multiples of the stride."""
        if self.padding == "reflect":
            return pad_to_stride(image, self.stride, least=self.stride)
        height, width = image.shape[-2:]
        return F.pad(image, (0, -width % self.stride, 0, -height % self.stride))


class Block(nn.Module):
    """Two gated branches, each after a layer norm and scaled by a weight that starts at zero.

    Maps (N, C, H, W) to the same shape; 7 C^2 + 33 C values. The first branch has a depthwise
    convolution, and weights channels by their means over the picture, or around each pixel
    (`LocalMean`); the second treats each pixel separately. A gate multiplies one half of the
    channels by the other.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        twice = 2 * channels
        self.norm1 = LayerNorm(channels)
        self.conv1 = nn.Conv2d(channels, twice, 1)
        self.conv2 = nn.Conv2d(twice, twice, 3, padding=1, groups=twice)
        self.sca = nn.Sequential(LocalMean(), nn.Conv2d(channels, channels, 1))
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.norm2 = LayerNorm(channels)
        self.conv4 = nn.Conv2d(channels, twice, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        gated = _gate(self.conv2(self.conv1(self.norm1(features))))
        features = features + self.beta * self.conv3(gated * self.sca(gated))
        features = features + self.gamma * self.conv5(_gate(self.conv4(self.norm2(features))))
        return features


class LayerNorm(nn.Module):
    """Normalizes each pixel of (N, C, H, W) over its channels, with 1e-6 added to the variance."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        last = to_pixels(features)
        normal = F.layer_norm(last, self.weight.shape, self.weight, self.bias, 1e-6)
        return to_planes(normal)


def _gate(features: Tensor) -> Tensor:
    one, other = features.chunk(2, dim=1)
    return one * other


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(channels) for _ in range(count)))
