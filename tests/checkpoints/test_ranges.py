import json
from pathlib import Path
from typing import Any

import pytest
import torch

from deblur.checkpoints import load_generator, save_generator
from deblur.checkpoints.shipped import WEIGHTS, find_model
from deblur.inference import has_int8
from deblur.inference.integers import Quantized
from deblur.inference.quantized import quantize
from deblur.inference.streamline import streamline
from deblur.networks import ResNet

CPU = torch.device("cpu")


def test_ranges_are_those_of_the_same_weights(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_generator(path, ResNet(blocks=1, width=4))
    assert not hasattr(load_generator(path).network, "ranges")
    beside = tmp_path / "net.int8.json"
    told: dict[str, Any] = {"digest": load_generator(path).about["digest"], "ranges": [[1.0, 2.0]]}
    beside.write_text(json.dumps(told))
    assert load_generator(path).network.ranges == [[1.0, 2.0]]
    for text in (json.dumps({**told, "digest": "another"}), "[]", "damaged"):
        beside.write_text(text)
        assert not hasattr(load_generator(path).network, "ranges")


def test_ranges_are_those_of_the_usual_number_of_stages() -> None:
    for stages, known in ((None, True), (1, True), (2, False)):
        network = load_generator(find_model("maxim"), stages=stages).network
        assert hasattr(network, "ranges") is known


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*.int8.json")), ids=lambda path: path.name)
def test_shipped_ranges_fit_and_cost_little(path: Path) -> None:
    network = load_generator(find_model(path.name.removesuffix(".int8.json"))).network
    assert network.ranges == json.loads(path.read_text())["ranges"]
    for cost in json.loads(path.read_text())["costs"].values():
        assert abs(cost["psnr"]) <= 0.03 and abs(cost["ssim"]) <= 0.003
    if has_int8(CPU):
        swift = quantize(streamline(network, CPU, torch.float32), network.ranges)
        assert any(isinstance(part, Quantized) for part in swift.modules())
