from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision

from deblur.training.precision import KeepPrecision


@pytest.mark.parametrize("decided", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("own", ["32-true", "bf16-mixed"])
def test_all_processes_compute_as_the_first_one(own: str, decided: str) -> None:
    mixed = MixedPrecision("bf16-mixed", "cpu")
    strategy = SimpleNamespace(
        broadcast=lambda choice: decided,
        root_device=torch.device("cpu"),
        precision_plugin=mixed if own == "bf16-mixed" else Precision(),
    )
    trainer: Any = SimpleNamespace(strategy=strategy)
    module: Any = None
    callback = KeepPrecision(own)
    callback.setup(trainer, module, "fit")
    assert isinstance(strategy.precision_plugin, MixedPrecision) == (decided == "bf16-mixed")
    with strategy.precision_plugin.train_step_context():
        assert torch.is_autocast_enabled("cpu") == (decided == "bf16-mixed")
    checkpoint: dict[str, Any] = {}
    callback.on_save_checkpoint(trainer, module, checkpoint)
    assert checkpoint == {"precision": decided}
