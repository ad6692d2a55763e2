"""Finds the fastest arithmetic on this machine by a race, whose result is remembered."""

import hashlib
import json
import logging
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

import deblur
from deblur.atomic import write_text
from deblur.hardware import find_cache_folder, has_bfloat16, place, synchronize
from deblur.inference.example_photos import show_examples
from deblur.inference.threads import single_threaded

log = logging.getLogger(__name__)
Run = Callable[[Tensor], Tensor | None]
"""Processes a picture (1, 3, H, W) once; returns the restored one if results are compared."""
Clock = Callable[[], float]
Use = Literal["restoring", "training"]
SIDES = (64, 128, 256, 512, 1024)
"""Sides of the picture, in pixels."""
WHOLE = 256
"""The side of the photo's part that larger pictures repeat, in pixels."""
BUDGET = 0.08
"""Seconds that a pass may take."""
ROUNDS, ENOUGH = 3, 0.4
"""How often each arithmetic runs, and the seconds after which the race ends earlier."""
MARGIN = 1.05
"""How many times as fast a less accurate arithmetic must be to win."""
EQUAL = 80.0
"""The PSNR, in dB, to the most accurate arithmetic from which one is as accurate."""
HOPELESS = 2.0
"""An arithmetic this many times as slow as the fastest one does not run again."""
RIGHT = 40.0
"""The least PSNR, in dB, of a correct result to that of the most accurate arithmetic."""


class Verdict(NamedTuple):
    """The result of a race."""

    winner: str
    seconds: dict[str, float]
    """Of the fastest pass of each arithmetic with a correct result."""
    side: int
    """Of the picture, in pixels; 0 if there was nothing to compare."""

    def describe(self) -> str:
        """Return the figures as text."""
        times = (f"{name} {1e3 * taken:.1f} ms" for name, taken in self.seconds.items())
        return f"{', '.join(times)} for {self.side}x{self.side} pixels"


def list_sides(network: nn.Module, largest: int = SIDES[-1]) -> list[int]:
    """List the sides of the pictures that a network can race on, in pixels; at least one.

    They are not below the network's stride: padding would overrate the parts with the largest one.
    """
    stride = getattr(network, "stride", 0)  # of another's network it may be anything
    least = min(stride, SIDES[-1]) if isinstance(stride, int) else 0
    sides = [side for side in SIDES if least <= side <= largest]
    return sides or [next(side for side in SIDES if side >= least)]


def hold(runs: Mapping[str, Run], clock: Clock, sides: Sequence[int] = SIDES) -> Verdict:
    """Run a race of arithmetics on a bundled example.

    Args:
        runs: The arithmetics, by name, the most accurate one first. Those whose result has a PSNR
            below `RIGHT` to the first one's are excluded.
        clock: Waits until the device is idle, and returns the time in seconds.
        sides: The sides of pictures to choose from, in pixels, rising.
    """
    exact = next(iter(runs))
    picture, output = _find_picture(runs[exact], clock, sides)
    outputs = {exact: output}
    outputs |= {name: run(picture) for name, run in runs.items() if name != exact}  # and warm up
    close = {name: _compare(outputs[name], output) for name in runs}
    left = [name for name in runs if close[name] >= RIGHT]
    for name in runs.keys() - left:
        log.warning("precision: %s computes wrongly on this machine and is not used", name)
    seconds = dict.fromkeys(left, math.inf)
    begun = clock()
    for _ in range(ROUNDS):
        for name in left:
            start = clock()
            runs[name](picture)
            seconds[name] = min(seconds[name], clock() - start)
        fastest = min(seconds.values())
        left = [name for name in left if seconds[name] <= HOPELESS * fastest]
        if len(left) == 1 or clock() - begun > ENOUGH:
            break
    winner = exact
    for name, taken in seconds.items():
        if taken * (1 if close[name] >= EQUAL else MARGIN) < seconds[winner]:
            winner = name
    return Verdict(winner, seconds, picture.shape[-1])


def hold_on(device: torch.device, runs: Mapping[str, Run], sides: Sequence[int] = SIDES) -> Verdict:
    """Run a race of arithmetics on a device; see `hold`.

    On a CPU they run in one thread, and its processor time is measured: on a busy machine, threads
    that wait for each other would hide the differences.
    """
    with single_threaded() if device.type == "cpu" else nullcontext():
        return hold(runs, make_clock(device), sides)


