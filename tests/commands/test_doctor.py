from itertools import chain, repeat

import pytest
import torch

from deblur.__main__ import main
from deblur.commands import doctor
from deblur.networks import ResNet


def test_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--device", "cpu", "--seconds", "0"]) == 0
    said = capsys.readouterr().out
    assert f"torch {torch.__version__}" in said and "device: cpu" in said
    assert "precision: " in said and "GB free" in said
    assert "check: float32 is" in said and "right" in said
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


def test_what_is_missing_comes_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._advice("none", "no_such_module") == ": pip install deblur[none]"
    assert doctor._find("no_such_module") == "not there"
    assert doctor._find("numpy").startswith("numpy 2")
