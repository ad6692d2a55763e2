"""A time limit for a run, and estimates of the time that a run has left."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from deblur.training.checkpointing import find_place
from deblur.training.gan import DeblurGAN
from deblur.training.number_checks import check_positive


class Budget(Callback):
    """Ends a run once it has trained for a number of minutes, unless its epochs end it before.

    Learning rates follow the used share of the minutes or of the epochs, whichever is larger, so
    that they reach their final value on any machine. The time counts validations except for the
    last one, and no pauses between a stop and its resumption. A resumed run uses the remaining
    minutes, but is not bit for bit equal to an uninterrupted one, since it depends on the clock.

    minutes: the limit; None for none.
    """

    def __init__(self, *, minutes: float | None) -> None:
        check_positive({"minutes": minutes})
        self.minutes = minutes
        self.spent = 0.0
        """Seconds that the run took before `begun`, in its earlier sessions."""
        self.begun: float | None = None

    @property
    def used(self) -> float:
        """The seconds that the run has taken so far, including all resumptions."""
        return self.spent + (0.0 if self.begun is None else time.monotonic() - self.begun)

    @property
    def left(self) -> float:
        """The seconds that the run may still take; infinite without a limit."""
        return float("inf") if self.minutes is None else max(0.0, 60 * self.minutes - self.used)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the entry "minutes", the minutes used so far, where they are limited."""
        # Without a limit a checkpoint depends on no clock, so that runs can be compared bit by bit.
        if self.minutes is not None:
            checkpoint["minutes"] = self.used / 60

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the time used so far."""
        self.spent = 60 * float(checkpoint.get("minutes", 0.0))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self.begun = time.monotonic()
        self._look(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the learning rates for the used share of the time."""
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
        """Update the used share of the time; when all of it is used, validate and end."""
        self._look(trainer, pl_module)

    def _look(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.minutes is None:
            return
        # All devices use the first one's clock, so that their learning rates are equal.
        used: float = trainer.strategy.broadcast(self.used / (60 * self.minutes))
        if isinstance(pl_module, DeblurGAN):
            pl_module.time_used = min(1.0, used)
        if used >= 1:
            trainer.should_stop = True


class Pace:
    """Measures the speed of a run, from its construction on."""

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
    """Count the batches until the end of the run's last epoch."""
    place = find_place(trainer)
    batches = int(trainer.num_training_batches)
    if place is not None:
        return batches * ((trainer.max_epochs or 0) - place.epochs) - place.batches
    current: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    within = int(current.processed)
    return batches * ((trainer.max_epochs or 0) - trainer.current_epoch) - within


def find_limit(trainer: L.Trainer) -> float:
    """Return the seconds left of a run's time limit; infinite without one."""
    callbacks: list[Any] = getattr(trainer, "callbacks", [])
    return min((one.left for one in callbacks if isinstance(one, Budget)), default=float("inf"))
