"""Parts that live outside of the package."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

from deblur import load_generator

CONFIGS = ["--config-dir", str(ROOT / "examples" / "conf")]


def test_a_network_an_objective_and_data_of_ones_own(
    tmp_path: Path, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    small = ["data.batch_size=2", "data.crop=32", "data.dataset.size=4", "trainer.max_epochs=1"]
    run = f"hydra.run.dir={tmp_path}"
    start("train", *CONFIGS, "experiment=mine", "trainer=cpu", *small, run)
    ckpt = f"ckpt={tmp_path / 'generator.safetensors'}"
    out = f"hydra.run.dir={tmp_path / 'eval'}"
    start("eval", *CONFIGS, "trust=mine", ckpt, "unsharp=false", out)
    metrics = json.loads((tmp_path / "eval" / "metrics.json").read_text())
    assert metrics["data"]["name"] == "stripes" and metrics["data"]["pairs"] == 4
    log = (tmp_path / "eval" / "eval.log").read_text()
    assert log.startswith("data=stripes (mine.Stripes), test split, 4 images")
    with pytest.raises(SystemExit, match="mine.Sharpen.*trust=mine"):
        start("eval", *CONFIGS, ckpt, out)
    monkeypatch.delitem(sys.modules, "mine")


def test_the_papers_networks_are_trained_in_plain_pytorch(
    gopro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "plain.safetensors"
    options = ["--crop", "32", "--batch", "2", "--epochs", "2", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["plain.py", str(gopro), *options])
    runpy.run_path(str(ROOT / "examples" / "plain.py"), run_name="__main__")
    assert [line[:13] for line in capsys.readouterr().out.splitlines()] == [
        *("epoch 1: loss", "epoch 2: loss"),
    ]
    loaded = load_generator(out)
    assert loaded.config["_target_"] == "deblur.networks.ResNet" and loaded.config["blocks"] == 9
    assert any(value.abs().sum() > 0 for value in loaded.network.layers[-2].parameters())
    assert all(value.isfinite().all() for value in loaded.network.state_dict().values())


def test_the_plain_example_is_short_and_knows_neither_lightning_nor_hydra() -> None:
    text = (ROOT / "examples" / "plain.py").read_text()
    code = text.split('"""')[2].split()
    assert not {"lightning", "hydra"} & {*code} and len(text.splitlines()) < 50
