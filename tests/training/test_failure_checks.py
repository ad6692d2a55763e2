import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from deblur.pair import Pair
from deblur.training.failure_checks import CollapseAlarm, DivergenceAlarm

SHARP = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def trainer_at(epoch: int) -> Any:
    """Give as much of a trainer as an alarm looks at."""
    strategy = SimpleNamespace(reduce_boolean_decision=bool)
    return SimpleNamespace(
        should_stop=False, current_epoch=epoch, is_global_zero=True, strategy=strategy
    )


@pytest.mark.parametrize(
    "restored, fault",
    [
        (SHARP, None),
        (0.5 * SHARP, None),
        (0.01 * SHARP + 0.3, "constant"),
        (torch.sign(SHARP), "saturated"),
        ((SHARP + 1).clamp(-1, 1), "saturated"),
        (SHARP * torch.nan, "not finite"),
    ],
)
def test_a_collapsed_generator_ends_the_run_with_one_line(
    restored: torch.Tensor, fault: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = trainer_at(epoch=3)
    alarm = CollapseAlarm(patience=3)
    batch = Pair(SHARP, SHARP, "")
    with caplog.at_level(logging.ERROR):
        for index in range(5):
            alarm.on_train_batch_end(trainer, cast(Any, None), {"restored": restored}, batch, index)
    assert trainer.should_stop == (fault is not None)
    assert len(caplog.records) == (fault is not None)
    if fault:
        assert f"its images are {fault} in 3 consecutive batches" in caplog.text


def test_one_bad_batch_is_forgiven() -> None:
    trainer = trainer_at(epoch=0)
    alarm = CollapseAlarm(patience=2)
    for index in range(6):
        restored = 0 * SHARP if index % 2 else SHARP
        outputs = {"restored": restored}
        alarm.on_train_batch_end(trainer, cast(Any, None), outputs, Pair(SHARP, SHARP, ""), index)
    assert not trainer.should_stop


def test_patience_must_be_positive() -> None:
    for alarm in (CollapseAlarm, DivergenceAlarm):
        with pytest.raises(ValueError, match="patience"):
            alarm(patience=0)


@pytest.mark.parametrize("alarm", [CollapseAlarm(patience=2), DivergenceAlarm(patience=2)])
def test_a_run_that_goes_on_has_not_forgotten(alarm: Any, tmp_path: Path) -> None:
    trainer = trainer_at(epoch=0)
    trainer.default_root_dir = tmp_path
    outputs = {"restored": 0 * SHARP, "skipped": torch.tensor(torch.inf)}
    batch = Pair(SHARP, SHARP, cast(Any, ["a", "b"]))
    alarm.on_train_batch_end(trainer, cast(Any, None), outputs, batch, 0)
    again = type(alarm)(patience=2)
    again.load_state_dict(json.loads(json.dumps(alarm.state_dict())))
    if isinstance(alarm, CollapseAlarm):
        again.on_train_batch_end(trainer, cast(Any, None), outputs, batch, 1)
        assert trainer.should_stop
        trainer.should_stop = False  # resumed from the checkpoint of the collapse
        again.on_train_batch_end(trainer, cast(Any, None), outputs, batch, 2)
        assert trainer.should_stop
        return
    with pytest.raises(FloatingPointError, match="batch 1: .*inf.* 2"):
        again.on_train_batch_end(trainer, cast(Any, None), outputs, batch, 1)
    noted = json.loads((tmp_path / "not_finite.json").read_text())
    assert [one["names"] for one in noted] == [["a", "b"]] * 2


def test_skipped_steps_are_counted_in_an_epoch() -> None:
    trainer = trainer_at(epoch=0)
    alarm = DivergenceAlarm(patience=2)
    batch = Pair(SHARP, SHARP, cast(Any, ["a", "b"]))
    for index in range(4):
        alarm.on_train_epoch_start(trainer, cast(Any, None))
        for outputs in ({"skipped": torch.tensor(torch.nan)}, {"restored": SHARP}):
            alarm.on_train_batch_end(trainer, cast(Any, None), outputs, batch, index)
