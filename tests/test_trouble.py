"""What a run does when something goes wrong: whole runs, and what they say."""

import csv
import errno
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICKEST, ROOT

from deblur.checkpoints import load_generator
from deblur.data.photos import Photos
from deblur.training.gan import DeblurGAN
from deblur.training.step_losses import StepLosses

NAN = float("nan")


def spoil(patch: pytest.MonkeyPatch, *steps: int, by: float = NAN) -> None:
    """Spoil the generator's loss in some steps, counted from 0, and with NaN all statistics."""
    total, learn, now = StepLosses.total, DeblurGAN._learn, [-1]

    def counted(self: DeblurGAN, *arguments: Any) -> None:
        now[0] += 1
        learn(self, *arguments)

    def spoiled(self: StepLosses, losses: Any) -> torch.Tensor:
        value = total(self, losses)
        if now[0] not in steps or len(losses) < 2:
            return value
        self.generator(torch.full((1, 3, 32, 32), NAN))
        return value * by

    patch.setattr(DeblurGAN, "_learn", counted)
    patch.setattr(StepLosses, "total", spoiled)


@pytest.mark.parametrize("by", [NAN, float("inf")])
def test_a_step_without_a_finite_loss_is_skipped(
    by: float, tmp_path: Path, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, 1, 4, by=by)
    start("train", *QUICKEST, f"hydra.run.dir={tmp_path}")
    log = (tmp_path / "train.log").read_text()
    assert f"epoch 0, batch 1: the loss, {by}, or its gradient is not finite; this step is" in log
    assert log.count("is skipped") == 2
    weights = load_generator(tmp_path / "checkpoints" / "last.ckpt").network.state_dict()
    assert all(value.isfinite().all() for value in weights.values())
    assert not (tmp_path / "not_finite.json").exists()


def test_too_many_of_them_end_the_run_and_name_the_pictures(
    tmp_path: Path, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, 3, 4, 5)
    with pytest.raises(SystemExit, match="error: epoch 1, batch 2: .*nan"):
        start("train", *QUICKEST, f"hydra.run.dir={tmp_path}")
    batches = json.loads((tmp_path / "not_finite.json").read_text())
    assert [(one["epoch"], one["batch"]) for one in batches] == [(1, 0), (1, 1), (1, 2)]
    assert all(len(one["names"]) == 2 and one["loss"] == "nan" for one in batches)
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 1  # that of before


def test_a_collapsed_run_ends_early(
    tmp_path: Path, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StepLosses, "restore", lambda self, blur: [0 * self.generator(blur)])
    patience = "trainer.callbacks.7.patience=2"
    start("train", *QUICKEST, patience, "trainer.max_epochs=9", f"hydra.run.dir={tmp_path}")
    log = (tmp_path / "train.log").read_text()
    assert "its images are constant in 2 batches on end, so the run ends here (epoch 0)" in log


