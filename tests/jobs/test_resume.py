"""A run that was stopped and goes on is the run that was not stopped, bit for bit."""

import csv
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import QUICKEST, TINY
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deblur.checkpoints import load_generator
from deblur.config.overrides import literal
from deblur.jobs.resume import Start, find, recall
from deblur.jobs.run_status import RunStatus
from deblur.training import callbacks
from deblur.training.checkpointing import Checkpoints
from deblur.training.gan import DeblurGAN

RUN = [
    *QUICKEST,
    "model/optimizer=adam",
    "model.lr=0.01",
    "model.average=0.5",
    "model.generator.dropout=0.5",
]
MORE = {
    "wasserstein_gp": ["model/adversarial=wasserstein_gp", "model.discriminator_steps=5"],
    "relativistic_ls in bf16": [
        *("model/adversarial=relativistic_ls", "model/optimizer=lars"),
        "trainer.precision=bf16-mixed",
    ],
    "1 worker": ["data.workers=1"],
    "2 workers": ["data.workers=2"],
}


class Kill(BaseException):
    """Ends a run as kill -9 does: nothing is saved."""


Stop = Callable[[pytest.MonkeyPatch], None]


def in_step(number: int, act: Callable[[], None], call: int = 2) -> Stop:
    """Act once in a step, counted from 1: after the discriminator's half, before the other."""

    def arm(patch: pytest.MonkeyPatch) -> None:
        descend, calls = DeblurGAN._descend, []

        def watched(self: DeblurGAN, *arguments: Any) -> None:
            if self.trainer.fit_loop.epoch_loop.batch_progress.total.ready == number:
                calls.append(number)
                if len(calls) == call:
                    act()
            descend(self, *arguments)

        patch.setattr(DeblurGAN, "_descend", watched)

    return arm


def at(hook: str, number: int, act: Callable[[], None]) -> Stop:
    """Act at the so manieth call of one of the module's hooks."""

    def arm(patch: pytest.MonkeyPatch) -> None:
        known, calls = getattr(DeblurGAN, hook), []

        def watched(self: DeblurGAN, *arguments: Any) -> Any:
            calls.append(number)
            if len(calls) == number:
                act()
            return known(self, *arguments)

        patch.setattr(DeblurGAN, hook, watched)

    return arm


def fail() -> None:
    raise RuntimeError("on purpose")


def kill() -> None:
    raise Kill


