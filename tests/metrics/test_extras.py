"""Learned distances and legibility, as far as their weights are at hand."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torchvision
from pictures import image

from deblur.extras import install_command
from deblur.metrics import PROTOCOLS, Comparison
from deblur.metrics.legibility import _reader, _share
from deblur.metrics.metric import ProtocolMetric
from deblur.metrics.perceptual import FILES, _torchmetrics
from deblur.pair import decode

SHARP, SOFT, SOFTER = image(80, 96), image(80, 96, soft=0.8), image(80, 96, soft=0.3)


def score(name: str, restored: torch.Tensor) -> float:
    (values,) = PROTOCOLS[name].score(Comparison(restored, SHARP)).values()
    return float(values[0])


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_missing_weights_are_one_line_and_no_download(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    _torchmetrics.cache_clear()
    with pytest.raises(FileNotFoundError, match=f"{FILES[name]}: .*https"):
        score(name, SHARP)


@pytest.mark.parametrize("name, build", [("lpips", "alexnet"), ("dists", "vgg16")])
def test_distances_are_torchmetrics_own(
    name: str, build: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On random weights, which are as good as others for where they are looked for and used."""
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    weights = getattr(torchvision.models, build)(weights=None).state_dict()
    for key, value in weights.items():
        if key.startswith("classifier"):  # most of the file, and not used
            weights[key] = torch.zeros(1).expand(value.shape)
    torch.save(weights, folder / FILES[name])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    _torchmetrics.cache_clear()
    assert score(name, SHARP) == pytest.approx(0, abs=1e-5)
    assert 0 < score(name, SOFT) < score(name, SOFTER)
    _torchmetrics.cache_clear()


def test_st_lpips_orders_blurs() -> None:
    assert score("st-lpips", SHARP) == pytest.approx(0, abs=1e-6)
    assert 0 < score("st-lpips", SOFT) < score("st-lpips", SOFTER)
    assert torch.isnan(torch.tensor(score("st-lpips", SHARP * torch.nan)))


def test_legibility_counts_letters_line_by_line() -> None:
    assert _share(["main", "street12"], ["street12", "main"]) == 1
    assert _share(["strt12"], ["street12", "main"]) == 6 / 12
    assert _share([], ["main"]) == 0
    assert torch.isnan(torch.tensor(_share(["main"], [])))


def test_legibility_asks_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    spread = float(decode(SHARP).float().std()) - 1

    class Engine:
        def __call__(self, pixels: Any) -> Any:
            text = "MAIN st." if pixels.std() > spread else "MA!N"
            return [[None, text, 0.9]], None

    module = ModuleType("rapidocr_onnxruntime")
    module.RapidOCR = Engine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", module)
    _reader.cache_clear()
    assert score("legibility", SHARP) == 1
    assert score("legibility", SOFTER) == pytest.approx(3 / 6)
    assert score("legibility", SHARP * torch.nan) == 0
    _reader.cache_clear()


def test_images_without_text_do_not_count() -> None:
    shares = {"legibility": torch.tensor([0.5, float("nan"), 1.0])}
    metric = ProtocolMetric("legibility")
    metric.protocol = replace(metric.protocol, score=lambda _: shares)
    metric.update(SHARP.expand(3, -1, -1, -1), SHARP.expand(3, -1, -1, -1))
    assert metric.compute() == {"legibility": 0.75}
    shares["legibility"] = torch.full((3,), float("nan"))
    metric.reset()
    metric.update(SHARP.expand(3, -1, -1, -1), SHARP.expand(3, -1, -1, -1))
    assert metric.compute()["legibility"].isnan()


def test_legibility_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    _reader.cache_clear()
    with pytest.raises(ImportError, match=re.escape(install_command("ocr"))):
        score("legibility", SHARP)
