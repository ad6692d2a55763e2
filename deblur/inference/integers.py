"""Layers that compute in 8-bit integers, with oneDNN."""

from copy import copy
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.inference.convolutions import FUSED, SLOPE, Conv
from deblur.inference.multi_axis import Dense, Normalize
from deblur.networks.multi_axis import EPS
from deblur.networks.padding import reflect

ONEDNN: Any = torch.ops.onednn
TINY = 1e-12


class Scale(NamedTuple):
    """The scale of features in integers from 0 to 255: an integer is value / step + zero."""

    step: float
    zero: int


class Quantized(nn.Module):
    """A `Conv` in integers.

    given, gives: the scales of its input and its output; None for an output in the type of `conv`.
    """

    def __init__(self, conv: Conv, given: Scale, gives: Scale | None) -> None:
        super().__init__()
        self.given, self.rim = given, conv.rim
        whole, self.steps, self.zeros = _round_weight(conv.weight)
        self.settings: Any = [*conv.stride], [*conv.padding], [*conv.dilation], conv.groups
        self.weight = ONEDNN.qconv_prepack(whole, self.steps, *given, *self.settings, None)
        self.bias, self.activation = conv.bias, FUSED[conv.activation]
        self.gives: Any = (*gives, torch.uint8) if gives else (1.0, 0, conv.weight.dtype)

    def forward(self, features: Tensor, add: Tensor | None = None, scale: Any = None) -> Tensor:
        """Map (N, C, H, W) in uint8; `add`, of the output's shape and scale, is overwritten."""
        if self.rim:
            features = reflect(features, *self.rim)
        given = features, *self.given, self.weight, self.steps, self.zeros
        rest = self.bias, *self.settings, *self.gives
        output: Tensor = (
            ONEDNN.qconv_pointwise(*given, *rest, *self.activation, "")
            if add is None
            else ONEDNN.qconv2d_pointwise.binary(
                *(*given, add, *rest, *scale, "sum", 1.0, *self.activation, "")
            )
        )
        return output


class QuantizedLeaky(nn.Module):
    """A `Conv` with a leaky ReLU, which oneDNN cannot fuse, in integers.

    The arguments are those of `Quantized`.
    """

    def __init__(self, conv: Conv, given: Scale, gives: Scale) -> None:
        super().__init__()
        linear = copy(conv)
        linear.activation = "none"
        self.conv, self.gives = Quantized(linear, given, None), gives
        self.offset = nn.Buffer(torch.tensor(gives.zero + 0.5))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) in uint8."""
        output = F.leaky_relu_(self.conv(features), SLOPE).float()
        return _truncate(torch.add(self.offset, output, alpha=1 / self.gives.step))


class QuantizedDense(nn.Module):
    """A `Dense` in integers, with its GELU but without a sum; given: the scale of its input."""

    def __init__(self, dense: Dense, given: Scale) -> None:
        super().__init__()
        self.given, self.dtype = given, dense.weight.dtype
        whole, self.steps, self.zeros = _round_weight(dense.weight)
        self.weight = ONEDNN.qlinear_prepack(whole, None)
        self.bias = None if dense.bias is None else nn.Buffer(dense.bias.float())
        form = "tanh" if dense.gelu == "tanh" else "none"
        self.activation: Any = ("none", [], "") if dense.gelu is None else ("gelu", [], form)

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., inputs) in uint8 to (..., outputs)."""
        given = features, *self.given, self.weight, self.steps, self.zeros, self.bias
        output: Tensor = ONEDNN.qlinear_pointwise(*given, 1.0, 0, self.dtype, *self.activation)
        return output


class QuantizedNorm(nn.Module):
    """A layer norm whose output is in integers.

    norm: An `nn.LayerNorm` or a `Normalize`. gives: the scale of the integers.
    """

    def __init__(self, norm: Any, gives: Scale) -> None:
        super().__init__()
        scaled = isinstance(norm, Normalize)
        weight, bias = (norm.ones, norm.zeros) if scaled else (norm.weight, norm.bias)
        # The norm's own scale and shift make the steps; 0.5, since they are truncated.
        self.weight = nn.Buffer(weight.detach().float() / gives.step)
        self.bias = nn.Buffer(bias.detach().float() / gives.step + gives.zero + 0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Normalize (..., C) over its channels."""
        shape = self.weight.shape
        return _truncate(F.layer_norm(features.float(), shape, self.weight, self.bias, EPS))


def _truncate(steps: Tensor) -> Tensor:
    """Truncate floats to uint8; by way of int16, which takes a quarter of the time."""
    return steps.to(torch.int16).clamp_(0, 255).to(torch.uint8)


def _round_weight(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a weight in int8, the steps of its outputs, and their zeros."""
    weight = weight.float()
    steps = weight.abs().flatten(1).amax(1).clamp(min=TINY) / 127
    whole = (weight / steps.view(-1, *[1] * (weight.ndim - 1))).round().to(torch.int8)
    return whole, nn.Buffer(steps), nn.Buffer(torch.zeros(len(weight), dtype=torch.int64))
