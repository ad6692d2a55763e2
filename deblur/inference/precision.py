"""In which arithmetic a device restores."""

import logging
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from deblur.hardware import has_bfloat16
from deblur.inference.example_photos import show_examples
from deblur.inference.quantized import Ranges, Row, calibrate, quantize
from deblur.inference.race import Run, Verdict, hold_on, settle
from deblur.inference.streamline import streamline

log = logging.getLogger(__name__)
Precision = Literal["auto", "float32", "bfloat16", "int8"]
SIDE = 256
"""Of what is seen of each example."""


def adapt(generator: nn.Module, device: torch.device, precision: Precision = "auto") -> nn.Module:
    """Copy a generator into one that restores fast on a device, and cannot be trained.

    Args:
        generator: takes and returns (N, 3, H, W) in [-1, 1].
        device: where it is to restore.
        precision: of its arithmetic. "auto" is the fastest one on this machine, by a race that is
            remembered (see `race`), among those that the device has units for; "int8" takes part
            for shipped models alone, of which it is known to be exact enough. "int8" is 8-bit
            integers in rows of larger convolutions, on processors with VNNI; of other networks than
            the shipped ones features' ranges are those on the bundled examples. What the rest is
            computed in, float32 or bfloat16, is chosen by a race, too.

    Raises ValueError.
    """
    choices = get_args(Precision)
    if precision not in choices:
        raise ValueError(f"precision must be one of {', '.join(choices)}, got {precision}")
    if precision == "int8" and not has_int8(device):
        raise ValueError(
            f"precision=int8 is for processors with AVX-512 VNNI, not for this {device.type}"
        )
    name: str = precision
    if precision in ("auto", "int8"):
        names = _list_arithmetics(generator, device, precision)
        entrants = {name: partial(_enter, generator, device, name) for name in names}
        name = settle("restoring", generator, device, entrants, override="--precision").winner
    network = _build(generator, device, name)
    if precision == "int8" and not any(isinstance(part, Row) for part in network.modules()):
        log.warning("int8: this network has no rows of convolutions for it, and stays as it was")
    return network


def measure(generator: nn.Module, device: torch.device) -> Verdict:
    """Let the arithmetics among which "auto" chooses race now, whatever is remembered."""
    names = _list_arithmetics(generator, device, "auto")
    runs = {name: _enter(generator, device, name) for name in names}
    return hold_on(device, runs)


def name_arithmetic(network: nn.Module) -> str:
    """Name the arithmetic in which a network that `adapt` has made restores."""
    return str(getattr(network, "arithmetic"))


def has_int8(device: torch.device) -> bool:
    """Return whether a device multiplies 8-bit integers in units made for it, and we know how."""
    return device.type == "cpu" and torch.cpu._is_vnni_supported() and torch._C._has_mkldnn


def _list_arithmetics(
    generator: nn.Module, device: torch.device, precision: Precision
) -> list[str]:
    """Return the arithmetics that "auto" or "int8" choose among, the most exact first."""
    floats = ["float32", *(["bfloat16"] if has_bfloat16(device) else [])]
    integers = [f"int8 and {name}" for name in floats]
    if precision == "int8":
        return integers
    trusted = has_int8(device) and getattr(generator, "ranges", None) is not None
    return [*floats, *(integers if trusted else [])]


def _enter(generator: nn.Module, device: torch.device, name: str) -> Run:
    """Build a network for a race."""
    network = _build(generator, device, name)

    @torch.inference_mode()
    def run(picture: Tensor) -> Tensor:
        restored: Tensor = network(picture.to(device))
        return restored

    return run


@torch.inference_mode()
def _build(generator: nn.Module, device: torch.device, name: str) -> nn.Module:
    """Copy a generator into one of an arithmetic."""
    integers, _, rest = name.rpartition(" and ")
    network = streamline(generator, device, getattr(torch, rest))
    if integers:
        ranges: Ranges | None = getattr(generator, "ranges", None)
        quantize(network, ranges or calibrate(network, show_examples(SIDE, SIDE)))
    setattr(network, "arithmetic", name)
    return network
