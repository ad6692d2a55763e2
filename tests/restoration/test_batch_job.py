import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from deblur.restoration.batch import Job, Outcome
from deblur.restoration.batch_job import explain, restore_job
from deblur.restoration.video import Progress, name_part

OPTIONS = Namespace(
    quality=None, overwrite=False, format=None, only_blurred=False, sharpness=False, adapt=None
)


class Double:
    """Stands in for a Restorer."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.watch = None

    def restore_file(self, source: Path, target: Path, **settings: object) -> list[str]:
        if self.error:
            raise self.error
        target.touch()
        return ["a note"]

    def restore(self, pixels: Any) -> Any:
        return pixels


def restore(job: Job, error: BaseException | None = None) -> Any:
    told: list[Any] = []
    restore_job(Double(error), OPTIONS, job, told.append)
    (outcome,) = told
    return outcome


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("a.png: not a readable picture"), "a.png: not a readable picture"),
        (OSError(28, "No space left on device", "b.png"), "b.png: No space left on device"),
        (RuntimeError("CUDA error: no\nCompile with advice\n"), "RuntimeError: CUDA error: no"),
        (MemoryError(), "MemoryError"),
        (KeyError("mode"), "KeyError: 'mode'"),
        (IndexError(), "IndexError"),
    ],
)
def test_whatever_goes_wrong_with_a_picture_is_a_line(
    error: Exception, reason: str, tmp_path: Path
) -> None:
    assert explain(error) == reason
    outcome = restore(Job(Path("a.png"), tmp_path / "a.png"), error)
    assert (outcome.status, outcome.reason) == ("failed", reason)


def test_a_target_that_appeared_meanwhile_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("of another process")
    assert restore(Job(Path("a.png"), tmp_path / "a.png")).status == "skipped"
    assert (tmp_path / "a.png").read_text() == "of another process"


def test_a_folder_that_cannot_be_made_fails_by_name(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    outcome = restore(Job(Path("a.png"), tmp_path / "out" / "a.png"))
    assert outcome.status == "failed" and outcome.reason.startswith(f"{tmp_path / 'out'}: ")


def test_ctrl_c_is_raised_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        restore(Job(Path("a.png"), tmp_path / "a.png"), KeyboardInterrupt())


def test_a_video_that_was_broken_off_is_not_called_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(source: Path, target: Path, *rest: Any, watch: Any, **settings: Any) -> None:
        watch(Progress(3, 10))
        name_part(target).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("deblur.restoration.batch_job.restore_video", interrupted)
    told: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        job = Job(Path("a.mp4"), tmp_path / "a.mp4")
        restore_job(Double(), OPTIONS, job, told.append)
    assert told[0] == Progress(3, 10) and isinstance(told[1], Outcome)
    assert told[1].status == "failed" and "first 3 of 10 frames" in told[1].reason


def test_a_missing_sheet_is_made_without_restoring_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, before: Path, after: Path) -> None:
        assert before.name == "a.png" and os.path.exists(after)
        path.write_text("a sheet")

    monkeypatch.setattr("deblur.restoration.before_after.write_sheet", write)
    job = Job(Path("a.png"), tmp_path / "a.png", tmp_path / "a_compare.png")
    assert not job.is_done()
    job.target.write_text("restored before")
    assert not job.is_done()
    assert restore(job).status == "skipped"
    assert job.is_done() and job.target.read_text() == "restored before"
    job.target.unlink()
    assert job.sheet is not None
    job.sheet.write_text("somebody's own")
    outcome = restore(job)
    assert outcome.status == "restored" and "a_compare.png" in outcome.notes[1]
    assert job.sheet.read_text() == "somebody's own"
