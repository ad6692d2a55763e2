"""What changes with the epochs of a training run."""

import math
from dataclasses import dataclass
from typing import Literal

from deblur.training.number_checks import check_not_negative


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rates fall, and how long a generator's backbone is frozen.

    Args:
        decay_epochs: The number of last epochs in which the rates fall; before, they are constant.
        decay: The curve of the fall: "linear", or "cosine", half a wave.
        decay_to: The share of the rates, 0 to 1, that they fall to.
        freeze_epochs: The number of first epochs in which the generator's pretrained backbone is
            not trained.

    Raises:
        ValueError: For values out of their ranges.
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
            raise ValueError(f"decay_to must lie in 0 to 1, got {self.decay_to}")

    def factor(self, left: float) -> float:
        """Return what the learning rates are multiplied by when `left` epochs are to come."""
        share = min(1.0, left / self.decay_epochs) if self.decay_epochs else 1.0
        if self.decay == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return self.decay_to + (1 - self.decay_to) * share
