"""Saves a run so that it can be resumed as if it had never stopped."""

import logging
import math
import os
import shlex
import signal
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from deblur.atomic import duplicate, install, replacing
from deblur.training.number_checks import check_not_negative

log = logging.getLogger(__name__)


class Place(NamedTuple):
    """How far a run has come, between two of its steps."""

    epochs: int
    """Completed epochs."""
    batches: int
    """Completed batches of the current epoch."""
    total: int
    """Completed batches of all epochs: the step of whatever is logged next."""


def find_place(trainer: L.Trainer) -> Place | None:
    """Return how far a run has come; None within a step, a validation or the end of an epoch.

    A run resumed from such a point would repeat a part of a network's updates, or of the log.
    """
    fit = trainer.fit_loop
    epochs: Any = fit.epoch_progress.current
    batches: Any = fit.epoch_loop.batch_progress.current
    total = fit.epoch_loop.batch_progress.total.completed
    if fit.epoch_loop._batches_that_stepped != total:
        return None  # the last batch is not logged yet
    if epochs.started == epochs.completed:
        return Place(epochs.completed, 0, total)
    if batches.started != batches.completed or batches.completed >= trainer.num_training_batches:
        return None
    return Place(epochs.completed, batches.completed, total)


class SyncedIO(TorchCheckpointIO):
    """Writes checkpoints atomically."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; raise OSError with its path if that fails."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            with replacing(Path(path)) as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:
            # On a full disk torch raises its own error while it handles Python's OSError.
            if isinstance(cause := error.__context__, OSError):
                raise OSError(cause.errno, cause.strerror, str(path)) from error
            raise


class Checkpoints(Checkpoint):
    """Saves a run: last.ckpt, previous.ckpt (the one before it) and best.ckpt.

    It is saved after each epoch, every few minutes, and when it is stopped: by Ctrl-C (after the
    current step; a second Ctrl-C ends it at once), by SIGTERM or by an error between two steps. A
    run resumed from any of the files equals an uninterrupted one, on a CPU bit for bit. After an
    error within a step nothing is saved, since a part of the step may have been done.

    monitor: the logged figure that is highest in best.ckpt.
    minutes: the interval between saves within an epoch; None saves only after each epoch.
    """

    def __init__(self, *, monitor: str, minutes: float | None = 10) -> None:
        check_not_negative({"minutes": minutes})
        self.monitor = monitor
        self.minutes = minutes
        self.best_model_score: float | None = None
        """The score of best.ckpt; None if there is none."""
        self.folder = Path()
        """The folder of the checkpoints."""
        self._score: float | None = None
        """The newest validation's score, not yet saved; None if there is none."""
        self._saved: int | None = None
        """The number of batches at the last save; None before training, -1 to save at once."""
        self._since = 0.0
        """The time of the last save, by the monotonic clock, in seconds."""
        self._stop_asked = False
        """Whether Ctrl-C was pressed."""
        self._terminated = False
        """Whether SIGTERM was received; used with several devices only."""
        self._agreed = False
        """Whether all devices have agreed to stop after Ctrl-C."""
        self._rotates = True
        """Whether last.ckpt is sound and becomes previous.ckpt."""

    @property
    def best_model_path(self) -> str:
        """The path of best.ckpt, else of last.ckpt; "" if neither exists."""
        files = (self.folder / name for name in ("best.ckpt", "last.ckpt"))
        return next((str(file) for file in files if file.is_file()), "")

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Set the folder to write to."""
        self.folder = Path(trainer.default_root_dir) / "checkpoints"
        trainer.strategy.checkpoint_io = SyncedIO()

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far."""
        return {"best": self.best_model_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score, if best.ckpt exists."""
        if (self.folder / "best.ckpt").is_file():
            self.best_model_score = state_dict["best"]

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write the run's place into Lightning's counters so that it resumes exactly there."""
        checkpoint["ranks"] = trainer.world_size
        if place := find_place(trainer):
            _settle(checkpoint, place)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Log what is not exact if a run resumes with another number of devices."""
        before, now = checkpoint.get("ranks", 1), trainer.world_size
        if before != now:
            log.info(
                "the number of devices is now %d, it was %d: the batches are the same as without "
                "a stop, but dropout, batch norm and rounding differ",
                *(now, before),
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock, and handle Ctrl-C."""
        place, source = find_place(trainer), Path(trainer.ckpt_path or self.folder / "none")
        self._saved = place.total if place else 0
        self._since = time.monotonic()
        own = source.parent.resolve() == self.folder.resolve()
        self._rotates = not own or source.name == "last.ckpt"  # else last.ckpt may be damaged
        if not own:
            self._saved = -1  # save at once: resuming must not need the other run's checkpoint
            self._save(trainer)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._on_ctrl_c)
            if trainer.world_size > 1:
                # Lightning's handler synchronizes devices, which may be in the middle of a step.
                signal.signal(signal.SIGTERM, self._on_sigterm)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save after the previous epoch, now that all of it is logged."""
        self._save(trainer)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save if that is due, and stop if that was requested."""
        # Resumed right after a validation within an epoch, Lightning counts a step too many.
        loop = trainer.fit_loop.epoch_loop
        loop._batches_that_stepped = loop.batch_progress.total.completed
        minutes = (time.monotonic() - self._since) / 60
        due = self._score is not None or (self.minutes is not None and minutes >= self.minutes)
        agree = trainer.strategy.reduce_boolean_decision
        if agree(self._stop_asked or self._terminated or due, all=False):
            self._agreed = agree(self._stop_asked, all=False)
            if self._agreed:
                raise KeyboardInterrupt
            if agree(self._terminated, all=False):
                raise SIGTERMException
            self._save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the score for the next checkpoint."""
        score = float(trainer.callback_metrics.get(self.monitor, math.nan))
        if not (trainer.sanity_checking or math.isnan(score)):
            self._score = score

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save after the last epoch."""
        self._save(trainer)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Save unless in the middle of a step, and log how to resume."""
        # Saving requires all devices, but an error may be on a single one.
        together = self._agreed or isinstance(exception, SIGTERMException)
        if trainer.world_size == 1 or together:
            try:
                self._save(trainer)
            except OSError as error:
                log.error("%s", error)
        if (self.folder / "last.ckpt").is_file() and trainer.is_global_zero:
            place = shlex.quote(f"hydra.run.dir={self.folder.parent}")
            log.info("to resume:  python train.py %s ckpt=last", place)

    def _on_ctrl_c(self, *_: Any) -> None:
        if self._stop_asked:
            raise KeyboardInterrupt
        self._stop_asked = True
        # A signal may interrupt another log line, so logging cannot be used here.
        os.write(2, b"\nstopping after this step; press Ctrl-C again to stop without saving\n")

    def _on_sigterm(self, *_: Any) -> None:
        self._terminated = True

    def _save(self, trainer: L.Trainer) -> None:
        """Write best.ckpt first, then last.ckpt: resuming from the older one repeats both."""
        place = find_place(trainer)
        # Before training starts, a checkpoint may not be fully restored: do not save that.
        if place is None or self._saved is None or place.total == self._saved:
            return
        self._saved = place.total  # set first: a save that fails is reported, not repeated
        best = -math.inf if self.best_model_score is None else self.best_model_score
        is_best = self._score is not None and self._score > best
        if is_best:
            self.best_model_score = self._score
        trainer.save_checkpoint(self.folder / "next.ckpt")
        if trainer.is_global_zero:
            if is_best:
                duplicate(self.folder / "next.ckpt", "best.ckpt")
            if self._rotates and (self.folder / "last.ckpt").is_file():
                duplicate(self.folder / "last.ckpt", "previous.ckpt")
            install(self.folder / "next.ckpt", self.folder / "last.ckpt")
        self._score, self._rotates = None, True
        self._since = time.monotonic()


def _settle(checkpoint: dict[str, Any], place: Place) -> None:
    """Set Lightning's counters to a place: the end of an epoch, or of a batch within one."""
    loops = checkpoint["loops"]["fit_loop"]
    begun = place.epochs + (place.batches > 0)
    epochs = {"ready": begun, "started": begun, "processed": place.epochs}
    loops["epoch_progress"] = {
        kind: {**epochs, "completed": place.epochs} for kind in ("total", "current")
    }
    names = ("ready", "started", "processed", "completed")
    loops["epoch_loop.batch_progress"] = {
        "total": dict.fromkeys(names, place.total),
        "current": dict.fromkeys(names, place.batches),
        "is_last_batch": False,
    }
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] = place.total
    checkpoint["epoch"] = place.epochs
