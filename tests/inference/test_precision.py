import logging
import math
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deblur.checkpoints import load_generator
from deblur.checkpoints.shipped import find_model
from deblur.inference import adapt, adapt_like, has_int8, name_arithmetic, precision
from deblur.inference.convolutions import Conv
from deblur.inference.example_photos import show_examples
from deblur.inference.quantized import Row
from deblur.inference.verdicts import Verdict
from deblur.networks import NAFNet, ResNet

CPU = torch.device("cpu")


@pytest.mark.parametrize("winner", ["float32", "winograd", "bfloat16", "int8 and float32"])
def test_auto_is_what_wins_the_race(winner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(precision, "has_int8", lambda device: True)
    entered: list[str] = []

    def settle(use: str, network: Any, device: Any, entrants: Any, *_: Any, **__: Any) -> Verdict:
        entered.extend(entrants)
        return Verdict(winner, {}, 0)

    monkeypatch.setattr(precision, "settle", settle)
    monkeypatch.setattr(precision, "quantize", lambda network, *given: network)
    generator = ResNet(blocks=1, width=24)
    if "int8" in winner:
        generator.ranges = {}
    swift = adapt(generator, CPU)
    assert name_arithmetic(swift) == winner
    dtype = torch.bfloat16 if winner == "bfloat16" else torch.float32
    assert {part.weight.dtype for part in swift.modules() if type(part) is Conv} == {dtype}
    # Integers take part where their ranges are known to be right.
    integers = ["int8 and float32", "int8 and bfloat16"] * ("int8" in winner)
    assert entered == ["float32", "winograd", "bfloat16", *integers]


@pytest.mark.parametrize(
    "costs, winner",
    [
        ({"float32": 1.0, "bfloat16": 3.0, "int8 and float32": 2.0}, "float32"),
        ({"float32": 1.0, "bfloat16": 3.0, "int8 and float32": 2.0, "winograd": 0.9}, "winograd"),
        ({"float32": 2.0, "bfloat16": 1.0, "int8 and bfloat16": 1.5}, "bfloat16"),
        ({"float32": 2.0, "bfloat16": 1.0, "int8 and bfloat16": 1.5, "winograd": 0.9}, "winograd"),
        ({"float32": 2.0, "bfloat16": 3.0, "int8 and float32": 0.5}, "int8 and float32"),
        ({"float32": 2.0, "bfloat16": 1.0, "int8 and bfloat16": 0.5}, "int8 and bfloat16"),
    ],
)
def test_the_race_builds_few_networks(
    costs: dict[str, float], winner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    built: list[str] = []

    class Slow(nn.Module):
        def __init__(self, cost: float) -> None:
            super().__init__()
            self.cost = cost

        def forward(self, picture: Tensor) -> Tensor:
            nonlocal now
            now += self.cost
            return picture

    def build(generator: nn.Module, device: torch.device, name: str) -> nn.Module:
        built.append(name)
        return Slow(costs[name])

    saving = costs["float32"] - costs.get("winograd", 9.0)
    monkeypatch.setattr(precision, "start_clock", lambda device: nullcontext(lambda: now))
    monkeypatch.setattr(precision, "_build", build)
    monkeypatch.setattr(precision, "estimate_saving", lambda *given: saving)
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(precision, "has_int8", lambda device: True)
    generator = ResNet(blocks=1, width=24)
    generator.ranges = {}
    assert precision.measure(generator, CPU).winner == winner
    assert built == [name for name in costs if name != "winograd"]


def test_winograd_takes_part_only_where_it_changes_something() -> None:
    assert "winograd" in precision._list_arithmetics(ResNet(blocks=1, width=24), CPU, "auto")
    assert "winograd" not in precision._list_arithmetics(ResNet(blocks=1, width=8), CPU, "auto")
    other = torch.device("cuda")
    assert "winograd" not in precision._list_arithmetics(ResNet(blocks=1, width=24), other, "auto")
    with pytest.raises(ValueError, match="precision=winograd requires a CPU, not this cuda"):
        adapt(ResNet(blocks=1, width=24), other, "winograd")


@pytest.mark.parametrize("asked", ["float32", "winograd", "bfloat16"])
def test_what_is_asked_for_does_not_race(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(precision, "settle")
    assert name_arithmetic(adapt(ResNet(blocks=1, width=24), CPU, asked)) == asked


def test_unknown_precisions_are_refused() -> None:
    wrong: Any = "half"
    with pytest.raises(
        ValueError, match="one of auto, float32, winograd, bfloat16, int8, got half"
    ):
        adapt(ResNet(blocks=1, width=8), CPU, wrong)


def test_int8_wants_a_processor_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_int8", lambda device: False)
    with pytest.raises(ValueError, match="precision=int8 requires a processor with AVX-512 VNNI"):
        adapt(ResNet(blocks=1, width=8), CPU, "int8")


@pytest.mark.skipif(not has_int8(CPU), reason="no int8 units")
def test_int8_says_where_it_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    swift = adapt(ResNet(blocks=1, width=32), CPU, "int8")
    assert sum(isinstance(part, Row) for part in swift.modules()) == 1
    with caplog.at_level(logging.WARNING):
        adapt(NAFNet(width=8, encoder=(1,), decoder=(1,)), CPU, "int8")
    assert "no suitable convolutions" in caplog.text


@pytest.mark.skipif(not has_int8(CPU), reason="no int8 units")
@torch.inference_mode()
def test_what_costs_too_much_stays_in_floats_with_other_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "SIDE", 128)
    generator = load_generator(find_model("small")).network
    network = precision._build(generator, CPU, "int8 and float32")
    vars(generator).pop("ranges")  # as adaptation does
    again = adapt_like(network, generator, CPU)
    assert name_arithmetic(again) == "int8 and float32"
    assert sum(isinstance(part, Row) for part in again.modules()) == 3  # of 5
    for blur in show_examples(128, 128):
        error = (again(blur) - generator(blur)).square().mean()
        assert 10 * math.log10(4 / float(error)) > 50, "44 if all rows are integers"
    with pytest.raises(ValueError):
        adapt_like(network, ResNet(blocks=1, width=32), CPU)


def test_winograd_says_where_it_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        adapt(ResNet(blocks=1, width=24), CPU, "winograd")
        assert not caplog.text
        adapt(ResNet(blocks=1, width=8), CPU, "winograd")
    assert "winograd: this network has no suitable convolutions" in caplog.text
