"""What is refused leaves no trace: neither in the folder of another run nor one of its own."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import QUICKEST, TINY
from omegaconf import OmegaConf

from deblur.checkpoints import load_generator
from deblur.distributed import FOLLOW
from deblur.jobs import run_status
from deblur.jobs.run_status import RunStatus

Files = dict[str, tuple[int, bytes]]


def contents(folder: Path) -> Files:
    """Read all files of a folder, with the times at which they were changed."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(one.relative_to(folder)): (one.stat().st_mtime_ns, one.read_bytes()) for one in files
    }


@pytest.fixture
def finished(trained: Path, tmp_path: Path) -> Path:
    """Give a copy of a finished run."""
    return shutil.copytree(trained, tmp_path / "finished")


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["ckpt=last", "experiment=nafnet", "data=photos"], "model"),
        (["ckpt=last", "model.discriminator.width=8"], "last.ckpt: does not fit the configured"),
        (["ckpt=last", "seed=abc"], "seed is 'abc'"),
        (["ckpt=last", "modl.lr=1"], "modl is not a setting"),
        (["ckpt=last", "experiment=quik"], "experiment=quik does not exist"),
        (["ckpt=last", "data.root=nowhere"], "nowhere: no such folder"),
        (["ckpt=last", "trainer.max_epochs=1"], "trainer.max_epochs is 1, but "),
        (["ckpt=last", "+trainer.max_steps=3"], "trainer.max_steps is 3"),
        (["ckpt=last", "+data.lr=3"], "data.lr is not a setting"),
        (
            ["ckpt=none.ckpt", *TINY],
            "finished: already holds a run: ckpt=last resumes it, another ",
        ),
        (TINY, "finished: already holds a run: ckpt=last resumes it, another hydra.run.dir"),
        ([], "no experiment was chosen"),
    ],
)
def test_a_refused_command_leaves_a_finished_run_alone(
    arguments: list[str], told: str, finished: Path, start: Callable[..., None]
) -> None:
    before = contents(finished)
    with pytest.raises(SystemExit) as stop:
        start("train", *arguments, f"hydra.run.dir={finished}")
    assert str(stop.value.code).startswith("error: ") and told in str(stop.value.code)
    assert contents(finished) == before


def test_nor_does_an_evaluation_or_a_sweep_write_into_it(
    finished: Path, start: Callable[..., None]
) -> None:
    before = contents(finished)
    with pytest.raises(SystemExit, match="finished.*hydra.run.dir"):
        start("eval", f"ckpt={finished / 'generator.safetensors'}", f"hydra.run.dir={finished}")
    with pytest.raises(SystemExit, match="finished.*hydra.sweep.dir"):
        start("train", "-m", *TINY, "seed=0,1", f"hydra.sweep.dir={finished}")
    assert contents(finished) == before


def test_a_finished_run_says_so_and_how_to_train_on(
    finished: Path, start: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(finished)
    start("train", "ckpt=last", f"hydra.run.dir={finished}")
    said = capsys.readouterr().out
    assert f"{finished}: finished, all 2 epochs are trained; nothing to do" in said
    assert f"hydra.run.dir={finished} ckpt=last trainer.max_epochs=4" in said
    assert contents(finished) == before


def test_after_a_refusal_a_run_can_be_made_longer(
    finished: Path, start: Callable[..., None]
) -> None:
    with pytest.raises(SystemExit):
        start("train", "ckpt=last", "experiment=nafnet", f"hydra.run.dir={finished}")
    start("train", "ckpt=last", "trainer.max_epochs=3", f"hydra.run.dir={finished}")
    end = run_status.read(finished)
    assert end is not None and end.status == "finished"
    config = OmegaConf.load(finished / ".hydra" / "config.yaml")
    assert (config.trainer.max_epochs, config.model.generator.width) == (3, 4)
    assert "trainer.max_epochs=3" in OmegaConf.load(finished / ".hydra" / "overrides.yaml")


def test_all_trained_in_another_run_is_refused(
    finished: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    last = finished / "checkpoints" / "last.ckpt"
    with pytest.raises(SystemExit, match="max_epochs=3"):
        start("train", *TINY, f"ckpt={last}", f"hydra.run.dir={tmp_path / 'new'}")
    assert not contents(tmp_path / "new")


@pytest.mark.parametrize("trace", [".hydra/config.yaml", "checkpoints/last.ckpt"])
def test_a_folder_that_something_else_has_used_is_refused(
    trace: str, tmp_path: Path, start: Callable[..., None]
) -> None:
    (tmp_path / trace).parent.mkdir()
    (tmp_path / trace).touch()
    with pytest.raises(SystemExit, match=f"{tmp_path}"):
        start("train", *TINY, f"hydra.run.dir={tmp_path}")
    assert [*contents(tmp_path)] == [trace]


@pytest.mark.parametrize(
    "script, arguments",
    [
        ("train", []),
        ("train", ["experiment=quick", "data.root=nowhere"]),
        ("train", ["experiment=quick", "trainer.max_epochs=-1"]),
        ("eval", ["ckpt=nothing.ckpt"]),
        ("eval", ["ckpt=small", "data.root=nowhere"]),
    ],
)
def test_a_refused_command_leaves_no_folder(
    script: str,
    arguments: list[str],
    tmp_path: Path,
    start: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="^error: "):
        start(script, *arguments)
    assert not [*tmp_path.iterdir()]


def test_what_was_said_before_is_in_the_log(tmp_path: Path, start: Callable[..., None]) -> None:
    start("train", *QUICKEST, "trainer.max_epochs=1", f"hydra.run.dir={tmp_path}")
    assert {path.name for path in (tmp_path / ".hydra").iterdir()} == {
        *("config.yaml", "hydra.yaml", "overrides.yaml")
    }
    hydra = OmegaConf.load(tmp_path / ".hydra" / "hydra.yaml").hydra
    assert hydra.runtime.choices.experiment == "quick"
    assert "the best generator is in" in (tmp_path / "train.log").read_text()


def test_who_waits_for_a_job_is_told_that_it_was_refused(
    finished: Path, tmp_path: Path, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the outcome of what had no end is left alone."""
    monkeypatch.setenv(FOLLOW, "1")
    for folder in (tmp_path / "new", finished):
        before = contents(folder)
        with pytest.raises(SystemExit):
            start("train", *QUICKEST, "data.root=nowhere", f"hydra.run.dir={folder}")
        if folder == finished:
            assert contents(folder) == before
        else:
            assert [*contents(folder)] == [".lock", run_status.NAME]
            end = run_status.read(folder)
            assert end is not None and (end.status, end.fault) == ("failed", "data")
            assert end.overrides == [*QUICKEST, "data.root='nowhere'"]


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_files_have_the_modes_that_the_system_asks_for(
    mask: int, tmp_path: Path, start: Callable[..., None]
) -> None:
    before = os.umask(mask)
    try:
        start("train", *QUICKEST, "trainer.max_epochs=1", f"hydra.run.dir={tmp_path / 'run'}")
    finally:
        os.umask(before)
    load_generator(tmp_path / "run" / "generator.safetensors")
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    modes = {path.name: path.stat().st_mode & 0o777 for path in files}
    assert modes == dict.fromkeys(modes, 0o666 & ~mask)


def test_an_outcome_of_before_has_no_fault(tmp_path: Path) -> None:
    (tmp_path / run_status.NAME).write_text('{"status": "finished", "overrides": [], "score": 1.0}')
    assert run_status.read(tmp_path) == RunStatus("finished", [], 1.0)
