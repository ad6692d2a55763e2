"""One arithmetic for a whole run: for all of its processes, and after it was stopped."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.precision import MixedPrecision, Precision


class KeepPrecision(Callback):
    """Lets all processes of a run compute as the first one does, and writes that into checkpoints.

    Processes may find different arithmetics fastest, for they run at the same time.

    chosen: Lightning's precision of this process, "32-true" or "bf16-mixed" where it may differ.
    """

    def __init__(self, chosen: str) -> None:
        self.chosen = chosen

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Take over the first process's choice, before the networks are set up."""
        decided: str = trainer.strategy.broadcast(self.chosen)
        if decided != self.chosen:
            device = trainer.strategy.root_device.type
            swift = decided == "bf16-mixed"
            plugin = MixedPrecision("bf16-mixed", device) if swift else Precision()
            trainer.strategy.precision_plugin = plugin
            self.chosen = decided

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the entry "precision"."""
        checkpoint["precision"] = self.chosen
