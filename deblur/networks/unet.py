"""The U-Net of Ronneberger, Fischer and Brox (MICCAI 2015, arXiv 1505.04597), for deblurring."""

from typing import Literal

import torch
from torch import Tensor, nn

from deblur.networks.argument_checks import DEEPEST, WIDEST, check_choice, check_range
from deblur.networks.arguments import keep_arguments
from deblur.networks.initialization import zero
from deblur.networks.padding import pad_to_stride

Norm = Literal["none", "batch", "instance"]


@keep_arguments
class UNet(nn.Module):
    """Restores a blurred image by an encoder of ever lower resolution, and a decoder with skips.

    With the defaults it has 31,031,875 parameters (the source's are about 31.0M); 34,513,475 with
    upsample "nearest". Takes and returns (N, 3, H, W) in [-1, 1], of any size.

    | part | source | here |
    |---|---|---|
    | a level | two 3x3 convolutions, each with a ReLU | the same, optionally with a norm |
    | borders | unpadded convolutions, the output is smaller | padded by reflection, the same size |
    | down | 2x2 max-pooling, then twice the channels | the same |
    | up | "up-convolution" 2x2 to half the channels | `upsample` |
    | skips | cropped and concatenated | concatenated |
    | output | 1x1 convolution to two classes | 1x1 convolution to f, then clamp(x + f, -1, 1) |
    | dropout | at the end of the way down | none |
    | weights | N(0, 2 / fan-in) | the same, biases zero, the last layer zero |

    Args:
        width: Channels of the first level; the lowest has width * 2^levels.
        levels: How often the resolution is halved.
        norm: After each 3x3 convolution: "none" (as published), "batch" or "instance" (both with a
            learned scale and shift).
        upsample: "transposed" is a transposed 2x2 convolution, "nearest" repeats pixels and has a
            3x3 convolution.
        zero_last: Start the last convolution at zero: the network is then the identity.

    Raises:
        ValueError: A size is out of range, or a choice is not listed.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        levels: int = 4,
        norm: Norm = "none",
        upsample: Literal["nearest", "transposed"] = "transposed",
        zero_last: bool = True,
    ) -> None:
        super().__init__()
        check_range("width", width, 1, WIDEST)
        check_range("levels", levels, 1, DEEPEST)
        check_choice("norm", norm, "none", "batch", "instance")
        check_choice("upsample", upsample, "nearest", "transposed")
        self.stride = 2**levels
        channels = [width * 2**level for level in range(levels + 1)]
        inputs = [3, *channels[:-2]]
        self.encoders = nn.ModuleList(_level(i, c, norm) for i, c in zip(inputs, channels))
        self.pool = nn.MaxPool2d(2)
        self.bottom = _level(channels[-2], channels[-1], norm)
        upward = channels[-2::-1]
        self.ups = nn.ModuleList(_up(2 * c, upsample) for c in upward)
        self.decoders = nn.ModuleList(_level(2 * c, c, norm) for c in upward)
        self.last = nn.Conv2d(width, 3, 1)
        self._start(zero_last)

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        height, width = blur.shape[-2:]
        # Reflection at the lowest level requires features of at least 2x2.
        features = pad_to_stride(blur, self.stride, least=2 * self.stride)
        skips: list[Tensor] = []
        for encoder in self.encoders:
            skips.append(encoder(features))
            features = self.pool(skips[-1])
        features = self.bottom(features)
        for up, decoder in zip(self.ups, self.decoders):
            features = decoder(torch.cat([skips.pop(), up(features)], dim=1))
        change: Tensor = self.last(features)
        return (blur + change[..., :height, :width]).clamp(-1, 1)

    def _start(self, zero_last: bool) -> None:
        """Initialize as in the source: each layer then keeps the variance of its input."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                # A transposed convolution stores inputs first, and its kernels do not overlap.
                inputs = layer.in_channels
                fan = inputs if isinstance(layer, nn.ConvTranspose2d) else layer.weight[0].numel()
                nn.init.normal_(layer.weight, 0.0, (2 / fan) ** 0.5)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        if zero_last:
            zero(self.last)


def _level(inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    """Build two 3x3 convolutions, each with its norm and a ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        # A norm subtracts the mean, and with it any bias; it has its own.
        bias = norm == "none"
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1, padding_mode="reflect", bias=bias))
        if norm == "batch":
            layers.append(nn.BatchNorm2d(outputs))
        elif norm == "instance":
            layers.append(nn.InstanceNorm2d(outputs, affine=True))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _up(channels: int, upsample: str) -> nn.Module:
    """Build the layers that double the resolution and halve the channels."""
    half = channels // 2
    if upsample == "transposed":
        return nn.ConvTranspose2d(channels, half, 2, stride=2)
    conv = nn.Conv2d(channels, half, 3, padding=1, padding_mode="reflect")
    return nn.Sequential(nn.Upsample(scale_factor=2.0), conv)
