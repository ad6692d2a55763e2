"""Sweeps: each job is told, none ends the others, and none is done twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import QUICKEST, ROOT

from deblur.__main__ import main
from deblur.jobs import run_status, worker_process
from deblur.jobs.run_status import RunStatus

SCRIPT = """
import math, os, sys, time
from pathlib import Path
import hydra
from deblur import distributed
from deblur.config import errors, overrides
from deblur.jobs import entry_point, resume, sweep
from deblur.media.pillow_settings import read_any_picture

@hydra.main(version_base="1.3", config_path="conf", config_name="job")
@sweep.recorded
@read_any_picture()  # as in train.py: what wraps it is of another file
def main(cfg, begin):
    if cfg.what in ("refused", "no_data"):
        raise errors.Refusal(cfg.what, "data" if cfg.what == "no_data" else "")
    begin()
    with open(Path(cfg.run_dir, "lives.txt"), "a") as file:
        file.write("x")
    if cfg.what == "mistake":
        raise errors.Mistake("no luck")
    if cfg.what == "error":
        raise RuntimeError("odd\\nand more")
    if cfg.what == "crash":
        os._exit(3)
    if cfg.what == "killed":
        os.kill(os.getpid(), 9)
    if cfg.what == "lost":
        return math.nan
    if cfg.what == "wait" and not Path(cfg.run_dir, "go").exists():
        time.sleep(120)
    return cfg.score

if __name__ == "__main__":
    sys.argv[1:] = overrides.quote_paths(resume.recall(distributed.prepare(sys.argv[1:])))
    entry_point.launch(main)
"""
CONFIG = """
what: well
score: 20.5
ckpt: null
run_dir: ${hydra:runtime.output_dir}
data:
  root: nowhere
  seed: ${score}
hydra:
  callbacks:
    sweep: {_target_: deblur.jobs.sweep.Summary}
  sweep:
    subdir: job-${hydra:job.num}
