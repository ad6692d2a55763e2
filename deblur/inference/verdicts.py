"""Remembers which arithmetic is the fastest on this machine."""

import hashlib
import json
import logging
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

import deblur
from deblur.atomic import write_text
from deblur.hardware import find_cache_folder

log = logging.getLogger(__name__)
Use = Literal["restoring", "training"]


class Verdict(NamedTuple):
    """The result of a race."""

    winner: str
    seconds: dict[str, float]
    """Of the fastest pass of each arithmetic with a correct result; `winograd` is estimated."""
    side: int
    """Of the picture, in pixels; 0 if there was nothing to compare."""

    def describe(self) -> str:
        """Return the figures as text."""
        times = (f"{name} {1e3 * taken:.1f} ms" for name, taken in self.seconds.items())
        return f"{', '.join(times)} for {self.side}x{self.side} pixels"


def settle(
    use: Use,
    network: nn.Module,
    device: torch.device,
    entrants: Sequence[str],
    hold: Callable[[], Verdict],
    *,
    sides: Sequence[int],
    override: str,
) -> Verdict:
    """Return the verdict on a network: the remembered one, or that of a new race.

    Args:
        use: What the network is used for.
        network: The network, which identifies a remembered verdict.
        device: The device.
        entrants: The arithmetics, the most accurate one first.
        hold: Runs the race.
        sides: The sides of the race's pictures, in pixels.
        override: The setting by which the user can choose instead, for the log.
    """
    exact = entrants[0]
    if len(entrants) == 1:
        log.info("precision: %s, there is no other on this %s", exact, device.type)
        return Verdict(exact, {}, 0)
    about = _describe(use, network, device, entrants, sides)
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    path = find_cache_folder() / "races" / f"{digest[:16]}.json"
    verdict = _recall(path, about)
    known = verdict is not None
    if verdict is None:
        try:
            verdict = hold()
        except (RuntimeError, ValueError) as error:
            log.info("precision: %s, since the race failed (%s)", exact, error)
            return Verdict(exact, {}, 0)
        _remember(path, about, verdict)
    log.info(
        "precision: %s for %s, the fastest on this machine (%s%s; %s overrides it)",
        *(verdict.winner, use, verdict.describe(), ", measured before" * known, override),
    )
    return verdict


def _describe(
    use: Use,
    network: nn.Module,
    device: torch.device,
    entrants: Sequence[str],
    sides: Sequence[int],
) -> dict[str, Any]:
    """List all that a verdict depends on."""
    values = network.state_dict().items()
    shapes = [(name, [*value.shape]) for name, value in values]
    # Whether a result is correct depends on the weights; training starts from initial ones.
    judged = values if use == "restoring" else []
    sums = [float(value.cpu().sum(dtype=torch.double)) for _, value in judged]
    cuda = device.type == "cuda"
    return {
        "use": use,
        "network": type(network).__qualname__,
        "weights": hashlib.sha256(json.dumps([shapes, sums]).encode()).hexdigest(),
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
        "processor": name_processor(),
        "units": [_read_processor().get(key) for key in ("model", "stepping", "flags", "Features")],
        "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "deblur": deblur.__version__,
        "entrants": [*entrants],
        "sides": [*sides],
    }


def name_processor() -> str:
    """Return the name of this machine's processor."""
    told = _read_processor().get("model name") or platform.processor()
    return f"{platform.machine()} {told}".strip()


def _read_processor() -> dict[str, str]:
    """Read Linux' description of the processor; {} on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _recall(path: Path, about: Mapping[str, Any]) -> Verdict | None:
    """Read a verdict; None if there is none, or if it is unusable."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        seconds = {str(name): float(taken) for name, taken in told["seconds"].items()}
        verdict = Verdict(str(told["winner"]), seconds, int(told["side"]))
        same = told["about"] == about and verdict.winner in about["entrants"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.debug("%s: cannot be read (%s), measured again", path, error)
        return None
    return verdict if same else None


def _remember(path: Path, about: Mapping[str, Any], verdict: Verdict) -> None:
    """Write a verdict, atomically; if that fails, it is measured again the next time."""
    text = json.dumps({**verdict._asdict(), "about": dict(about)}, indent=1) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        log.debug("%s: cannot be written (%s)", path, error)
