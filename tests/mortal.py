"""A network that kills the process that runs it: `--trust mortal`."""

import time

from errands import create, die
from torch import Tensor, nn

DEADLY, TIRING, FAILING = 31, 33, 35
"""Widths of pictures."""


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
        if blur.shape[-1] == DEADLY and (self.once is None or create(self.once)):
            die()
        if blur.shape[-1] == TIRING:
            time.sleep(120)
        if blur.shape[-1] == FAILING:
            raise RuntimeError("could not create a primitive\nat::native::conv2d: advice")
        return blur * self.weight
