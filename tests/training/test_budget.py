import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from conftest import QUICKEST, ROOT, TINY
from hydra import compose, initialize_config_dir
from torch.utils.data import DataLoader

from deblur.jobs.resume import find
from deblur.losses.content import Charbonnier
from deblur.networks import ResNet
from deblur.pair import Pair
from deblur.training import budget, callbacks
from deblur.training.budget import Budget
from deblur.training.callbacks import PlainProgress
from deblur.training.gan import DeblurGAN


class Clock:
    """Stands still but for a step's seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(budget, "time", clock)
    return clock


def gan(kind: type[DeblurGAN], **settings: Any) -> DeblurGAN:
    return kind(
        generator=ResNet(blocks=1, width=4),
        discriminator=None,
        adversarial=None,
        content={"charbonnier": Charbonnier()},
        weights={"charbonnier": 1.0},
        optimizer=torch.optim.SGD,
        lr=0.1,
        seed=0,
        **settings,
    )


def batches(count: int) -> DataLoader[Pair]:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return DataLoader([Pair(images[0], images[1], "")] * 2 * count, batch_size=2)  # type: ignore


def timed(clock: Clock, seconds: float) -> type[DeblurGAN]:
    """Return a module whose steps take so many seconds, and which notes its rates."""

    class Timed(DeblurGAN):
        rates: list[float] = []

        def training_step(self, batch: Pair, batch_idx: int) -> Any:
            Timed.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
            clock.now += seconds
            return super().training_step(batch, batch_idx)

    return Timed


def fit(module: DeblurGAN, *more: Any, epochs: int) -> L.Trainer:
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(one, PlainProgress) for one in more),
        callbacks=[*more],
    )
    trainer.fit(module, batches(2), batches(1))
    return trainer


def test_a_run_ends_when_its_minutes_are_used_and_its_rates_with_it(clock: Clock) -> None:
    kind = timed(clock, 12.0)
    trainer = fit(gan(kind, decay_epochs=10), Budget(minutes=1), epochs=10)
    # Five steps of a fifth of the minute each; the rates fall with the time, not with the epochs.
    assert kind.rates == pytest.approx([0.1 * left for left in (1.0, 0.8, 0.6, 0.4, 0.2)])
    assert trainer.fit_loop.epoch_loop._batches_that_stepped == 5
    assert {"val/psnr", "train/generator"} <= trainer.callback_metrics.keys()  # it has validated


def test_epochs_end_a_run_before_its_minutes(clock: Clock) -> None:
    kind = timed(clock, 1.0)
    trainer = fit(gan(kind, decay_epochs=2), Budget(minutes=1), epochs=2)
    assert trainer.fit_loop.epoch_loop._batches_that_stepped == 4
    assert kind.rates[2:] == pytest.approx([0.05, 0.05])
    plain = timed(clock, 1.0)
    fit(gan(plain, decay_epochs=2), Budget(minutes=None), epochs=2)
    assert plain.rates == pytest.approx([0.1, 0.1, 0.05, 0.05])


def test_it_counts_the_time_before_a_stop_but_not_the_pause(clock: Clock) -> None:
    first = Budget(minutes=1)
    fit(gan(timed(clock, 20.0)), first, epochs=1)
    checkpoint: dict[str, Any] = {}
    none: Any = None
    first.on_save_checkpoint(none, none, checkpoint)
    assert checkpoint["minutes"] == pytest.approx(40 / 60)
    clock.now += 9999
    second = Budget(minutes=1)
    second.on_load_checkpoint(none, none, checkpoint)
    trainer = fit(gan(timed(clock, 20.0)), second, epochs=9)
    assert trainer.fit_loop.epoch_loop._batches_that_stepped == 1


def test_minutes_are_positive() -> None:
    with pytest.raises(ValueError, match="minutes must be positive, got 0"):
        Budget(minutes=0)


def test_a_line_an_epoch_is_readable(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    fit(gan(timed(clock, 30.0)), PlainProgress(), epochs=2)
    first, last = [line for line in capsys.readouterr().out.splitlines() if "epoch" in line]
    figures = r"loss [\d.]+, PSNR [\d.]+ dB restored, [\d.]+ dB blurred"
    assert re.fullmatch(f"epoch 1/2 after 60 seconds, about 60 seconds left: {figures}", first)
    assert re.fullmatch(f"epoch 2/2 after 2 minutes: {figures}", last)


def test_the_estimate_is_corrected(
    clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    estimate = callbacks.TimeEstimate()

    def start(trainer: Any, module: Any) -> None:
        estimate.expected, estimate.pace = 100.0, budget.Pace(trainer)

    monkeypatch.setattr(estimate, "on_train_start", start)
    fit(gan(timed(clock, 100.0)), estimate, epochs=5)  # of two steps
    told = [line for line in caplog.messages if "by the pace so far" in line]
    assert told == ["about 15 minutes to the end, by the pace so far"]


def test_a_run_that_used_its_minutes_resumes_with_more(
    tmp_path: Path, start: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    limit = [setting for setting in QUICKEST if setting != "minutes=null"]
    folder = f"hydra.run.dir={tmp_path}"
    start("train", *limit, "minutes=1e-6", folder)
    reached = find("last", tmp_path)
    assert reached.step == 1 and reached.minutes >= 1e-6
    before = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
    start("train", folder, "ckpt=last")
    assert (tmp_path / "checkpoints" / "last.ckpt").read_bytes() == before
    assert "its 1e-06 minutes are used; nothing was done" in capsys.readouterr().out
    start("train", folder, "ckpt=last", "minutes=60")
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 2


def test_quick_is_done_in_four_minutes() -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        assert compose("train", ["experiment=quick"]).minutes == 4
        assert compose("train", [*TINY]).minutes is None
