from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import TINY
from torch import nn

from deblur.networks import PatchDiscriminator, ResNet
from deblur.training.callbacks import MemoryFormat


def test_the_time_is_estimated_before_the_first_step_and_changes_nothing(
    trained: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    others = (
        "[{_target_: deblur.training.checkpointing.Checkpoints, monitor: val/psnr},"
        "{_target_: deblur.training.callbacks.MemoryFormat}]"
    )
    start("train", *TINY, f"trainer.callbacks={others}", f"hydra.run.dir={tmp_path}")
    assert "on this machine" not in (tmp_path / "train.log").read_text()
    assert "on this machine" in (trained / "train.log").read_text()
    plain, watched = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (tmp_path, trained)
    )
    assert plain.keys() == watched.keys()
    assert all(torch.equal(plain[name], watched[name]) for name in plain)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    "network",
    [
        ResNet(blocks=1, width=4, dropout=0.0, norm="instance", upsample="transposed"),
        PatchDiscriminator(width=4),
    ],
)
def test_the_layout_of_weights_changes_no_gradient(network: nn.Module, count: int) -> None:
    """torch's instance norm of a single image permutes gradients that are channels last."""
    network.double()  # biases before a norm have no gradient but rounding errors
    image = torch.rand(count, 3, 32, 32, dtype=torch.double) * 2 - 1

    def gradients() -> list[torch.Tensor]:
        network.zero_grad()
        output = network(image)
        (output[0] if isinstance(output, list) else output).square().mean().backward()
        return [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]

    before = gradients()
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu")))
    module: Any = network
    MemoryFormat().setup(trainer, module, "fit")
    after = gradients()
    assert any(weight.stride(1) == 1 for weight in network.parameters() if weight.dim() == 4)
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one, other, atol=1e-12)