def settle(
    use: Use,
    network: nn.Module,
    device: torch.device,
    entrants: Mapping[str, Callable[[], Run]],
    *,
    override: str,
    largest: int = SIDES[-1],
) -> Verdict:
    """Return the verdict on a network: the remembered one, or that of a new race.

    Args:
        use: What the network is used for.
        network: The network, which identifies a remembered verdict.
        device: The device.
        entrants: Functions that build the runs, by arithmetic, the most accurate one first.
        override: The setting by which the user can choose instead, for the log.
        largest: The largest side of the picture, in pixels.
    """
    exact = next(iter(entrants))
    if len(entrants) == 1:
        log.info("precision: %s, there is no other on this %s", exact, device.type)
        return Verdict(exact, {}, 0)
    sides = list_sides(network, largest)
    about = _describe(use, network, device, [*entrants], sides)
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    path = find_cache_folder() / "races" / f"{digest[:16]}.json"
    verdict = _recall(path, about)
    known = verdict is not None
    if verdict is None:
        runs = {name: build() for name, build in entrants.items()}
        try:
            verdict = hold_on(device, runs, sides)
        except (RuntimeError, ValueError) as error:
            log.info("precision: %s, since the race failed (%s)", exact, error)
            return Verdict(exact, {}, 0)
        _remember(path, about, verdict)
    log.info(
        "precision: %s for %s, the fastest on this machine (%s%s; %s overrides it)",
        *(verdict.winner, use, verdict.describe(), ", measured before" * known, override),
    )
    return verdict


def make_clock(device: torch.device) -> Clock:
    """Return a clock for a device; on a CPU it measures only this process' processor time."""
    # Windows measures a process' time in steps of 16 ms.
    own = device.type == "cpu" and os.name == "posix"
    read = time.process_time if own else time.perf_counter

    def clock() -> float:
        synchronize(device)
        return read()

    return clock


def race_training(generator: nn.Module, device: torch.device, crop: int) -> str:
    """Choose Lightning's training precision for a generator: "32-true" or "bf16-mixed".

    The race is between forward and backward passes of a copy. crop: the side of the training
    pictures, in pixels.
    """
    precisions = {"float32": "32-true", "bfloat16": "bf16-mixed"}
    swift = has_bfloat16(device)
    entrants = {
        name: lambda name=name: _make_step(generator, device, name == "bfloat16")
        for name in (precisions if swift else ["float32"])
    }
    with torch.random.fork_rng(enabled=swift):  # the race must not change the run's random numbers
        verdict = settle(
            *("training", generator, device, entrants),
            override="trainer.precision=32-true or bf16-mixed",
            largest=max(crop, SIDES[0]),
        )
    return precisions[verdict.winner]


def _make_step(generator: nn.Module, device: torch.device, swift: bool) -> Run:
    network = place(deepcopy(generator), device).train()

    def run(picture: Tensor) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=swift):
            restored = network(picture.to(device))
        restored.float().square().mean().backward()
        network.zero_grad()

    return run


def _find_picture(run: Run, clock: Clock, sides: Sequence[int]) -> tuple[Tensor, Tensor | None]:
    """Return the largest bundled example that takes at most `BUDGET` seconds, and its result."""
    for side in sides:
        part = min(side, WHOLE)
        # The middle of the photo: its corners have little that a network could get wrong or right.
        picture = show_examples(part, part)[0].repeat(1, 1, side // part, side // part)
        output = run(picture)  # warm-up
        start = clock()
        run(picture)
        if 4 * (clock() - start) > BUDGET:
            break
    return picture, output


def _compare(output: Tensor | None, exact: Tensor | None) -> float:
    """Return the PSNR to the exact result, in dB; `RIGHT` where there are none."""
    if output is None or exact is None:
        return RIGHT
    error = float((output.float() - exact.float()).square().mean())
    return 10 * math.log10(4 / max(error, 1e-20)) if math.isfinite(error) else -math.inf


def _describe(
    use: Use, network: nn.Module, device: torch.device, entrants: Sequence[str], sides: list[int]
) -> dict[str, Any]:
    """List all that a verdict depends on."""
    values = network.state_dict().items()
    shapes = [(name, [*value.shape]) for name, value in values]
    # Whether a result is correct depends on the weights; training starts from initial ones.
    sums = [float(value.sum(dtype=torch.double)) for _, value in values] * (use == "restoring")
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
        "sides": sides,
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
