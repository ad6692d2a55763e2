import json
import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from deblur.inference import measure, race, verdicts
from deblur.inference.example_photos import show_examples
from deblur.inference.race import SIDES, Race, Run, hold, list_sides, race_training
from deblur.inference.verdicts import Verdict, settle
from deblur.networks import MAXIM, CoarseToFine, ResNet

CPU = torch.device("cpu")
ARITHMETICS = ("float32", "winograd", "bfloat16", "int8 and float32")


class Track:
    """A clock that stands still but for what runs on it."""

    def __init__(self, costs: dict[str, float], errors: dict[str, float] | None = None) -> None:
        self.costs, self.errors = costs, errors or {}
        self.now = 0.0
        self.passes: list[str] = []

    def __call__(self) -> float:
        return self.now

    def enter(self, name: str) -> Run:
        def run(picture: Tensor) -> Tensor:
            self.now += self.costs[name] * (picture.shape[-1] / 64) ** 2
            self.passes.append(name)
            return picture + self.errors.get(name, 0.0)

        return run

    def hold(self, *sides: int) -> Verdict:
        entrants = {name: partial(self.enter, name) for name in self.costs}
        with patch.object(race, "start_clock", lambda device: nullcontext(self)):
            return hold(CPU, entrants, sides or SIDES)


@pytest.mark.parametrize("fastest", ARITHMETICS)
def test_each_arithmetic_wins_where_it_is_the_fastest(fastest: str) -> None:
    track = Track({name: 0.01 if name == fastest else 0.015 for name in ARITHMETICS})
    verdict = track.hold()
    assert verdict.winner == fastest
    assert verdict.seconds[fastest] == pytest.approx(0.01 * (verdict.side / 64) ** 2)


@pytest.mark.parametrize("rival, winner", [("bfloat16", "float32"), ("winograd", "winograd")])
def test_exactness_decides_where_times_are_about_equal(rival: str, winner: str) -> None:
    track = Track({"float32": 0.0102, rival: 0.01}, {"winograd": 1e-5, "bfloat16": 1e-3})
    assert track.hold().winner == winner


@pytest.mark.parametrize("cost, side", [(0.03, 64), (4e-4, 512)])
def test_the_picture_is_the_middle_of_an_example(cost: float, side: int) -> None:
    seen: list[Tensor] = []

    def run(picture: Tensor) -> Tensor:
        clock.now += cost * (picture.shape[-1] / 64) ** 2
        seen.append(picture)
        return picture

    clock = Track({})
    assert Race("float32", run, clock).decide().side == side
    part = min(side, 256)
    assert seen[-1].shape == (1, 3, side, side)
    assert torch.equal(seen[-1][..., -part:, -part:], next(show_examples(part, part)))


@pytest.mark.parametrize("error", [0.03, float("nan")])
def test_what_is_wrong_is_out(error: float, caplog: pytest.LogCaptureFixture) -> None:
    track = Track({"float32": 0.01, "bfloat16": 0.001}, {"bfloat16": error})
    verdict = track.hold()
    assert verdict.winner == "float32" and "bfloat16" not in verdict.seconds
    assert "bfloat16" in caplog.text


def test_it_is_short() -> None:
    track = Track({"float32": 0.001, "bfloat16": 0.0001})
    assert track.hold().side == 512
    assert track.hold(64).side == 64
    track = Track({"float32": 1.0, "bfloat16": 10.0})
    assert track.hold().side == 64
    assert track.passes == ["float32"] * 2 + ["bfloat16"] * 2  # warm-ups and passes: it cannot win


def test_those_with_a_time_run_again_only_where_it_is_close() -> None:
    track = Track({"float32": 0.05, "bfloat16": 0.02, "int8": 0.018})
    held = Race("float32", track.enter("float32"), track, [64])
    held.enter("bfloat16", track.enter("bfloat16"))
    held.run()
    assert held.decide().winner == "bfloat16"
    assert track.passes == ["float32"] * 2 + ["bfloat16"] * 2
    held.enter("int8", track.enter("int8"))
    held.run(["bfloat16", "int8"])
    assert held.decide().winner == "int8"
    assert track.passes[4:] == ["int8"] * 2 + ["bfloat16", "int8"] * 2
    held.estimate("winograd", 0.017)
    assert held.decide() == Verdict(
        "winograd", pytest.approx({**track.costs, "winograd": 0.017}), 64
    )


def test_pictures_are_not_padded() -> None:
    assert list_sides(MAXIM(stages=1)) == [64, 128, 256, 512, 1024]
    assert list_sides(ResNet(blocks=1, width=4), 128) == [64, 128]
    fast = CoarseToFine()  # at 64 pixels its MAXIM would pad half of them to 64
    assert list_sides(fast) == [128, 256, 512, 1024]
    assert list_sides(fast, 96) == [128]
    fast.stride = 4096
    assert list_sides(fast) == [1024]
    assert list_sides(nn.Conv2d(3, 3, 1)) == [64, 128, 256, 512, 1024]  # its stride is a pair


