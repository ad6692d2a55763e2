"""Convolutions fused with the norms, activations and sums that follow them."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from deblur.networks.padding import reflect

Activation = Literal["none", "relu", "relu6", "leaky_relu"]
SLOPE = 0.2
"""The slope of MAXIM's leaky ReLU."""
ONEDNN: Any = torch.ops.mkldnn
"""oneDNN's fused convolutions, which torch.compile also uses on CPUs."""
FUSED: dict[str, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
    "leaky_relu": ("leaky_relu", [SLOPE]),
}


class Conv(nn.Module):
    """A convolution, with the batch norm, the activation and the sum that follow it.

    Args:
        conv: The convolution, padded with zeros or by reflection, as `find_padding` finds it.
        norm: The batch norm after it.
        activation: The activation after that.
        reflect: Pixels of reflection padding before it, on each side.
        dtype: The type of its arithmetic and output, for any type of input.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        norm: nn.BatchNorm2d | None = None,
        activation: Activation = "none",
        *,
        reflect: int = 0,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        fused = fuse_conv_bn_eval(conv, norm) if norm is not None else conv
        self.weight, self.bias = _constants(fused, dtype)
        self.rim: Sequence[Any] = (reflect, reflect) if reflect else ()
        padding = find_padding(conv)
        if padding is None:
            raise ValueError("the padding of opposite sides differs")
        self.padding = padding
        if conv.padding_mode == "reflect":
            self.rim, self.padding = self.padding[::-1], (0, 0)
        self.stride, self.dilation, self.groups = conv.stride, conv.dilation, conv.groups
        self.activation = activation
        self.packed: Tensor | None = None
        self.packed_for: torch.Size | None = None

    def forward(
        self, features: Tensor, add: Tensor | None = None, scale: Tensor | None = None
    ) -> Tensor:
        """Map (N, C, H, W).

        add: added to the output, with the same shape and type; requires no activation. scale:
        factors of the input's channels, (1, C, 1, 1).
        """
        features = _lay_out(features, self.weight)
        if self.rim:
            features = reflect(features, *self.rim)
        weight = self.weight if scale is None else self.weight * scale.to(self.weight.dtype)
        if _has_onednn(features):
            return self._convolve(features, weight, add)
        settings = self.stride, self.padding, self.dilation, self.groups
        output = F.conv2d(features, weight, _cast(self.bias, weight), *settings)
        return _activate(output, self.activation) if add is None else output.add_(add)

    def _convolve(self, features: Tensor, weight: Tensor, add: Tensor | None) -> Tensor:
        settings = self.padding, self.stride, self.dilation, self.groups
        if weight is self.weight:
            # For another size of input, oneDNN may use another layout of the weight. Converting
            # between two of its layouts in each call would take 20 times as long as from ours.
            if self.packed is None or self.packed_for != features.shape:
                self.packed_for = features.shape
                size = [*features.shape]
                self.packed = ONEDNN._reorder_convolution_weight(weight, *settings, size)
            weight = self.packed
        pointwise = ONEDNN._convolution_pointwise
        output: Tensor = (
            pointwise(features, weight, self.bias, *settings, *FUSED[self.activation], "")
            if add is None
            else pointwise.binary(
                *(features, add, weight, _cast(self.bias, self.weight)),
                *(*settings, "add", None, None, [], None),
            )
        )
        return output


class Deconv(nn.Module):
    """A transposed convolution, with the batch norm and the activation that follow it.

    The arguments are those of `Conv`.
    """

    def __init__(
        self,
        conv: nn.ConvTranspose2d,
        norm: nn.BatchNorm2d | None = None,
        activation: Activation = "none",
        *,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        fused = fuse_conv_bn_eval(conv, norm, transpose=True) if norm is not None else conv
        self.weight, self.bias = _constants(fused, dtype)
        self.settings: Any = (
            *(conv.padding, conv.output_padding, conv.stride, conv.dilation),
            conv.groups,
        )
        self.activation = activation

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W)."""
        features = _lay_out(features, self.weight)
        if _has_onednn(features):
            mapped: Tensor = ONEDNN._convolution_transpose_pointwise(
                features, self.weight, self.bias, *self.settings, *FUSED[self.activation], ""
            )
            return mapped
        padding, output_padding, stride, dilation, groups = self.settings
        output = F.conv_transpose2d(
            *(features, self.weight, _cast(self.bias, self.weight)),
            *(stride, padding, output_padding, groups, dilation),
        )
        return _activate(output, self.activation)


def find_padding(conv: nn.Conv2d) -> tuple[int, int] | None:
    """Return the rows and columns that a convolution adds on each side; None if sides differ."""
    left, right, above, below = conv._reversed_padding_repeated_twice  # "same" in numbers, too
    return (above, left) if (above, left) == (below, right) else None


def enlarging(conv: nn.Conv2d) -> nn.ConvTranspose2d:
    """Return one layer equal to doubling pixels and a 3x3 convolution, padded with zeros.

    Of the nine products of each output pixel, those with equal inputs are merged: four are left.
    """
    doubled = nn.ConvTranspose2d(
        conv.in_channels, conv.out_channels, 4, stride=2, padding=1, bias=conv.bias is not None
    )
    kernel = F.conv_transpose2d(
        conv.weight.detach().double().flatten(0, 1)[:, None],
        torch.ones(1, 1, 2, 2, dtype=torch.double, device=conv.weight.device),
    )
    kernel = kernel.view(*conv.weight.shape[:2], 4, 4)
    doubled.weight = nn.Parameter(kernel.flip(-2, -1).transpose(0, 1).to(conv.weight.dtype))
    doubled.bias = conv.bias
    return doubled.eval()


def shuffling(conv: nn.Conv2d, times: int) -> nn.ConvTranspose2d:
    """Return one layer equal to a 1x1 convolution and the shuffling of channels into pixels."""
    channels = conv.out_channels // times**2
    shuffled = nn.ConvTranspose2d(conv.in_channels, channels, times, stride=times, bias=False)
    kernel = conv.weight.detach().view(channels, times, times, conv.in_channels)
    shuffled.weight = nn.Parameter(kernel.permute(3, 0, 1, 2))
    return shuffled.eval()


def _constants(conv: Any, dtype: torch.dtype) -> tuple[nn.Buffer, nn.Buffer | None]:
    """Return a convolution's weight, in `dtype`, and its bias, in float32."""
    weight = conv.weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
    return nn.Buffer(weight), None if conv.bias is None else nn.Buffer(conv.bias.detach())


def _cast(bias: Tensor | None, weight: Tensor) -> Tensor | None:
    return None if bias is None else bias.to(weight.dtype)


def _lay_out(features: Tensor, weight: Tensor) -> Tensor:
    on_mps = features.device.type == "mps"
    layout = torch.contiguous_format if on_mps else torch.channels_last
    return features.to(weight.dtype).contiguous(memory_format=layout)


def _has_onednn(features: Tensor) -> bool:
    return features.device.type == "cpu" and torch._C._has_mkldnn


def _activate(features: Tensor, activation: Activation) -> Tensor:
    if activation == "relu":
        return features.relu_()
    if activation == "leaky_relu":
        return F.leaky_relu_(features, SLOPE)
    return features.clamp_(0, 6) if activation == "relu6" else features
