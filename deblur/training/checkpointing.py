"""When a run is saved, and where it stands then, so that it goes on as if it had never stopped."""

import logging
import math
import os
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

log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where a run stands between two of its steps."""

    epochs: int
    """Those that are done."""
    batches: int
    """Those that are done of the next epoch."""
    total: int
    """All that are done, the step of whatever is logged next."""


def find_place(trainer: L.Trainer) -> Place | None:
    """Say where a run stands; None within a step, a validation or the end of an epoch.

    There a part of the networks, or of what is logged, would be done twice by who goes on.
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
    """Writes checkpoints whole or not at all."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write; raises OSError, which names the path."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            with replacing(Path(path)) as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:
            # Of a full disk torch says something of its own while Python's error is handled.
            if isinstance(cause := error.__context__, OSError):
                raise OSError(cause.errno, cause.strerror, str(path)) from error
            raise


class Checkpoints(Checkpoint):
    """Saves a run: last.ckpt, previous.ckpt, the one before it, and best.ckpt.

    It is saved after each epoch, every so many minutes, and when it is stopped: by Ctrl-C (after
    the step; a second one ends it at once), by SIGTERM or by an error between two steps. Who goes
    on from any of the files gets what a run without a stop would have, bit for bit on a CPU. After
    an error within a step the files of before it are left alone, for a step may be half done.

    monitor: the figure of which best.ckpt has the highest.
    minutes: None for after each epoch alone.
    """

    def __init__(self, *, monitor: str, minutes: float | None = 10) -> None:
        if minutes is not None and minutes < 0:
            raise ValueError(f"minutes must not be negative, got {minutes}")
        self.monitor = monitor
        self.minutes = minutes
        self.best_model_score: float | None = None
        self.score: float | None = None
        self.folder = Path()
        self.saved: int | None = None
        self.since = 0.0
        self.asked = False
        self.ended = False
        self.together = False
        self.rotates = True

    @property
    def best_model_path(self) -> str:
        """The file of the best validation; without one, the newest; "" where there is none."""
        files = (self.folder / name for name in ("best.ckpt", "last.ckpt"))
        return next((str(file) for file in files if file.is_file()), "")

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Learn where to write."""
        self.folder = Path(trainer.default_root_dir) / "checkpoints"
        trainer.strategy.checkpoint_io = SyncedIO()

    def state_dict(self) -> dict[str, Any]:
        """Give the best score so far."""
        return {"best": self.best_model_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with it, if its file is here."""
        if (self.folder / "best.ckpt").is_file():
            self.best_model_score = state_dict["best"]

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write where the run stands in words that Lightning takes up without a loss."""
        checkpoint["ranks"] = trainer.world_size
        if place := find_place(trainer):
            _settle(checkpoint, place)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say what is not exact where a run goes on on another number of devices."""
        before, now = checkpoint.get("ranks", 1), trainer.world_size
        if before != now:
            log.info(
                "the number of devices is now %d, it was %d: the batches are those that would have "
                "come, but dropout, batch norm and rounding are not as they would have been",
                *(now, before),
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock, and listen to Ctrl-C."""
        place, source = find_place(trainer), Path(trainer.ckpt_path or self.folder / "none")
        self.saved = place.total if place else 0
        self.since = time.monotonic()
        own = source.parent.resolve() == self.folder.resolve()
        self.rotates = not own or source.name == "last.ckpt"  # else last may be bad
        if not own:
            self.saved = -1  # it starts from another run: this one could not go on without it
            self._save(trainer)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._on_ctrl_c)
            if trainer.world_size > 1:
                # Lightning's handler talks to other devices, which may be in the middle of a step.
                signal.signal(signal.SIGTERM, self._on_sigterm)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save after the epoch before, when all of it is logged."""
        self._save(trainer)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time, and stop if that was asked for."""
        minutes = (time.monotonic() - self.since) / 60
        due = self.score is not None or (self.minutes is not None and minutes >= self.minutes)
        agree = trainer.strategy.reduce_boolean_decision
        if agree(self.asked or self.ended or due, all=False):
            self.together = agree(self.asked, all=False)
            if self.together:
                raise KeyboardInterrupt
            if agree(self.ended, all=False):
                raise SIGTERMException
            self._save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note the score, for the next file."""
        score = float(trainer.callback_metrics.get(self.monitor, math.nan))
        if not (trainer.sanity_checking or math.isnan(score)):
            self.score = score

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save after the last epoch."""
        self._save(trainer)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Save if no step is half done, and say how to go on."""
        # Of several devices all must write, and an error may be of one alone.
        together = self.together or isinstance(exception, SIGTERMException)
        if trainer.world_size == 1 or together:
            try:
                self._save(trainer)
            except OSError as error:
                log.error("%s", error)
        if (self.folder / "last.ckpt").is_file() and trainer.is_global_zero:
            log.info("to go on:  python train.py hydra.run.dir=%s ckpt=last", self.folder.parent)

    def _on_ctrl_c(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        # A signal may come in the middle of another line, where logging cannot write.
        os.write(2, b"\nstopping after this step; Ctrl-C once more stops at once, unsaved\n")

    def _on_sigterm(self, *_: Any) -> None:
        self.ended = True

    def _save(self, trainer: L.Trainer) -> None:
        """Write the files, the best one first: who goes on from the older last finds it again."""
        place = find_place(trainer)
        # What has not begun to train may not be restored as a whole.
        if place is None or self.saved is None or place.total == self.saved:
            return
        self.saved = place.total  # or not, which is told; there is no second try
        best = -math.inf if self.best_model_score is None else self.best_model_score
        is_best = self.score is not None and self.score > best
        if is_best:
            self.best_model_score = self.score
        trainer.save_checkpoint(self.folder / "next.ckpt")
        if trainer.is_global_zero:
            if is_best:
                duplicate(self.folder / "next.ckpt", "best.ckpt")
            if self.rotates and (self.folder / "last.ckpt").is_file():
                duplicate(self.folder / "last.ckpt", "previous.ckpt")
            install(self.folder / "next.ckpt", self.folder / "last.ckpt")
        self.score, self.rotates = None, True
        self.since = time.monotonic()


def _settle(checkpoint: dict[str, Any], place: Place) -> None:
    """Write a place into Lightning's counters: as at the end of an epoch, or of a batch in one."""
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
