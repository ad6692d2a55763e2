"""Ends runs that have failed: collapsed images, and losses that are not finite."""

import json
import logging
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from deblur.atomic import write_text
from deblur.distributed import gather_names
from deblur.pair import Pair
from deblur.training.number_checks import check_positive

log = logging.getLogger(__name__)


class CollapseAlarm(Callback):
    """Ends a run whose generator produces constant or saturated images, with one line.

    A batch is bad if the standard deviation of its images is below a tenth of the sharp ones', or
    if their share of values at black or white exceeds the sharp ones' by 0.25 (a saturated tanh
    over a residual skip leaves about half). patience: the number of consecutive bad batches that
    counts as a collapse.
    """

    def __init__(self, *, patience: int = 20) -> None:
        check_positive({"patience": patience})
        self.patience = patience
        self.bad = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the number of consecutive bad batches."""
        return {"bad": self.bad}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the count."""
        self.bad = state_dict["bad"]

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Pair,
        batch_idx: int,
    ) -> None:
        """Check the batch."""
        fault = _fault(outputs["restored"], batch.sharp)
        together = trainer.strategy.reduce_boolean_decision(bool(fault))  # of several devices
        self.bad = self.bad + 1 if together else 0
        if self.bad < self.patience or trainer.should_stop:
            return
        trainer.should_stop = True
        if trainer.is_global_zero:
            log.error(
                "the generator has collapsed: its images are %s in %d consecutive batches; the run "
                "ends in epoch %d. Try a lower model.lr or model.weights.adversarial.",
                fault,
                self.bad,
                trainer.current_epoch,
            )


def _fault(restored: Tensor, sharp: Tensor) -> str | None:
    spread, wanted = (image.float().std((1, 2, 3)).mean() for image in (restored, sharp))
    if not torch.isfinite(spread):
        return "not finite"
    if spread < 0.1 * wanted:
        return "constant"
    extreme, usual = ((image.float().abs() > 0.99).float().mean() for image in (restored, sharp))
    return "saturated" if extreme > usual + 0.25 else None


class DivergenceAlarm(Callback):
    """Logs each step that was skipped because its loss was not finite; too many end the run.

    patience: the number of skipped steps within an epoch at which FloatingPointError is raised and
    the pictures in their batches are listed in not_finite.json, in the run's folder.
    """

    def __init__(self, *, patience: int = 3) -> None:
        check_positive({"patience": patience})
        self.patience = patience
        self.skipped: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch's skipped batches."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the epoch's skipped batches."""
        self.skipped = list(state_dict["skipped"])

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start an empty list for the epoch."""
        self.skipped = []

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Pair,
        batch_idx: int,
    ) -> None:
        """Record and log a skipped step."""
        if "skipped" not in outputs:
            return
        epoch, loss = trainer.current_epoch, float(outputs["skipped"])
        names = gather_names(list(batch.name))
        self.skipped.append({"epoch": epoch, "batch": batch_idx, "loss": str(loss), "names": names})
        told = (
            f"epoch {epoch}, batch {batch_idx}: the loss, {loss:.4g}, or its gradient is not finite"
        )
        if len(self.skipped) < self.patience:
            if trainer.is_global_zero:
                log.warning("%s; this step is skipped", told)
            return
        path = Path(trainer.default_root_dir, "not_finite.json")
        if trainer.is_global_zero:
            write_text(path, json.dumps(self.skipped, indent=1) + "\n")
        raise FloatingPointError(
            f"{told}, {len(self.skipped)} times in this epoch; {path} lists the pictures. Try "
            "a lower model.lr, or model.clip_norm=1."
        )
