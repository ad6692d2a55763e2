"""The arithmetic in which a device restores."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from deblur.hardware import has_bfloat16
from deblur.inference.example_photos import show_examples
from deblur.inference.integers import Quantized
from deblur.inference.quantized import Ranges, calibrate, quantize
from deblur.inference.race import Race, Run, hold, list_sides, start_clock
from deblur.inference.streamline import streamline
from deblur.inference.verdicts import Verdict, settle
from deblur.inference.winograd import Winograd, estimate_saving, suits, use_winograd

log = logging.getLogger(__name__)
Precision = Literal["auto", "float32", "winograd", "bfloat16", "int8"]
SIDE = 256
"""The side of the part of each example that is used, in pixels."""


def adapt(generator: nn.Module, device: torch.device, precision: Precision = "auto") -> nn.Module:
    """Copy a generator into one that restores fast on a device, and cannot be trained.

    Args:
        generator: Takes and returns (N, 3, H, W) in [-1, 1].
        device: The device to restore on.
        precision: The arithmetic. "auto" is the fastest one on this machine, by a race that is
            remembered (see `race`), among those that the device supports; it includes "int8" only
            for bundled models, for which that is known to be accurate enough. "winograd" is float32
            with fewer multiplications in larger 3x3 convolutions, on CPUs. "int8" uses 8-bit
            integers in rows of larger convolutions and in parts of MAXIM, on processors with VNNI,
            and float32 or bfloat16, by a race, elsewhere. For networks other than the bundled ones
            the ranges of features are measured on the bundled examples.

    Raises:
        ValueError: The precision is unknown, or the device does not support it.
    """
    choices = get_args(Precision)
    if precision not in choices:
        raise ValueError(f"precision must be one of {', '.join(choices)}, got {precision}")
    if precision == "int8" and not has_int8(device):
        raise ValueError(
            f"precision=int8 requires a processor with AVX-512 VNNI, not this {device.type}"
        )
    if precision == "winograd" and device.type != "cpu":
        raise ValueError(f"precision=winograd requires a CPU, not this {device.type}")
    name: str = precision
    if precision in ("auto", "int8"):
        name = _choose(generator, device, precision)
    network = _build(generator, device, name)
    special: dict[str, type[nn.Module]] = {"int8": Quantized, "winograd": Winograd}
    expected = special.get(precision, nn.Module)
    if not any(isinstance(part, expected) for part in network.modules()):
        log.warning("%s: this network has no suitable convolutions, and does not use it", precision)
    return network


def measure(generator: nn.Module, device: torch.device) -> Verdict:
    """Run the race by which "auto" chooses now, even if its result is remembered."""
    return _race(generator, device, _list_arithmetics(generator, device, "auto"))


def adapt_like(network: nn.Module, generator: nn.Module, device: torch.device) -> nn.Module:
    """Adapt a generator in the arithmetic of another adapted network, without a race.

    network: of the generator's structure, with other weights. What it keeps in floats beside
    integers stays in floats. Raises ValueError where that structure is another one.
    """
    like: Ranges | None = getattr(network, "ranges", None)
    return _build(generator, device, name_arithmetic(network), like)


def name_arithmetic(network: nn.Module) -> str:
    """Return the name of the arithmetic of a network that `adapt` has returned."""
    return str(getattr(network, "arithmetic"))


def has_int8(device: torch.device) -> bool:
    """Return whether a device has hardware for 8-bit integers that we can use."""
    return device.type == "cpu" and torch.cpu._is_vnni_supported() and torch._C._has_mkldnn


def _list_arithmetics(
    generator: nn.Module, device: torch.device, precision: Precision
) -> list[str]:
    """Return the arithmetics from which "auto" or "int8" choose, the most accurate first."""
    floats = ["float32", *(["bfloat16"] if has_bfloat16(device) else [])]
    integers = [f"int8 and {name}" for name in floats]
    if precision == "int8":
        return integers
    trusted = has_int8(device) and getattr(generator, "ranges", None) is not None
    convs = [part for part in generator.modules() if isinstance(part, nn.Conv2d)]
    if device.type == "cpu" and any(suits(conv) for conv in convs):
        floats.insert(1, "winograd")
    return [*floats, *(integers if trusted else [])]


def _choose(generator: nn.Module, device: torch.device, precision: Precision) -> str:
    """Return the arithmetic for "auto" or "int8"."""
    names = _list_arithmetics(generator, device, precision)
    sides = list_sides(generator)
    if precision == "auto":
        held = partial(_race, generator, device, names)
    else:
        entrants = {name: partial(_enter, generator, device, name) for name in names}
        held = partial(hold, device, entrants, sides)
    told = settle("restoring", generator, device, names, held, sides=sides, override="--precision")
    return told.winner


def _race(generator: nn.Module, device: torch.device, names: Sequence[str]) -> Verdict:
    """Run the race for "auto" between the named arithmetics, of which the first is float32.

    To build a network takes as long as to time it. So there is one with integers, whose other
    layers are in the faster float, and none for Winograd's algorithm, whose time is estimated.
    """
    with start_clock(device) as clock:
        exact = _build(generator, device, "float32")
        race = Race("float32", _run(exact, device), clock, list_sides(generator))
        if "bfloat16" in names:
            race.enter("bfloat16", _enter(generator, device, "bfloat16"))
        race.run()
        rest = race.decide().winner
        if (integers := f"int8 and {rest}") in names:
            race.enter(integers, _enter(generator, device, integers))
            race.run([rest, integers])
        if "winograd" in names:
            saving = estimate_saving(exact, race.picture, clock)
            race.estimate("winograd", race.seconds["float32"] - saving)
        return race.decide()


def _enter(generator: nn.Module, device: torch.device, name: str) -> Run:
    """Build a network for a race."""
    return _run(_build(generator, device, name), device)


def _run(network: nn.Module, device: torch.device) -> Run:
    @torch.inference_mode()
    def run(picture: Tensor) -> Tensor:
        restored: Tensor = network(picture.to(device))
        return restored

    return run


@torch.inference_mode()
def _build(
    generator: nn.Module, device: torch.device, name: str, like: Ranges | None = None
) -> nn.Module:
    """Copy a generator into one with the named arithmetic.

    like: ranges for other weights; where they have None, measured ones have None, too.
    """
    integers, _, rest = name.rpartition(" and ")
    dtype = torch.bfloat16 if rest == "bfloat16" else torch.float32
    network = streamline(generator, device, dtype)
    if rest == "winograd":
        use_winograd(network)
    if integers:
        ranges: Ranges | None = getattr(generator, "ranges", None)
        if not ranges:
            ranges = calibrate(network, show_examples(SIDE, SIDE))
            if like:
                ranges = [
                    None if old is None else new for old, new in zip(like, ranges, strict=True)
                ]
        quantize(network, ranges)
        setattr(network, "ranges", ranges)  # for `adapt_like`
    setattr(network, "arithmetic", name)
    return network
