"""Files that were written when `deblur` was one flat folder of modules load, resume and evaluate.

tests/expected/before_move/ holds them, as version 0.1.0 wrote them: a run's folder of one epoch,
whose command line names a class of a module that has moved since, and a checkpoint of a plain
Lightning trainer. They must never be written anew.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from hydra.utils import instantiate

from deblur.checkpoints import load_generator
from deblur.jobs.run_folder import read_config

OLD = ROOT / "tests" / "expected" / "before_move"
PSNR = 21.7332
"""In dB, of the run's generator on its own data when it was written."""


@pytest.mark.parametrize(
    "name", ["run/checkpoints/last.ckpt", "run/generator.safetensors", "plain.ckpt"]
)
def test_old_weights_load(name: str) -> None:
    generator = load_generator(OLD / name)
    assert generator.config["_target_"] == "deblur.networks.ResNet"
    assert generator.network(torch.zeros(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_an_old_run_resumes(tmp_path: Path, start: Callable[..., None]) -> None:
    run = tmp_path / "run"
    shutil.copytree(OLD / "run", run)
    start("train", f"hydra.run.dir={run}", "ckpt=last", "trainer.max_epochs=2")
    ended = json.loads((run / "outcome.json").read_text())
    assert ended["status"] == "finished"
    assert "model.optimizer._target_=deblur.lars.LARS" in ended["overrides"]
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    old = torch.load(OLD / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] > old["global_step"]
    assert checkpoint["callbacks"].keys() == old["callbacks"].keys()


@pytest.mark.parametrize("name", ["checkpoints/last.ckpt", "generator.safetensors"])
def test_an_old_run_is_evaluated(name: str, tmp_path: Path, start: Callable[..., None]) -> None:
    ckpt = OLD / "run" / name
    start("eval", f"ckpt={ckpt}", "unsharp=false", "sheets=0", f"hydra.run.dir={tmp_path}")
    results = json.loads((tmp_path / "metrics.json").read_text())["protocols"]["wang-rgb"]
    assert results["results"]["restored"]["psnr"]["mean"] == pytest.approx(PSNR, abs=0.01)


def test_an_old_config_builds_its_parts(tmp_path: Path) -> None:
    cfg = read_config(OLD / "run")
    cfg.run_dir = str(tmp_path)
    for group in ("blur", "data", "model", "trainer"):
        assert instantiate(cfg[group], _convert_="all") is not None
