"""In which arithmetic a device restores."""

import logging
from typing import Literal, get_args

import torch
from torch import nn

from deblur.hardware import has_bfloat16
from deblur.inference.example_photos import show_examples
from deblur.inference.quantized import Row, quantize
from deblur.inference.streamline import streamline

log = logging.getLogger(__name__)
Precision = Literal["auto", "float32", "bfloat16", "int8"]
SIDE = 256
"""Of what is seen of each example."""


def adapt(generator: nn.Module, device: torch.device, precision: Precision = "auto") -> nn.Module:
    """Copy a generator into one that restores fast on a device, and cannot be trained.

    precision: of its arithmetic. "auto" is bfloat16 where the device has units for it, else
    float32. "int8" is 8-bit integers in rows of larger convolutions, of features' ranges on the
    examples that come along, and as "auto" in the rest: faster, but not as exact; on processors
    with VNNI. Raises ValueError.
    """
    choices = get_args(Precision)
    if precision not in choices:
        raise ValueError(f"precision must be one of {', '.join(choices)}, got {precision}")
    network = streamline(generator, device, _pick(device, precision))
    if precision != "int8":
        return network
    if not has_int8(device):
        raise ValueError(
            f"precision=int8 is for processors with AVX-512 VNNI, not for this {device.type}"
        )
    with torch.inference_mode():
        quantize(network, show_examples(SIDE, SIDE))
    if not any(isinstance(module, Row) for module in network.modules()):
        log.warning("int8: this network has no rows of convolutions for it, and stays as it was")
    return network


def name_arithmetic(device: torch.device, precision: Precision) -> str:
    """Name the arithmetic in which `adapt` makes a network restore, "auto" by what it becomes."""
    rest = str(_pick(device, precision)).removeprefix("torch.")
    return f"int8 and {rest}" if precision == "int8" else rest


def _pick(device: torch.device, precision: Precision) -> torch.dtype:
    swift = precision == "bfloat16" or (precision != "float32" and has_bfloat16(device))
    return torch.bfloat16 if swift else torch.float32


def has_int8(device: torch.device) -> bool:
    """Say whether a device multiplies 8-bit integers in units made for it, and we know how."""
    return device.type == "cpu" and torch.cpu._is_vnni_supported() and torch._C._has_mkldnn
