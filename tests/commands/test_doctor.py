from importlib.metadata import metadata, version
from itertools import chain, repeat
from pathlib import Path

import pytest
import torch
from conftest import ROOT

import deblur
from deblur import extras
from deblur.__main__ import main
from deblur.commands import doctor
from deblur.extras import DISTRIBUTION, install_command
from deblur.networks import ResNet


def test_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--device", "cpu", "--seconds", "0"]) == 0
    said = capsys.readouterr().out
    assert f"torch {torch.__version__}" in said and "device: cpu" in said
    assert "precision: " in said and "GB free" in said
    assert "check: MAXIM in float32 is" in said and "right" in said
    assert "GFLOP/s of float32 products" in said and "by Li's generator" in said
    assert "models: " in said and "video: " in said


def test_a_device_that_computes_wrongly_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = chain([0.0], repeat(0.5))
    forward = ResNet.forward

    def drifting(self: ResNet, blur: torch.Tensor) -> torch.Tensor:
        return forward(self, blur) * 0 + next(outputs)

    monkeypatch.setattr(ResNet, "forward", drifting)
    assert doctor._check(torch.device("cpu"), units=False)
    assert "WRONG" in capsys.readouterr().out


def test_what_is_missing_comes_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    command = install_command("web")
    told = doctor._tell_extra("web", "no_such_module", "the page")
    assert told == f"web: not installed (the page): {command}"
    told = doctor._tell_extra("web", "fastapi", "the page")
    assert told == f"web: fastapi {version('fastapi')} (the page)"
    assert doctor._tell_extra("align", "cv2", "x").startswith("align: opencv-python-headless ")
    monkeypatch.setattr(extras, "version", lambda name: "5.0")
    told = doctor._tell_extra("web", "fastapi", "the page")
    assert told.endswith(f", fastapi 5.0, h11 5.0, uvicorn 5.0 out of range: {command}")


def test_every_extra_of_a_user_is_told() -> None:
    declared = {name for name in metadata(DISTRIBUTION).get_all("Provides-Extra", [])}
    assert {*doctor.EXTRAS} == declared - {"dev", "docs"}


def test_training_is_named_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert doctor._tell_training() == f"training: {ROOT / 'train.py'}"
    monkeypatch.setattr(deblur, "__file__", str(tmp_path / "deblur" / "__init__.py"))
    told = doctor._tell_training()
    assert "not installed" in told and f"deblur_lightning-{deblur.__version__}.tar.gz" in told
