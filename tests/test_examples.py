"""Parts that live outside of the package."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

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
    with pytest.raises(SystemExit, match=r"names the network mine.Sharpen.*trust=mine allows"):
        start("eval", *CONFIGS, ckpt, out)
    monkeypatch.delitem(sys.modules, "mine")
