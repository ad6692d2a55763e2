"""Finds the fastest arithmetic on this machine by a race."""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn

from deblur.hardware import has_bfloat16, place, synchronize
from deblur.inference.example_photos import show_examples
from deblur.inference.threads import single_threaded
from deblur.inference.verdicts import Verdict, settle

log = logging.getLogger(__name__)
Run = Callable[[Tensor], Tensor | None]
"""Processes a picture (1, 3, H, W) once; returns the restored one if results are compared."""
Clock = Callable[[], float]
SIDES = (64, 128, 256, 512, 1024)
"""Sides of the picture, in pixels."""
WHOLE = 256
"""The side of the photo's part that larger pictures repeat, in pixels."""
BUDGET = 0.08
"""Seconds that a pass may take."""
ROUNDS, ENOUGH = 3, 0.15
"""How often each arithmetic runs, and the seconds after which the race ends earlier."""
MARGIN = 1.05
"""How many times as fast a less accurate arithmetic must be to win."""
EQUAL = 80.0
"""The PSNR, in dB, to the most accurate arithmetic from which one is as accurate."""
HOPELESS = 1.5
"""An arithmetic this many times as slow as the fastest one does not run again."""
RIGHT = 40.0
"""The least PSNR, in dB, of a correct result to that of the most accurate arithmetic."""


class Race:
    """A race of arithmetics on a bundled example.

    Args:
        exact: The name of the most accurate arithmetic.
        run: That arithmetic.
        clock: Waits until the device is idle, and returns the time in seconds.
        sides: The sides of pictures to choose from, in pixels, rising.
    """

    def __init__(self, exact: str, run: Run, clock: Clock, sides: Sequence[int] = SIDES) -> None:
        self.exact, self.clock = exact, clock
        self.picture, self.output, taken = _find_picture(run, clock, sides)
        self.seconds = {exact: taken}
        self.runs = {exact: run}
        self.equal = {exact: True}

    def enter(self, name: str, run: Run) -> None:
        """Let an arithmetic take part, unless its result is wrong."""
        close = _compare(run(self.picture), self.output)  # and warm up
        if close < RIGHT:
            log.warning("precision: %s computes wrongly on this machine and is not used", name)
            return
        self.runs[name], self.equal[name] = run, close >= EQUAL

    def run(self, names: Sequence[str] = ()) -> None:
        """Time some arithmetics, or all that take part; at first those without a time."""
        left = [name for name in names or self.runs if name in self.runs]
        begun = self.clock()
        for repeated in range(ROUNDS):
            for name in left:
                if repeated or name not in self.seconds:
                    self._time(name)
            fastest = min(self.seconds.values())
            left = [name for name in left if self.seconds[name] <= HOPELESS * fastest]
            if len(left) < 2 or self.clock() - begun > ENOUGH:
                break

    def _time(self, name: str) -> None:
        start = self.clock()
        self.runs[name](self.picture)
        taken = self.clock() - start
        self.seconds[name] = min(self.seconds.get(name, math.inf), taken)

    def estimate(self, name: str, seconds: float) -> None:
        """Note the time of an arithmetic as accurate as the most accurate one, without a pass."""
        self.seconds[name], self.equal[name] = seconds, True

    def decide(self) -> Verdict:
        """Return the verdict on all arithmetics that were timed."""
        winner = self.exact
        for name, taken in self.seconds.items():
            if taken * (1 if self.equal[name] else MARGIN) < self.seconds[winner]:
                winner = name
        return Verdict(winner, self.seconds, self.picture.shape[-1])


def list_sides(network: nn.Module, largest: int = SIDES[-1]) -> list[int]:
    """List the sides of the pictures that a network can race on, in pixels; at least one.

    They are not below the network's stride: padding would overrate the parts with the largest one.
    """
    stride = getattr(network, "stride", 0)  # of another's network it may be anything
    least = min(stride, SIDES[-1]) if isinstance(stride, int) else 0
    sides = [side for side in SIDES if least <= side <= largest]
    return sides or [next(side for side in SIDES if side >= least)]


@contextmanager
def start_clock(device: torch.device) -> Iterator[Clock]:
    """Provide a clock for a race on a device.

    On a CPU PyTorch takes one thread, whose processor time is measured: on a busy machine, threads
    that wait for each other would hide the differences.
    """
    # Windows measures a process' time in steps of 16 ms.
    own = device.type == "cpu" and os.name == "posix"
    read = time.process_time if own else time.perf_counter

    def clock() -> float:
        synchronize(device)
        return read()

    with single_threaded() if device.type == "cpu" else nullcontext():
        yield clock


def hold(
    device: torch.device, entrants: Mapping[str, Callable[[], Run]], sides: Sequence[int]
) -> Verdict:
    """Let all arithmetics run; entrants: functions that build them, the most accurate one first."""
    (exact, build), *others = entrants.items()
    with start_clock(device) as clock:
        race = Race(exact, build(), clock, sides)
        for name, build in others:
            race.enter(name, build())
        race.run()
        return race.decide()


def race_training(generator: nn.Module, device: torch.device, crop: int) -> str:
    """Choose Lightning's training precision for a generator: "32-true" or "bf16-mixed".

    The race is between forward and backward passes of a copy. crop: the side of the training
    pictures, in pixels.
    """
    precisions = {"float32": "32-true", "bfloat16": "bf16-mixed"}
    swift = has_bfloat16(device)
    entrants = {
        name: partial(_make_step, generator, device, name == "bfloat16")
        for name in (precisions if swift else ["float32"])
    }
    sides = list_sides(generator, max(crop, SIDES[0]))
    with torch.random.fork_rng(enabled=swift):  # the race must not change the run's random numbers
        verdict = settle(
            *("training", generator, device, [*entrants], partial(hold, device, entrants, sides)),
            sides=sides,
            override="trainer.precision=32-true or bf16-mixed",
        )
    return precisions[verdict.winner]


def _compare(output: Tensor | None, exact: Tensor | None) -> float:
    """Return the PSNR to the exact result, in dB; `RIGHT` where there are none."""
    if output is None or exact is None:
        return RIGHT
    error = float((output.float() - exact.float()).square().mean())
    return 10 * math.log10(4 / max(error, 1e-20)) if math.isfinite(error) else -math.inf


def _make_step(generator: nn.Module, device: torch.device, swift: bool) -> Run:
    network = place(deepcopy(generator), device).train()

    def run(picture: Tensor) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=swift):
            restored = network(picture.to(device))
        restored.float().square().mean().backward()
        network.zero_grad()

    return run


def _find_picture(
    run: Run, clock: Clock, sides: Sequence[int]
) -> tuple[Tensor, Tensor | None, float]:
    """Return the largest bundled example that takes `BUDGET` at most, its result and seconds."""
    for side in sides:
        part = min(side, WHOLE)
        # The middle of the photo: its corners have little that a network could get wrong or right.
        picture = next(show_examples(part, part)).repeat(1, 1, side // part, side // part)
        output = run(picture)  # warm-up
        start = clock()
        run(picture)
        taken = clock() - start
        if 4 * taken > BUDGET:
            break
    return picture, output, taken