def send(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def twice(act: Callable[[], None]) -> Callable[[], None]:
    def again() -> None:
        act()
        act()

    return again


@pytest.fixture
def train(start: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that trains in a folder until it is stopped."""

    def run(folder: Path, *arguments: str, stop: Stop | None = None) -> None:
        if stop is None:
            start("train", *arguments, f"hydra.run.dir={folder}")
            return
        with monkeypatch.context() as patch, pytest.raises((Kill, RuntimeError, SystemExit)) as end:
            stop(patch)
            if stop in KILLS.values():
                patch.setattr(Checkpoints, "on_exception", lambda *_: None)
            start("train", *arguments, f"hydra.run.dir={folder}")
        assert not isinstance(end.value, SystemExit) or end.value.code in (130, 143)

    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Keep the runs that nothing stopped."""
    return {}


@pytest.fixture
def uninterrupted(
    whole: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, train: Callable[..., None]
) -> Callable[[str], Path]:
    def find(kind: str) -> Path:
        if kind not in whole:
            whole[kind] = tmp_path_factory.mktemp("whole") / kind
            train(whole[kind], *RUN, *MORE.get(kind, []))
        return whole[kind]

    return find


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """List where two checkpoints differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other}, key=str)
        pairs = [(one.get(key, "absent"), other.get(key, "absent"), str(key)) for key in keys]
        return [d for a, b, key in pairs for d in differences(a, b, f"{path}/{key}")]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        both = enumerate(zip(one, other, strict=True))
        return [d for place, pair in both for d in differences(*pair, f"{path}/{place}")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        same = one.dtype == other.dtype and torch.equal(one.nan_to_num(7e9), other.nan_to_num(7e9))
        return [] if same else [path]
    return [] if one == other else [f"{path}: {one} and {other}"]


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "csv" / "metrics.csv", newline="") as file:
        rows = [
            {k: v for k, v in row.items() if v and not k.startswith("time/")}
            for row in csv.DictReader(file)
        ]
    return [row for row in rows if row.keys() > {"epoch", "step"}]


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    tags = [tag for tag in found.Tags()["scalars"] if not tag.startswith("time/")]
    # Files of the same second and process are not read in their order.
    return {tag: sorted((s.step, s.value) for s in found.Scalars(tag)) for tag in tags}


def assert_same(folder: Path, other: Path) -> None:
    for name in ("last", "best"):
        paths = (f / "checkpoints" / f"{name}.ckpt" for f in (folder, other))
        files = [torch.load(path, weights_only=True) for path in paths]
        for file in files:
            file["data"]["scalars"].pop("data.workers", None)
        assert not differences(*files), name
    assert table(folder) == table(other)
    assert events(folder) == events(other)
    weights = [
        load_generator(f / "generator.safetensors").network.state_dict() for f in (folder, other)
    ]
    assert not differences(*weights)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """Give a folder in which a run was begun."""
    saved = ["experiment=quick", "model.lr=0.1", "~model.every.perceptual", "init='a, ${b}.ckpt'"]
    RunStatus("running", saved).write(tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("ckpt", ["last", "previous", "best", "RUN/checkpoints/last.ckpt"])
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_runs_command_line_is_remembered(begun: Path, ckpt: str, quote: str) -> None:
    ckpt = ckpt.replace("RUN", str(begun))
    given = [f"ckpt={ckpt}", "model.lr=0.2", f"hydra.run.dir={quote}{begun}{quote}"]
    kept = ["experiment=quick", "~model.every.perceptual", "init='a, ${b}.ckpt'"]
    assert recall(given) == [*kept, *given]


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    """As deblur.jobs.worker_process passes it."""
    folder = tmp_path / "o'brien, ${a}\\"
    RunStatus("stopped", ["experiment=quick"]).write(folder)
    given = ["ckpt=last", f"hydra.run.dir={literal(str(folder))}"]
    assert recall(given) == ["experiment=quick", *given]


def test_in_a_runs_folder_it_need_not_be_given(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(begun)
    kept = ["experiment=quick", "model.lr=0.1", "~model.every.perceptual", "init='a, ${b}.ckpt'"]
    place = f"hydra.run.dir='{begun}'"
    assert recall(["ckpt=last"]) == [*kept, "ckpt=last", place]
    assert Path.cwd() == begun
    (begun / ".hydra").mkdir()
    for start in (begun / "gone", begun.parent):
        runtime = {"hydra": {"runtime": {"cwd": str(start)}}}
        OmegaConf.save(OmegaConf.create(runtime), begun / ".hydra" / "hydra.yaml")
        monkeypatch.setattr("sys.argv", ["train.py"])
        assert recall(["ckpt=last"]) == [*kept, "ckpt=last", place]
    assert Path.cwd() == begun.parent  # to which the run's relative paths refer
    assert sys.argv[0] == str(begun / "train.py")


def test_other_command_lines_are_left_alone(begun: Path) -> None:
    for given in (
        ["experiment=quick", f"hydra.run.dir={begun}"],
        [f"hydra.run.dir={begun}", "ckpt=elsewhere/last.ckpt"],
        ["ckpt=elsewhere/last.ckpt"],
        ["-m", "ckpt=last", "model.lr=1,2"],
    ):
        assert recall(given) == given


def test_there_must_be_a_run_that_can_go_on(begun: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="error: ckpt=last.*hydra.run.dir"):
        recall(["ckpt=last"])
    with pytest.raises(SystemExit, match="none/outcome.json"):
        recall(["ckpt=last", "hydra.run.dir=none"])
    (tmp_path / "outcome.json").write_text("?")
    with pytest.raises(SystemExit, match="error: .*outcome.json"):
        recall(["ckpt=last", f"hydra.run.dir={tmp_path}"])
    with pytest.raises(ValueError, match="run: .*ckpt=last"):
        find(None, begun)
    new = tmp_path / "new"
    assert find(None, new) == Start(None, 0, 0, True)
    assert find("last", begun) == Start(None, 0, 0, True)
    with pytest.raises(FileNotFoundError, match="best.ckpt"):
        find("best", begun)
    path = trained / "checkpoints" / "last.ckpt"
    assert find("last", trained) == find(str(path), trained) == Start(path, 4, 2, True, "32-true")
    assert find(str(path), new) == Start(path, 4, 2, False, "32-true")
    for ckpt in (None, str(path)):
        with pytest.raises(ValueError, match="run: .*ckpt=last"):
            find(ckpt, begun)
    torch.save({"state_dict": {}}, begun / "other.ckpt")
    with pytest.raises(ValueError, match="other.ckpt"):
        find(str(begun / "other.ckpt"), new)


def test_a_run_without_its_last_checkpoint_does_not_start_over(begun: Path) -> None:
    for age, name in enumerate(["previous", "best"]):
        path = begun / "checkpoints" / f"{name}.ckpt"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (age, age))
        with pytest.raises(FileNotFoundError, match=f"last.ckpt: .*{name}.ckpt.* ckpt={name}"):
            find("last", begun)


@pytest.mark.parametrize("change", ["model.discriminator.width=8", "model.average=0.9"])
def test_a_run_cannot_go_on_with_other_networks(
    change: str, trained: Path, tmp_path: Path, train: Callable[..., None]
) -> None:
    last = trained / "checkpoints" / "last.ckpt"
    with pytest.raises(SystemExit, match=f"^error: {last}"):
        train(tmp_path, *TINY, change, f"ckpt={last}")


def test_what_fails_before_it_trains_leaves_the_files_alone(
    trained: Path, tmp_path: Path, train: Callable[..., None]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    files = sorted((run / "checkpoints").iterdir())
    before = [(file, file.read_bytes()) for file in files]

    def early(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(callbacks, "rehearse", lambda *_: fail())

    train(run, "ckpt=last", "trainer.max_epochs=3", stop=early)
    after = sorted((run / "checkpoints").iterdir())
    assert [(file, file.read_bytes()) for file in after] == before


def test_a_finished_run_may_be_made_longer(tmp_path: Path, train: Callable[..., None]) -> None:
    long, short = tmp_path / "long", tmp_path / "short"
    decay = "model.schedule.decay_epochs=0"
    train(long, *RUN, decay, "trainer.max_epochs=3")
    train(short, *RUN, decay)
    train(short, "ckpt=last")  # nothing is left to do
    train(short, "ckpt=last", "trainer.max_epochs=3")
    assert_same(short, long)
    with pytest.raises(SystemExit, match="max_epochs"):
        train(short, "ckpt=last", "trainer.max_epochs=1")


KILLS = {
    "before anything was saved": in_step(2, kill),
    "in the middle of an epoch": in_step(5, kill),
    "after the last batch": at("validation_step", 2, kill),
    "at the end of an epoch": in_step(4, kill),
}
STOPS = {
    **KILLS,
    "by an error within a step": in_step(5, fail),
    "by an error in validation": at("validation_step", 1, fail),
    "by an error between steps": at("on_train_batch_start", 5, fail),
    "by Ctrl-C": in_step(2, send(signal.SIGINT)),
    "by Ctrl-C in an epoch's last step": in_step(3, send(signal.SIGINT)),
    "by Ctrl-C twice within a step": in_step(5, twice(send(signal.SIGINT))),
    "by SIGTERM": in_step(5, send(signal.SIGTERM)),
    "by SIGTERM in an epoch's last step": in_step(3, send(signal.SIGTERM)),
}


@pytest.mark.parametrize("stop", STOPS)
def test_it_may_be_stopped_anywhere(
    stop: str, tmp_path: Path, train: Callable[..., None], uninterrupted: Callable[[str], Path]
) -> None:
    minutes = "save_minutes=" + ("null" if "end of" in stop else "0")
    folder = tmp_path / "run"
    train(folder, *RUN, minutes, stop=STOPS[stop])
    train(folder, "ckpt=last")
    assert_same(folder, uninterrupted(""))


@pytest.mark.parametrize("kind", MORE)
def test_whatever_it_trains(
    kind: str, tmp_path: Path, train: Callable[..., None], uninterrupted: Callable[[str], Path]
) -> None:
    folder = tmp_path / "run"
    train(folder, *RUN, *MORE[kind], stop=STOPS["by Ctrl-C"])
    train(folder, "ckpt=last")
    assert_same(folder, uninterrupted("" if "worker" in kind else kind))


def test_a_run_keeps_the_arithmetic_that_won_its_race(
    tmp_path: Path, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deblur.inference.race.race_training", lambda *_: "bf16-mixed")
    run = [setting for setting in RUN if "precision" not in setting]
    start("train", *run, "trainer.max_epochs=1", f"hydra.run.dir={tmp_path}")
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["precision"] == "bf16-mixed"
    assert find("last", tmp_path).precision == "bf16-mixed"
    monkeypatch.setattr("deblur.inference.race.race_training", None)  # it is not asked again
    start("train", f"hydra.run.dir={tmp_path}", "ckpt=last", "trainer.max_epochs=2")
    checkpoint = torch.load(last, weights_only=True)
    assert (checkpoint["epoch"], checkpoint["precision"]) == (2, "bf16-mixed")
