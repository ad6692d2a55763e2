"""One precision for a whole run: in all of its processes, and after it is resumed."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.precision import MixedPrecision, Precision


class KeepPrecision(Callback):
    """Makes all processes of a run use the first one's precision, and saves it in checkpoints.

    Each process measures which precision is fastest; since they run at the same time, their results
    may differ.

    chosen: the Lightning precision that this process has chosen, such as "32-true".
    """

    def __init__(self, chosen: str) -> None:
        self.chosen = chosen

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Adopt the first process's choice, before the networks are set up."""
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
