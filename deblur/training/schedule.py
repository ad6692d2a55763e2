"""Learning rates and frozen layers as functions of the epoch."""

import math
from dataclasses import dataclass
from typing import Literal

from deblur.training.number_checks import check_not_negative


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rates fall, and how long a generator's backbone is frozen.

    Args:
        decay_epochs: The number of last epochs in which the rates fall; before, they are constant.
        decay: The curve of the fall: "linear", or "cosine" (half a cosine wave).
        decay_to: The final rates, as a share of the initial ones, 0 to 1.
        freeze_epochs: The number of first epochs in which the generator's pretrained backbone is
            not trained.

    Raises:
        ValueError: A value is out of its range.
    """

    decay_epochs: int = 0
    decay: Literal["linear", "cosine"] = "linear"
    decay_to: float = 0.0
    freeze_epochs: int = 0

    def __post_init__(self) -> None:
        check_not_negative({"decay_epochs": self.decay_epochs, "freeze_epochs": self.freeze_epochs})
        if self.decay not in ("linear", "cosine"):
            raise ValueError(f"decay must be linear or cosine, got {self.decay}")
        if not 0 <= self.decay_to <= 1:
            raise ValueError(f"decay_to must be 0 to 1, got {self.decay_to}")

    def factor(self, left: float) -> float:
        """Return the factor of the learning rates when `left` epochs remain."""
        share = min(1.0, left / self.decay_epochs) if self.decay_epochs else 1.0
        if self.decay == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return self.decay_to + (1 - self.decay_to) * share
