"""Callbacks that write to TensorBoard; the step is always the number of batches."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from deblur.media.image_grid import strips
from deblur.pair import Pair, decode
from deblur.training.number_checks import check_not_negative

FINAL = ("val/psnr", "val/ssim")


def writer(trainer: L.Trainer) -> SummaryWriter | None:
    """Return the writer of TensorBoard's events; None if there is none, as on other ranks."""
    own = (one for one in trainer.loggers if isinstance(one, TensorBoardLogger))
    logger = next(own, None)
    return logger.experiment if logger and trainer.is_global_zero else None


def batches(trainer: L.Trainer) -> int:
    """Return the number of trained batches: the step of every logged scalar."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped


class Description(Callback):
    """Writes a run's description as text: its networks (Table 2) and its config.

    When the run ends, its hyperparameters and final figures are written to the tab HParams, where
    the runs of a sweep can be sorted and filtered.

    config: the resolved config, as YAML. networks: the table of the networks, in Markdown.
    """

    def __init__(
        self, config: str, networks: str, hyperparameters: Mapping[str, bool | int | float | str]
    ) -> None:
        self.config = config
        self.networks = networks
        self.hyperparameters = dict(hyperparameters)
        self.figures: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the newest figures: a run may be stopped after its last validation."""
        return {"figures": self.figures}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the newest figures."""
        self.figures = dict(state_dict["figures"])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the texts, in Markdown."""
        if events := writer(trainer):
            events.add_text("table2", self.networks, batches(trainer))
            events.add_text("config", f"```\n{self.config}```", batches(trainer))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the figures."""
        found = trainer.callback_metrics
        self.figures = {f"final/{name}": float(found[name]) for name in FINAL if name in found}

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the hyperparameters with the final figures and the best PSNR."""
        self._finish(trainer)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Write them for a stopped run, too, unless the disk is full."""
        with suppress(OSError):
            self._finish(trainer)

    def _finish(self, trainer: L.Trainer) -> None:
        figures = dict(self.figures)
        best = getattr(trainer.checkpoint_callback, "best_model_score", None)
        if best is not None:
            figures["best/val/psnr"] = float(best)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and figures and trainer.is_global_zero:
                logger.log_hyperparams(self.hyperparameters, figures, batches(trainer))


class Pictures(Callback):
    """Writes the first validation images to TensorBoard: blur | restored | sharp, a row each."""

    def __init__(self, *, rows: int = 4) -> None:
        check_not_negative({"rows": rows})
        self.rows = rows
        self.kept: list[list[Tensor]] = []

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Pair,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep images until there are enough rows."""
        for images in zip(batch.blur, outputs["restored"], batch.sharp):
            if len(self.kept) < self.rows:
                self.kept.append([decode(image).cpu() for image in images])

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the rows at the step of `val/psnr`."""
        events = writer(trainer)
        if events and self.kept:
            size = min(min(row[0].shape[-2:]) for row in self.kept)
            picture = strips([[image[:, :size, :size] for image in row] for row in self.kept])
            events.add_image("val/blur_restored_sharp", picture, batches(trainer))
        self.kept = []


class Histograms(Callback):
    """Writes histograms of all weights and of their last gradients.

    every_n_epochs: the interval in epochs; 0 for never.
    """

    def __init__(self, *, every_n_epochs: int) -> None:
        check_not_negative({"every_n_epochs": every_n_epochs})
        self.every_n_epochs = every_n_epochs

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Pair,
        batch_idx: int,
    ) -> None:
        """Write them after an epoch's last batch, before the validation drops the gradients."""
        due = self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if not due or not trainer.is_last_batch or not (events := writer(trainer)):
            return
        for name, weight in pl_module.named_parameters():
            events.add_histogram(f"weights/{name}", weight.detach().float(), batches(trainer))
            if weight.grad is not None:
                events.add_histogram(f"gradients/{name}", weight.grad.float(), batches(trainer))


class Clock(Callback):
    """Logs the seconds that batches, their loading and epochs take, under `time/`.

    A GPU still computes after a batch's Python code returns: its `time/batch` is only right on
    average.
    """

    def __init__(self) -> None:
        self.epoch = self.batch = self.idle = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clocks of a run that resumes within an epoch."""
        self.epoch = self.idle = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clocks."""
        self.epoch = self.idle = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Pair, batch_idx: int
    ) -> None:
        """Log how long the training waited for the batch."""
        self.batch = time.perf_counter()
        pl_module.log("time/loading", self.batch - self.idle)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Pair,
        batch_idx: int,
    ) -> None:
        """Log how long the batch took."""
        self.idle = time.perf_counter()
        pl_module.log("time/batch", self.idle - self.batch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log how long the epoch took, including its validation."""
        pl_module.log("time/epoch", time.perf_counter() - self.epoch)