"""
Sweep = Callable[..., "subprocess.Popen[str]"]


def listen() -> None:
    """Let Ctrl-C reach a process though those in the background of a script ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Give a function that starts a sweep of jobs that take no time, in tmp_path/jobs."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "job.yaml").write_text(CONFIG)
    (tmp_path / "job.py").write_text(SCRIPT)

    def start(*settings: str) -> "subprocess.Popen[str]":
        command = ["-m", *settings, f"hydra.sweep.dir={tmp_path / 'jobs'}"]
        return subprocess.Popen(
            [sys.executable, tmp_path / "job.py", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=listen,
        )

    return start


def lives(folder: Path) -> int:
    """Count how often a job was begun."""
    path = folder / "lives.txt"
    return len(path.read_text()) if path.is_file() else 0


def wait_for(folder: Path, process: "subprocess.Popen[str]") -> None:
    """Wait until a sweep begins a job."""
    while not lives(folder):
        assert process.poll() is None
        time.sleep(0.05)


def ends(folder: Path) -> dict[str, tuple[str, float | None, str]]:
    """Read how jobs have ended."""
    found = {
        path.parent.name: run_status.read(path.parent) for path in folder.rglob(run_status.NAME)
    }
    return {name: (end.status, end.score, end.error) for name, end in found.items() if end}


def test_whatever_ends_a_job_is_told_and_the_others_are_done(sweep: Sweep, tmp_path: Path) -> None:
    process = sweep("what=well,mistake,error,crash,killed,lost,well", "score=20.5")
    said, _ = process.communicate()
    assert process.returncode == 1
    found = ends(tmp_path / "jobs")
    assert [found[f"job-{number}"] for number in range(7)] == [
        ("finished", 20.5, ""),
        ("failed", None, "no luck"),
        ("failed", None, "RuntimeError: odd"),
        ("failed", None, "its process ended with status 3"),
        ("failed", None, "its process was killed, perhaps for lack of memory"),
        ("failed", None, "its score is nan"),
        ("finished", 20.5, ""),
    ]
    table = said[said.index("job-0  ") :].splitlines()
    assert "job-0  what=well: finished, 20.50 dB" in table[0]
    assert sum("what=" in line for line in table) == 7
    assert table[-1] == "error: 5 of 7 jobs have no score"


@pytest.mark.parametrize(
    "number, status, end",
    [
        (signal.SIGINT, 130, "stopped"),
        (signal.SIGTERM, 143, "stopped"),
        (signal.SIGKILL, -9, "running"),
    ],
)
def test_a_sweep_that_was_stopped_does_what_is_left(
    number: int, status: int, end: str, sweep: Sweep, tmp_path: Path
) -> None:
    """Ctrl-C reaches all processes of a terminal; the others only the first."""
    settings = ["what=well,wait", "score=1,2", "data.root=mine"]
    jobs = tmp_path / "jobs"
    process = sweep(*settings)
    wait_for(jobs / "job-2", process)
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == status, said
    assert ends(jobs)["job-2"][0] == end
    if number != signal.SIGKILL:
        assert f"to resume: the same command, with hydra.sweep.dir={jobs}" in said
    for name in ("job-2", "job-3"):
        (jobs / name).mkdir(exist_ok=True)
        (jobs / name / "go").touch()
    process = sweep(*settings)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert said.count("already finished") == 2
    assert [lives(jobs / f"job-{number}") for number in range(4)] == [1, 1, 2, 1]
    assert {end[0] for end in ends(jobs).values()} == {"finished"}


def test_what_all_jobs_lack_is_told_once(sweep: Sweep, tmp_path: Path) -> None:
    said, _ = (process := sweep("what=no_data", "score=1,2,3")).communicate()
    assert process.returncode == 1
    assert said.count("error: no_data") == 1  # by the one job that was tried
    assert said.count("this job has failed: no_data") == 1
    assert said.count("this job has failed for the same reason as job-0") == 2
    assert said.count("failed, no_data") == 1  # in the table
    assert "error: 3 of 3 jobs have no score" in said
    assert set(ends(tmp_path / "jobs").values()) == {("failed", None, "no_data")}
    found = run_status.read(tmp_path / "jobs" / "job-2")
    assert found is not None and found.overrides == ["what=no_data", "score=3"]
    said, _ = sweep("what=no_data", "score=1,2,3").communicate()  # they are tried again
    assert said.count("error: no_data") == 1


def test_other_data_are_tried(sweep: Sweep, tmp_path: Path) -> None:
    said, _ = sweep("what=no_data", "data.root=a,b", "score=1,2").communicate()
    assert said.count("error: no_data") == 2
    assert said.count("this job has failed for the same reason as job-0") == 3


def test_a_job_that_is_refused_is_recorded(sweep: Sweep, tmp_path: Path) -> None:
    sweep("what=refused,well").communicate()
    assert ends(tmp_path / "jobs") == {
        "job-0": ("failed", None, "refused"),
        "job-1": ("finished", 20.5, ""),
    }
    assert not lives(tmp_path / "jobs" / "job-0")


def test_a_folder_of_another_sweep_is_refused(sweep: Sweep, tmp_path: Path) -> None:
    sweep("score=1,2").communicate()
    for settings, lacking in ((["score=1,3"], "score=1,2"), (["score=1,2", "what=lost"], None)):
        said, _ = (process := sweep(*settings)).communicate()
        assert process.returncode == 1
        told = f"holds a sweep with {lacking}" if lacking else "holds a sweep with another order"
        assert said.startswith("error: ") and told in said
    (tmp_path / "jobs" / "multirun.yaml").unlink()  # as where it was killed at its start
    said, _ = (process := sweep("score=7,8")).communicate()
    assert process.returncode == 1 and "holds a run with other settings" in said


JOBS = ["trainer.max_epochs=1", "seed=0,1"]


def train(folder: Path, *settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "train.py", "-m", *QUICKEST, *settings, f"hydra.sweep.dir={folder}"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_trainings_are_swept_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = train(tmp_path, "trainer.max_epochs=1", "model.lr=1e-4,-1")
    assert ran.returncode == 1 and "1 of 2 jobs have no score" in ran.stdout
    told = "model: lr must be positive, got -1"
    assert {name: (end[0], end[2]) for name, end in ends(tmp_path).items()} == {
        "quick-0": ("finished", ""),
        "quick-1": ("failed", told),
    }
    main(["compare", str(tmp_path)])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| quick-")]
    assert len(rows) == 2 and f"failed: {told}" in rows[1]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_run_side_by_side(launcher: str, tmp_path: Path) -> None:
    ran = train(tmp_path, *JOBS, f"hydra/launcher={launcher}")
    if "has not produced any output" in ran.stdout:  # submitit starts jobs before their folders
        ran = train(tmp_path, *JOBS, f"hydra/launcher={launcher}")
    assert ran.returncode == 0, ran.stdout
    assert [status for status, *_ in ends(tmp_path).values()] == ["finished"] * 2
    assert "quick-0  seed=0: finished" in ran.stdout


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.py"
    path.write_text(f"import sys, time\nprint(*sys.argv[1:], flush=True)\n{text}\n")
    return path


def test_a_run_in_process_goes_on_where_it_was_begun(tmp_path: Path) -> None:
    plain = script(tmp_path, "")
    folder = tmp_path / "run's"
    place = f"hydra.run.dir='{tmp_path}/run\\'s'"
    worker_process.start(plain, folder, ["a=1"], ["--config-name=x"], quiet=True).wait()
    RunStatus("failed", ["a=1"]).write(folder)
    worker_process.start(plain, folder, ["a=1"], quiet=True).wait()
    said = (folder / worker_process.CONSOLE).read_text().splitlines()
    assert said == [f"--config-name=x a=1 {place}", f"a=1 ckpt=last {place}"]


def test_what_was_killed_before_it_began_keeps_its_settings(tmp_path: Path) -> None:
    process = worker_process.start(script(tmp_path, "sys.exit(3)"), tmp_path, ["a=1"], quiet=True)
    assert worker_process.finish(process, tmp_path, ["a=1"]).overrides == ["a=1"]


def test_last_words_tell_why_a_run_has_ended(tmp_path: Path) -> None:
    process = worker_process.start(
        script(tmp_path, "sys.exit('all is lost')"), tmp_path, [], quiet=True
    )
    end = worker_process.finish(process, tmp_path)
    assert end == RunStatus("failed", [], error="its process ended with status 1: all is lost")
    assert run_status.read(tmp_path) == end


def test_a_system_may_lack_the_signal_that_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(signal, "SIGKILL")
    process = worker_process.start(script(tmp_path, "sys.exit(3)"), tmp_path, [], quiet=True)
    assert "status 3" in worker_process.finish(process, tmp_path).error


def test_an_outcome_is_whole_or_refused(tmp_path: Path) -> None:
    assert run_status.read(tmp_path) is None
    end = RunStatus("finished", ["a=1"], 25.5)
    end.write(tmp_path)
    assert run_status.read(tmp_path) == end
    for text in ("{", json.dumps({"status": "finished", "mood": "good"})):
        (tmp_path / run_status.NAME).write_text(text)
        with pytest.raises(ValueError, match="not the status of a run"):
            run_status.read(tmp_path)


HOLD = """
import sys, time
from pathlib import Path
from deblur.jobs import run_status
with run_status.claim(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_one_process_at_a_time(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    with pytest.raises(BlockingIOError, match="another process"):
        with run_status.claim(tmp_path):
            pass
    holder.kill()
    holder.wait()
    with run_status.claim(tmp_path):
        pass
