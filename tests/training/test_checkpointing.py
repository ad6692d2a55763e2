import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
import torch
from conftest import QUICKEST, TINY

from deblur.training import checkpointing
from deblur.training.checkpointing import Checkpoints, SyncedIO


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note after how many batches something is saved."""
    places: list[int] = []
    settle = checkpointing._settle
    monkeypatch.setattr(
        checkpointing,
        "_settle",
        lambda file, place: (places.append(place.total), settle(file, place)),
    )
    return places


@pytest.mark.parametrize(
    "minutes, expected", [("null", [3, 6]), ("0", [1, 2, 3, 4, 5, 6]), ("2", [2, 3, 5, 6])]
)
def test_a_run_is_saved_after_each_epoch_and_every_so_many_minutes(
    minutes: str,
    expected: list[int],
    saved: list[int],
    tmp_path: Path,
    start: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch takes a minute here."""
    steps = SimpleNamespace(now=0.0)
    begin = Checkpoints.on_train_batch_start

    def late(self: Checkpoints, *arguments: Any) -> None:
        begin(self, *arguments)
        steps.now += 60

    monkeypatch.setattr(checkpointing, "time", SimpleNamespace(monotonic=lambda: steps.now))
    monkeypatch.setattr(Checkpoints, "on_train_batch_start", late)
    every = f"save_minutes={minutes}"
    start("train", *QUICKEST, every, f"hydra.run.dir={tmp_path}")
    assert saved == expected


def test_a_run_resumed_after_a_validation_within_an_epoch_is_saved_as_before(
    saved: list[int],
    tmp_path: Path,
    start: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = ["+trainer.val_check_interval=2", "save_minutes=null", f"hydra.run.dir={tmp_path}"]
    with monkeypatch.context() as patch:
        begin = Checkpoints.on_train_batch_start

        def stop(self: Checkpoints, *arguments: Any) -> None:
            begin(self, *arguments)
            if saved:
                raise KeyboardInterrupt

        patch.setattr(Checkpoints, "on_train_batch_start", stop)
        with pytest.raises(SystemExit):
            start("train", *QUICKEST, *settings)
    assert saved == [2]
    start("train", *QUICKEST, *settings, "ckpt=last")
    assert saved == [2, 3, 5, 6]


def test_minutes_are_not_negative() -> None:
    with pytest.raises(ValueError, match="minutes"):
        Checkpoints(monitor="val/psnr", minutes=-1)


def test_the_best_is_that_of_the_highest_score(
    tmp_path: Path, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([3.0, 5.0, float("nan"), 4.0])
    note = Checkpoints.on_validation_end

    def rate(self: Checkpoints, trainer: Any, module: Any) -> None:
        metrics = {"val/psnr": torch.tensor(next(scores))}
        told: Any = SimpleNamespace(callback_metrics=metrics, sanity_checking=False)
        note(self, told, module)

    monkeypatch.setattr(Checkpoints, "on_validation_end", rate)
    start("train", *QUICKEST, "trainer.max_epochs=4", f"hydra.run.dir={tmp_path}")
    best, last = (
        torch.load(tmp_path / "checkpoints" / name, weights_only=True)
        for name in ("best.ckpt", "last.ckpt")
    )
    assert (best["epoch"], last["epoch"]) == (2, 4)
    assert best["callbacks"]["Checkpoints"] == last["callbacks"]["Checkpoints"] == {"best": 5.0}


def test_without_validation_the_newest_generator_is_the_best(
    tmp_path: Path, start: Callable[..., None]
) -> None:
    start("train", *QUICKEST, "trainer.limit_val_batches=0", f"hydra.run.dir={tmp_path}")
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()
    assert (tmp_path / "generator.safetensors").is_file()
    assert "the newest generator is in" in (tmp_path / "train.log").read_text()


def test_a_run_from_another_ones_checkpoint_is_saved_at_once_and_has_no_best_yet(
    trained: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    last = trained / "checkpoints" / "last.ckpt"
    more = ["trainer.max_epochs=3", "model.lr=1e-30", f"ckpt={last}", f"hydra.run.dir={tmp_path}"]
    start("train", *TINY, *more)
    previous, best = (
        torch.load(tmp_path / "checkpoints" / name, weights_only=True)
        for name in ("previous.ckpt", "best.ckpt")
    )
    assert previous["epoch"] == 2 and previous["callbacks"]["Checkpoints"] == {"best": None}
    assert best["epoch"] == 3


def test_a_full_disk_is_named_though_torch_tells_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        """A disk that has no room left after some bytes."""

        def __init__(self, file: BinaryIO) -> None:
            self.file, self.left = file, 1000

        def write(self, data: bytes) -> int:
            self.left -= len(data)
            if self.left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(data)

        def flush(self) -> None:
            self.file.flush()

    save, path = torch.save, tmp_path / "new" / "a.ckpt"
    monkeypatch.setattr(torch, "save", lambda content, file: save(content, Full(file)))
    with pytest.raises(OSError) as caught:
        SyncedIO().save_checkpoint({"a": torch.zeros(5000)}, path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert not list(path.parent.iterdir())