def test_a_full_disk_ends_the_run_and_leaves_the_last_good_checkpoint(
    tmp_path: Path, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkpoints"
    learn = DeblurGAN._learn

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(self: DeblurGAN, *arguments: Any) -> None:
        if self.current_epoch == 1:
            monkeypatch.setattr(os, "fsync", full)
        learn(self, *arguments)

    monkeypatch.setattr(DeblurGAN, "_learn", fill)
    with pytest.raises(SystemExit, match=f"^error: {tmp_path}/.*: No space left on device"):
        start("train", *QUICKEST, f"hydra.run.dir={tmp_path}")
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt"}
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 1
    assert f"hydra.run.dir={tmp_path} ckpt=last" in (tmp_path / "train.log").read_text()


def test_an_error_in_a_validation_leaves_no_loading_process(
    tmp_path: Path, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        assert multiprocessing.active_children()
        raise RuntimeError("on purpose")

    monkeypatch.setattr(DeblurGAN, "validation_step", fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        start("train", *QUICKEST, "data.workers=1", f"hydra.run.dir={tmp_path}")
    assert not multiprocessing.active_children()


def damage(path: Path, how: str) -> None:
    whole = bytearray(path.read_bytes())
    if how == "cut off":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "a bit":
        whole[len(whole) // 2] ^= 4
        path.write_bytes(whole)
    else:
        path.write_bytes(b"")


@pytest.mark.parametrize("how", ["cut off", "a bit", "empty"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_offered(
    how: str, trained: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    last, previous = (run / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous"))
    damage(last, how)
    with pytest.raises(SystemExit) as stop:
        start("train", "ckpt=last", f"hydra.run.dir={run}")
    assert str(stop.value.code).startswith(f"error: {last}: damaged (")
    assert str(stop.value.code).endswith(f"; {previous} is whole: ckpt={previous}")


@pytest.mark.parametrize("name", ["previous", "best"])
def test_a_run_goes_on_from_the_checkpoint_before_and_keeps_it(
    name: str, trained: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    last, previous = (run / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous"))
    shutil.copy(previous, run / "checkpoints" / "best.ckpt")
    damage(last, "empty")
    start("train", f"ckpt={name}", f"hydra.run.dir={run}")
    assert torch.load(last, weights_only=True)["epoch"] == 2
    assert torch.load(previous, weights_only=True)["epoch"] == 1


@pytest.fixture
def photos(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """Write a folder of photos, of which one is cut off in the middle."""
    for number in range(12):
        picture(tmp_path / "photos" / f"{number:02}.png", (64, 64), number)
    cut = tmp_path / "photos" / "07.png"
    cut.write_bytes(cut.read_bytes()[:3000])
    return tmp_path / "photos"


def test_a_damaged_picture_is_told_before_training(
    photos: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    own = [*QUICKEST, f"data.root={photos}", "data.dataset.size=40", "trainer.max_epochs=1"]
    told = r"of \d+, 1 cannot be used: \S+/07.png: not a readable picture"
    with pytest.raises(SystemExit, match=f"^error: {told} .*unreadable=skip"):
        start("train", *own, f"hydra.run.dir={tmp_path / 'a'}")
    assert not (tmp_path / "a" / "checkpoints").exists()
    start("train", *own, "data.unreadable=skip", f"hydra.run.dir={tmp_path / 'b'}")
    log = (tmp_path / "b" / "train.log").read_text()
    assert re.search(f"{told} .*; left out", log) and log.count("07.png") == 1


class Later(Photos):
    """Photos that are damaged after they were looked at."""

    def decode_all(self) -> None:
        """Find nothing yet."""


def test_an_unreadable_picture_ends_a_run_or_is_left_out(
    photos: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    own = [*QUICKEST, f"data.root={photos}", "data.workers=1", "data.dataset.size=40"]
    own += ["data.dataset._target_=test_trouble.Later"]
    with pytest.raises(SystemExit, match=r"^error: \S+07.png: not a readable picture \(.*skip"):
        start("train", *own, f"hydra.run.dir={tmp_path / 'a'}")
    skip = [*own, "data.unreadable=skip", "data.workers=0"]
    start("train", *skip, f"hydra.run.dir={tmp_path / 'b'}")
    assert "07.png: not a readable picture" in (tmp_path / "b" / "train.log").read_text()


def test_one_among_thousands_is_told_before_training(
    tmp_path: Path, picture: Callable[..., Path], start: Callable[..., None]
) -> None:
    one, photos = picture(tmp_path / "one.png", (64, 64)), tmp_path / "photos"
    photos.mkdir()
    for number in range(3000):
        os.link(one, photos / f"{number}.png")
    (photos / "2345.png").unlink()
    (photos / "2345.png").write_text("no picture")
    own = [*QUICKEST, f"data.root={photos}", f"hydra.run.dir={tmp_path / 'run'}"]
    told = r"of 2400, 1 cannot be used: \S+/2345.png: not a readable picture"
    with pytest.raises(SystemExit, match=rf"{told} .*unreadable=skip"):
        start("train", *own)
    start("train", *own, "data.unreadable=skip", "trainer.max_epochs=1")
    assert re.search(f"{told} .*; left out", (tmp_path / "run" / "train.log").read_text())


class Deadly(Photos):
    """Kills the process that reads its seventh photo."""

    def _read(self, photo: Path) -> Any:
        pixels = super()._read(photo)
        if photo.stem == "06":
            os.kill(os.getpid(), signal.SIGKILL)
        return pixels


@pytest.mark.slow
def test_a_loading_process_that_dies_gives_its_file(
    photos: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    (photos / "07.png").unlink()
    own = [f"data.root={photos}", "data.workers=1", "data.dataset.size=40"]
    target = "data.dataset._target_=test_trouble.Deadly"
    died = r"error: a loading process has died \(.*\); it held \S+/06.png"
    with pytest.raises(SystemExit, match=died):
        start("train", *QUICKEST, *own, target, f"hydra.run.dir={tmp_path / 'run'}")


@pytest.mark.slow
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_all_processes_stops_a_run_with_loading_processes(
    number: int, code: int, tmp_path: Path
) -> None:
    """A terminal sends Ctrl-C, and a scheduler SIGTERM, to the loading processes too."""
    own = ["trainer.max_epochs=9999", "data.workers=2", f"hydra.run.dir={tmp_path}"]
    process: Any = subprocess.Popen(
        [sys.executable, "train.py", *QUICKEST, *own],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert "epoch 1/9999" in next(line for line in process.stdout if line.startswith("epoch"))
        time.sleep(1)
        os.killpg(process.pid, number)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, said
    assert f"hydra.run.dir={tmp_path} ckpt=last" in said and "Traceback" not in said
    last = tmp_path / "checkpoints" / "last.ckpt"
    with open(tmp_path / "csv" / "metrics.csv", newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["train/charbonnier"]]
    place = torch.load(last, weights_only=True)["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    assert place["total"]["completed"] == max(steps) + 1  # nothing was lost
