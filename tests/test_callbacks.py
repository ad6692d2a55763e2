import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from conftest import TINY

from deblur.callbacks import CollapseAlarm
from deblur.pair import Pair

SHARP = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


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
    trainer = cast(Any, SimpleNamespace(should_stop=False, current_epoch=3))
    alarm = CollapseAlarm(patience=3)
    batch = Pair(SHARP, SHARP, "")
    with caplog.at_level(logging.ERROR):
        for index in range(5):
            alarm.on_train_batch_end(trainer, cast(Any, None), {"restored": restored}, batch, index)
    assert trainer.should_stop == (fault is not None)
    assert len(caplog.records) == (fault is not None)
    if fault:
        assert f"its images are {fault} in 3 batches" in caplog.text


def test_one_bad_batch_is_forgiven() -> None:
    trainer = cast(Any, SimpleNamespace(should_stop=False, current_epoch=0))
    alarm = CollapseAlarm(patience=2)
    for index in range(6):
        restored = 0 * SHARP if index % 2 else SHARP
        outputs = {"restored": restored}
        alarm.on_train_batch_end(trainer, cast(Any, None), outputs, Pair(SHARP, SHARP, ""), index)
    assert not trainer.should_stop


def test_patience_must_be_positive() -> None:
    with pytest.raises(ValueError, match="patience"):
        CollapseAlarm(patience=0)


def test_the_time_is_estimated_before_the_first_step_and_changes_nothing(
    trained: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    others = (
        "[{_target_: lightning.pytorch.callbacks.ModelCheckpoint, filename: last},"
        "{_target_: deblur.callbacks.MemoryFormat}]"
    )
    start("train", *TINY, f"trainer.callbacks={others}", f"hydra.run.dir={tmp_path}")
    assert "to the end on this machine" not in (tmp_path / "train.log").read_text()
    assert "to the end on this machine" in (trained / "train.log").read_text()
    plain, watched = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (tmp_path, trained)
    )
    assert plain.keys() == watched.keys()
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
