"""NAFNet's blocks for inference."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.inference.convolutions import Conv
from deblur.networks.local import LocalMean
from deblur.networks.nafnet import Block, LayerNorm

WHOLE = 4_000_000
"""Features with at most this many values are processed as a whole."""
BAND = 1_500_000
"""Values per band of larger features."""


class Gated(nn.Module):
    """A `Block` with the norms' weights, beta and gamma merged into the convolutions."""

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv1 = Conv(_behind(block.norm1, block.conv1), dtype=dtype)
        self.conv2 = Conv(block.conv2, dtype=dtype)
        pool, weigh = block.sca
        assert isinstance(pool, LocalMean) and isinstance(weigh, nn.Conv2d)
        self.pool, self.weigh = pool, Conv(weigh, dtype=dtype)
        self.conv3 = Conv(_scaled(block.conv3, block.beta), dtype=dtype)
        self.conv4 = Conv(_behind(block.norm2, block.conv4), dtype=dtype)
        self.conv5 = Conv(_scaled(block.conv5, block.gamma), dtype=dtype)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        features = features.to(self.conv1.weight.dtype)
        gated, output = torch.empty_like(features), torch.empty_like(features)
        height = features.shape[-2]
        for start, stop in _bands(features):
            above, below = min(start, 1), min(height - stop, 1)  # rows for the 3x3 convolution
            band = features[..., start - above : stop + below, :]
            looked = _gate(self.conv2(self.conv1(_normalize(band))))
            gated[..., start:stop, :] = looked[..., above : above + stop - start, :]
        scale = self._attend(gated)
        for start, stop in _bands(features):
            rows = slice(start, stop)
            band = self.conv3(gated[..., rows, :], add=features[..., rows, :], scale=scale)
            output[..., rows, :] = self.conv5(_gate(self.conv4(_normalize(band))), add=band)
        return output

    def _attend(self, gated: Tensor) -> Tensor | None:
        """Return the weights of the gated features' channels; None if applied in place."""
        if len(gated) > 1 or self.pool.window is not None:
            gated.mul_(self.weigh(self.pool(gated)))
            return None
        # For one picture, a product of matrices is the fastest sum.
        pixels = gated.permute(0, 2, 3, 1).flatten(0, 2)
        mean = pixels.new_ones(1, len(pixels)) @ pixels / len(pixels)
        weights: Tensor = self.weigh(mean.view(1, -1, 1, 1))
        return weights


def _bands(features: Tensor) -> Iterator[tuple[int, int]]:
    """Divide the rows into bands that stay in a processor's cache during all operations."""
    count, channels, height, width = features.shape
    rows = height
    if features.device.type == "cpu" and features.numel() > WHOLE:
        rows = max(1, BAND // (count * channels * width))
    for start in range(0, height, rows):
        yield start, min(start + rows, height)


def _behind(norm: LayerNorm, conv: nn.Conv2d) -> nn.Conv2d:
    """Return a 1x1 convolution with the scale and shift of the norm before it merged in."""
    assert conv.bias is not None
    weight = conv.weight * norm.weight[:, None, None]
    return _filled(conv, weight, conv.bias + conv.weight[..., 0, 0] @ norm.bias)


def _scaled(conv: nn.Conv2d, scale: Tensor) -> nn.Conv2d:
    """Return a 1x1 convolution with a scale of its output, (1, C, 1, 1), merged in."""
    assert conv.bias is not None
    return _filled(conv, conv.weight * scale.view(-1, 1, 1, 1), conv.bias * scale.flatten())


def _filled(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    made = nn.Conv2d(conv.in_channels, conv.out_channels, 1, device=weight.device)
    made.weight, made.bias = nn.Parameter(weight), nn.Parameter(bias)
    return made


def _normalize(features: Tensor) -> Tensor:
    """Normalize each pixel over its channels."""
    last = features.permute(0, 2, 3, 1)
    return F.layer_norm(last, last.shape[-1:], eps=1e-6).permute(0, 3, 1, 2)


def _gate(features: Tensor) -> Tensor:
    one, other = features.chunk(2, dim=1)
    return one * other
