"""What processes die of, or sleep over; they can import it, for tests lie on their path."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from deblur.workers import Tell, Work


def die() -> None:
    """End this process as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal(nn.Module):
    """Passes pictures, but dies of those of one width, sleeps over and fails at those of others.

    once: a file; where it is given, only the process that can create it dies.
    """

    def __init__(self, once: str | None = None) -> None:
        super().__init__()
        self.once = once
        self.weight = nn.Parameter(Tensor([1.0]))

    def forward(self, blur: Tensor) -> Tensor:
        """Return (N, 3, H, W) as it is."""
        if blur.shape[-1] == DEADLY and (self.once is None or _create(self.once)):
            die()
        if blur.shape[-1] == TIRING:
            time.sleep(120)
        if blur.shape[-1] == FAILING:
            raise RuntimeError("could not create a primitive\nat::native::conv2d: advice")
        return blur * self.weight


DEADLY, TIRING, FAILING = 31, 33, 35


def _create(path: str) -> bool:
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def start(number: int) -> Work:
    """Start a process that works as `work` does."""
    return work


def start_badly(number: int) -> Work:
    """Fail to start."""
    raise FileNotFoundError("no model")


def start_and_die(number: int) -> Work:
    """Die before any work."""
    die()
    return work


def work(thing: Any, tell: Tell) -> None:
    """Tell (thing, the number of this process); die of "die", sleep over "sleep"."""
    if thing == "die" or isinstance(thing, Path) and _create(str(thing)):
        die()
    if thing == "sleep":
        tell("sleeping")
        try:
            time.sleep(120)
        finally:
            tell("woken")
    tell((thing, os.getpid()))
