"""What a Mac's GPU can compute, as far as a machine without one can tell.

Every operation of a training step of every experiment is looked up in the list of kernels that
comes with torch: it must have one for MPS, or be made of others. None may be in float64, which MPS
does not have.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torchgen
import yaml
from conftest import ROOT, smallest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from deblur.pair import Pair
from deblur.training.callbacks import rehearse
from deblur.training.gan import DeblurGAN

EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
WIDE = {torch.float64, torch.complex128}
ON_THE_CPU = {"aten::_local_scalar_dense"}  # reads a number back


class Record(TorchDispatchMode):
    """Notes the operations that are called, and those that meet float64."""

    def __init__(self) -> None:
        super().__init__()
        self.called: set[str] = set()
        self.wide: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = func(*args, **(kwargs or {}))
        name = func._schema.name + (
            f".{func._overloadname}" if func._overloadname != "default" else ""
        )
        self.called.add(name)
        tensors = [
            value for value in tree_flatten((args, kwargs, given))[0] if torch.is_tensor(value)
        ]
        if any(value.dtype in WIDE for value in tensors):
            self.wide.add(name)
        return given


@cache
def kernels() -> dict[str, dict[str, Any]]:
    """Read torch's list of operations by name."""
    file = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
    return {entry["func"].split("(")[0]: entry for entry in yaml.safe_load(file.read_text())}


def runs_on_mps(name: str) -> bool:
    """Say whether an operation has a kernel for MPS or is composed of others."""
    entry = kernels().get(name.removeprefix("aten::"))
    if entry is None:
        return False
    if "structured_delegate" in entry:
        return runs_on_mps(entry["structured_delegate"])
    if "dispatch" not in entry:
        return True  # composed
    keys = {key.strip() for keys in entry["dispatch"] for key in keys.split(",")}
    return "MPS" in keys or any(key.startswith("Composite") for key in keys)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_operation_of_a_training_step_has_a_kernel(experiment: str) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", [*smallest(experiment), "data.crop=64", "run_dir=none"])
    model: DeblurGAN = instantiate(cfg.model, _convert_="all")
    images = torch.rand(2, 2, 3, 64, 64) * 2 - 1
    with Record() as record:
        for batch_idx in range(model.losses.period):
            rehearse(model, Pair(images[0], images[1], ""), batch_idx)
        for optimizer in model.configure_optimizers():
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    weight.grad = torch.ones_like(weight)
            optimizer.step()
    assert not record.wide
    assert len(record.called) > 30
    torchs_own = {name for name in record.called - ON_THE_CPU if name.startswith("aten::")}
    assert not {name for name in torchs_own if not runs_on_mps(name)}
    # A gradient penalty is differentiated twice, for which transposed ones have no formula there.
    opponent = model.discriminator.modules() if model.discriminator else ()
    assert not any(isinstance(part, nn.ConvTranspose2d) for part in opponent)


def test_the_list_tells_what_has_no_kernel() -> None:
    assert runs_on_mps("aten::convolution_backward") and runs_on_mps("aten::add.Tensor")
    assert not runs_on_mps("aten::mps_convolution_double_transpose")
    assert not runs_on_mps("aten::linalg_eig")
