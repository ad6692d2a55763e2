"""Benchmarks keep the user's files, resume what was stopped, and measure by one clock."""

import argparse
import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import ROOT
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import nn

from deblur import atomic
from deblur.config.settings import INSTEAD
from deblur.jobs.run_status import RunStatus


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let benchmarks import each other, as when they are started."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def load(name: str) -> ModuleType:
    """Load a benchmark without starting it."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(patch: pytest.MonkeyPatch, module: ModuleType, *arguments: str) -> Any:
    """Start a loaded benchmark with arguments."""
    patch.setattr(sys, "argv", [str(module.__file__), *arguments])
    return module.main()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Collect the commands that are run instead of running them; each fails."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


@pytest.mark.parametrize(
    "name, arguments, place",
    [
        ("systems", ["--experiments", "unet,quick"], "quick"),
        ("soak", ["--apart"], ""),
        ("soak_resume", [], ""),
    ],
)
def test_a_folder_of_something_else_is_refused_and_kept(
    name: str,
    arguments: list[str],
    place: str,
    tmp_path: Path,
    asked: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / place / "2026-01-01" / "generator.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    with pytest.raises(SystemExit, match=f"^error: {re.escape(str(tmp_path / place))}: .*$"):
        start(monkeypatch, load(name), str(tmp_path), *arguments)
    assert file.read_bytes() == b"weights" and not asked


def test_the_folder_of_an_earlier_soak_test_is_emptied(tmp_path: Path) -> None:
    clear, out = load("watched").clear, tmp_path / "new" / "soak"
    clear(out)
    (out / "kill").mkdir()
    clear(out)
    assert [path.name for path in out.iterdir()] == [".soak"]
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SystemExit, match="^error: "):
        clear(file)


def test_a_stopped_training_of_a_system_is_resumed(
    tmp_path: Path, asked: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    systems, own = load("systems"), [str(tmp_path), "--experiments", "quick"]
    place = f"hydra.run.dir={tmp_path / 'quick'}"
    for _ in range(2):
        with pytest.raises(SystemExit, match=f"^error: train.py .*{re.escape(place)}$"):
            start(monkeypatch, systems, *own)
        settings = [one for one in asked[0][2:] if one != place]
        RunStatus("stopped", settings).write(tmp_path / "quick")
    assert [one for one in asked[1] if one not in asked[0]] == ["ckpt=last"]
    with pytest.raises(SystemExit, match="^error: .*quick: "):
        start(monkeypatch, systems, *own, "--minutes", "7")
    (tmp_path / "quick" / "generator.safetensors").touch()
    options = argparse.Namespace(out=tmp_path, crop=64, batch=4, minutes=7)
    assert systems.plan("quick", options) == [] and len(asked) == 2


def test_the_systems_are_those_of_the_table() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    section = text.partition("### Three minutes of training each")[2].partition("###")[0]
    table = re.findall(r"^\| `(\w+)", section, re.MULTILINE)
    assert load("systems").list_systems() == table


def test_a_run_of_too_few_steps_is_resumed(tmp_path: Path, asked: list[list[str]]) -> None:
    curves = load("curves")
    folder, log = tmp_path / "bf16-mixed-0", "csv/metrics.csv"
    options = argparse.Namespace(folder=tmp_path, steps=1)
    for _ in range(2):
        with pytest.raises(SystemExit, match=f"^error: .*{re.escape(str(folder))}$"):
            curves._train(options, 0, "bf16-mixed")
        RunStatus("stopped", []).write(folder)
    assert [one for one in asked[1] if one not in asked[0]] == ["ckpt=last"]
    (folder / "csv").mkdir()
    rows = [",".join(curves.LOSSES), *["1,2,3,4"] * 2]
    (folder / log).write_text("\n".join(rows))
    assert {len(curve) for curve in curves._train(options, 0, "bf16-mixed").values()} == {1}
    assert len(asked) == 2


def test_the_curves_are_of_settings_that_train_accepts(
    tmp_path: Path, asked: list[list[str]]
) -> None:
    with pytest.raises(SystemExit):
        load("curves")._train(argparse.Namespace(folder=tmp_path, steps=30), 0, "bf16-mixed")
    given = [one for one in asked[0][2:] if not one.startswith("hydra.")]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", given)
    for key, (allowed, _) in INSTEAD.items():
        assert OmegaConf.select(cfg, key) in allowed, key
    batches = cfg.trainer.max_epochs * cfg.data.dataset.size / cfg.data.batch_size
    assert batches == 40 and cfg.trainer.precision == "bf16-mixed"


def test_both_rates_of_a_share_are_measured_by_the_same_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inference = load("inference")
    monkeypatch.setattr(inference, "LARGE", (50, 100, 100))
    ticks = itertools.count(step=2)
    network, image = nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 8, 8)
    with torch.inference_mode():
        rate = inference._matrix_rate(network, image, torch.float32, lambda: float(next(ticks)))
    assert rate == pytest.approx(1e6 / 2 / 1e9)  # two operations a product, in two seconds


SERVER = """
import os, time
print("http://127.0.0.1:" + ("401" if "DEBLUR_TOKEN" in os.environ else "200") + "/", flush=True)
time.sleep(30)
"""


def test_the_server_under_load_has_no_token_and_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serving, started, real = load("serving"), [], subprocess.Popen

    def popen(command: list[str], **how: Any) -> Any:
        started.append(real([sys.executable, "-c", SERVER], **how))
        return started[-1]

    def prepare(load: Any, seconds: float) -> None:
        raise AssertionError(f"port {load.port}")

    monkeypatch.setenv("DEBLUR_TOKEN", "secret")
    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(serving.Load, "prepare", prepare)
    with pytest.raises(AssertionError, match="port 200"):
        start(monkeypatch, serving)
    assert started[0].returncode  # the program itself would end with 0


@pytest.mark.skipif(os.name != "posix", reason="the module resource is POSIX's")
@pytest.mark.parametrize("system, unit", [("darwin", 1), ("linux", 1024)])
def test_peak_memory_is_in_bytes(system: str, unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    growth = load("growth")
    usage = argparse.Namespace(ru_maxrss=3000)
    monkeypatch.setattr(growth.resource, "getrusage", lambda who: usage)
    monkeypatch.setattr(sys, "platform", system)
    assert growth._peak_of_children() == 3000 * unit


def test_scores_are_whole_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blurs, install = load("blurs"), atomic.install
    tiny = nn.Conv2d(1, 1, 1)
    kills = iter([False, True])

    def killed(file: Path, target: Path) -> None:
        if next(kills, False):
            raise KeyboardInterrupt
        install(file, target)

    monkeypatch.setattr(blurs, "ResNet", lambda **_: tiny)
    monkeypatch.setattr(blurs, "train", lambda *_: tiny)
    monkeypatch.setattr(blurs, "score", lambda network, pairs: 1.5)
    monkeypatch.setattr(blurs, "test_sets", lambda *_: {"one": [], "two": []})
    monkeypatch.setattr(atomic, "install", killed)
    own = [str(tmp_path), "--only", "shake", "--seeds", "0"]
    with pytest.raises(KeyboardInterrupt):
        start(monkeypatch, blurs, *own)
    assert json.loads((tmp_path / "scores.json").read_text()) == {"shake-0": {"one": 1.5}}
    start(monkeypatch, blurs, *own)
    assert "| shake | +1.50 | +1.50 |" in capsys.readouterr().out