@pytest.fixture
def decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that settles on the arithmetic for a network by a track's clock."""
    monkeypatch.setenv("DEBLUR_CACHE", str(tmp_path))
    network = ResNet(blocks=1, width=4)

    def settle_on(track: Track) -> str:
        given = ("restoring", network, CPU, [*track.costs], track.hold)
        return settle(*given, sides=SIDES, override="--precision").winner

    return settle_on


def test_a_verdict_is_remembered_and_told(
    decide: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = Track({"float32": 0.03, "bfloat16": 0.015})
    assert decide(first) == "bfloat16"
    (line,) = caplog.messages
    assert "float32 30.0 ms, bfloat16 15.0 ms" in line and "--precision overrides it" in line
    second = Track({"float32": 0.01, "bfloat16": 0.02})
    assert decide(second) == "bfloat16" and not second.passes
    assert "measured before" in caplog.messages[-1] and "bfloat16 15.0 ms" in caplog.messages[-1]


def test_another_torch_and_other_threads_are_measured_again(
    decide: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert decide(Track({"float32": 0.02, "bfloat16": 0.01})) == "bfloat16"
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert decide(Track({"float32": 0.01, "bfloat16": 0.02})) == "float32"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    assert decide(Track({"float32": 0.02, "bfloat16": 0.01})) == "bfloat16"


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"winner": "half", "seconds": {}, "side": 1}'])
def test_a_damaged_verdict_is_measured_again(
    damage: str, decide: Callable[..., str], tmp_path: Path
) -> None:
    assert decide(Track({"float32": 0.02, "bfloat16": 0.01})) == "bfloat16"
    (path,) = (tmp_path / "races").iterdir()
    path.write_text(damage)
    assert decide(Track({"float32": 0.01, "bfloat16": 0.02})) == "float32"
    assert json.loads(path.read_text())["winner"] == "float32"


def test_a_folder_that_cannot_be_written_is_no_error(
    decide: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("DEBLUR_CACHE", str(file))
    for winner, loser in (ARITHMETICS[:2], ARITHMETICS[1::-1]):
        assert decide(Track(dict(sorted({winner: 0.01, loser: 0.02}.items())))) == winner


def test_two_processes_may_write_at_once(
    decide: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Track({"float32": 0.01, "bfloat16": 0.02})
    remember = verdicts._remember

    def late(*given: Any) -> None:
        monkeypatch.setattr(verdicts, "_remember", remember)
        decide(Track({"float32": 0.02, "bfloat16": 0.01}))  # the other one is faster
        remember(*given)

    monkeypatch.setattr(verdicts, "_remember", late)
    assert decide(slow) == "float32"
    (path,) = (tmp_path / "races").iterdir()
    assert json.loads(path.read_text())["winner"] == "float32"


def test_a_network_that_cannot_race_is_float32(decide: Callable[..., str]) -> None:
    def fail(picture: Tensor) -> Tensor:
        raise RuntimeError("too small")

    track = Track({"float32": 0.01, "bfloat16": 0.01})
    track.enter = lambda name: fail  # type: ignore[method-assign]
    assert decide(track) == "float32"


@pytest.mark.parametrize(
    ("swift", "expected"), [("bfloat16", "bf16-mixed"), ("float32", "32-true")]
)
def test_training_races_too_and_changes_nothing(
    swift: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEBLUR_CACHE", str(tmp_path))
    monkeypatch.setattr(race, "has_bfloat16", lambda device: True)
    now = 0.0
    network = ResNet(blocks=1, width=4)
    sides = set()
    make_step = race._make_step

    def watched(generator: Any, device: Any, fast: bool) -> Run:
        step = make_step(generator, device, fast)

        def run(picture: Tensor) -> None:
            nonlocal now
            sides.add(picture.shape[-1])
            step(picture)
            now += 0.01 if fast == (swift == "bfloat16") else 0.03

        return run

    monkeypatch.setattr(race, "_make_step", watched)
    monkeypatch.setattr(race, "start_clock", lambda device: nullcontext(lambda: now))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(1)
    assert race_training(network, CPU, 96) == expected
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1)) and sides == {64}
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


def test_a_device_without_units_does_not_race(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "has_bfloat16", lambda device: False)
    monkeypatch.delattr(race, "Race")
    assert race_training(ResNet(blocks=1, width=4), CPU, 96) == "32-true"


def test_the_real_race_names_what_it_measured() -> None:
    verdict = measure(ResNet(blocks=1, width=4), CPU)
    assert verdict.winner in verdict.seconds or verdict.side == 0
