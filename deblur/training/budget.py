"""A run that ends after so many minutes, and how long any run has still to go."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from deblur.training.checkpointing import find_place
from deblur.training.gan import DeblurGAN


class Budget(Callback):
    """Ends a run once it has trained for so many minutes, if its epochs have not ended it before.

    Rates follow the share of the minutes that is used as they follow that of the epochs, whichever
    is larger, so that they end at their end on any machine. Validations count, but for the last
    one; pauses between a stop and its resumption do not. A resumed run uses what is left, but is
    not bit for bit the one that was never stopped: its clock decides.

    minutes: None for no limit.
    """

    def __init__(self, *, minutes: float | None) -> None:
        if minutes is not None and not minutes > 0:
            raise ValueError(f"minutes must be positive, got {minutes}")
        self.minutes = minutes
        self.spent = 0.0
        """Seconds until `begun`."""
        self.begun: float | None = None

    @property
    def used(self) -> float:
        """The seconds that the run has taken so far, with all of its resumptions."""
        return self.spent + (0.0 if self.begun is None else time.monotonic() - self.begun)

    @property
    def left(self) -> float:
        """The seconds that it may still take; infinite without a limit."""
        return float("inf") if self.minutes is None else max(0.0, 60 * self.minutes - self.used)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the entry "minutes": those that were used."""
        checkpoint["minutes"] = self.used / 60

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Resume the count."""
        self.spent = 60 * float(checkpoint.get("minutes", 0.0))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self.begun = time.monotonic()
        self._look(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the rates for the share that is used."""
        if self.minutes is not None and isinstance(pl_module, DeblurGAN):
            pl_module.set_rates()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note the share that is used; when that is all, validate and end."""
        self._look(trainer, pl_module)

    def _look(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.minutes is None:
            return
        # All devices take the first one's clock: their rates must be the same.
        used: float = trainer.strategy.broadcast(self.used / (60 * self.minutes))
        if isinstance(pl_module, DeblurGAN):
            pl_module.time_used = min(1.0, used)
        if used >= 1:
            trainer.should_stop = True


class Pace:
    """How fast a run is, measured from now on."""

    def __init__(self, trainer: L.Trainer) -> None:
        self.begun = time.monotonic()
        self.batches = count_left(trainer)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.begun

    def estimate_left(self, trainer: L.Trainer) -> float:
        """Estimate the seconds to the run's end; infinite before the first batch is done."""
        left = count_left(trainer)
        done = self.batches - left
        by_pace = self.elapsed / done * left if done > 0 else float("inf")
        return min(by_pace, find_limit(trainer))


def count_left(trainer: L.Trainer) -> int:
    """Count the batches to the run's last epoch's end."""
    place = find_place(trainer)
    batches = int(trainer.num_training_batches)
    if place is not None:
        return batches * ((trainer.max_epochs or 0) - place.epochs) - place.batches
    current: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    within = int(current.processed)
    return batches * ((trainer.max_epochs or 0) - trainer.current_epoch) - within


def find_limit(trainer: L.Trainer) -> float:
    """Return the seconds that a run's budget leaves; infinite without one."""
    callbacks: list[Any] = getattr(trainer, "callbacks", [])
    return min((one.left for one in callbacks if isinstance(one, Budget)), default=float("inf"))
