"""The search by Optuna, of a training that takes no time."""

import importlib.util
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import QUICKEST, ROOT

from deblur.extras import install_command
from deblur.jobs import run_status

TRAIN = """
import json, os, sys, time
from pathlib import Path
told = dict(one.split("=", 1) for one in sys.argv[1:])
folder = Path(told.pop("hydra.run.dir").strip("'"))
told.pop("ckpt", None)
end = {"status": "running", "overrides": []}
def note(**more):
    (folder / "new.json").write_text(json.dumps(end | more))
    (folder / "new.json").replace(folder / "outcome.json")
note()
(folder / "csv").mkdir(exist_ok=True)
lr = float(told["lr"])
with open(folder / "csv" / "metrics.csv", "w") as log:
    log.write("epoch,val/psnr\\n")
    for epoch in range(8):
        log.write(f"{epoch},{20 + lr + epoch}\\n")
        log.flush()
        if lr < 0.5 and epoch and not Path(__file__).with_name("go").exists():
            time.sleep(300)
if "odd" in told.values():
    note(status="failed", error="an odd one")
    sys.exit(1)
note(status="finished", score=20 + lr)
"""


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load the script, with a training that takes no time."""
    spec = importlib.util.spec_from_file_location("search", ROOT / "scripts" / "search.py")
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "train.py").write_text(TRAIN)
    monkeypatch.setattr(module, "TRAIN", tmp_path / "train.py")
    monkeypatch.setattr(module, "SECONDS", 0.02)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return module


def test_without_optuna_its_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SystemExit, match=re.escape(install_command("sweep"))):
        runpy.run_path(str(ROOT / "scripts" / "search.py"))


def states(found: Any) -> list[str]:
    return [trial.state.name.lower() for trial in found.trials().values()]


def test_ranges_are_hydras(search: Any, tmp_path: Path) -> None:
    settings = [
        *("experiment=quick", "lr=tag(log,interval(1e-4,1e-2))", "width=int(interval(8,16))"),
        *("blocks=range(2,9,3)", "model/adversarial=none,minimax", "crop=choice(64,128)"),
    ]
    found = search.Search(tmp_path / "runs", settings, 0)
    assert found.fixed == ["experiment=quick"]
    for _ in range(8):
        trial = found.study.ask()
        chosen = {one.get_key_element(): search.choose(trial, one) for one in found.ranges}
        assert 1e-4 <= chosen["lr"] <= 1e-2
        assert chosen["width"] in range(8, 17) and chosen["blocks"] in (2, 5, 8)
        assert chosen["model/adversarial"] in ("none", "minimax")
        assert chosen["crop"] in ("64", "128")
    with pytest.raises(ValueError, match="KEY=interval"):
        search.Search(tmp_path / "other", ["lr=1e-4"], 0)
    with pytest.raises(ValueError, match="another folder"):
        search.Search(tmp_path / "runs", ["lr=1,2"], 0)


def test_trials_that_fail_end_no_others(search: Any, tmp_path: Path, capsys: Any) -> None:
    found = search.Search(tmp_path / "runs", ["lr=interval(0.5,1.5)", "kind=good,odd"], 0)
    found.study.enqueue_trial({"kind": "odd"})  # whatever is drawn for the others
    found.study.enqueue_trial({"kind": "good"})
    found.run(6, jobs=2)
    assert {*states(found)} == {"complete", "fail"}
    kinds = [trial.params["kind"] for trial in found.trials().values()]
    assert states(found) == ["fail" if kind == "odd" else "complete" for kind in kinds]
    assert f"error: {kinds.count('odd')} of 6 trials have no score" == search.tell(found)
    assert "an odd one" in capsys.readouterr().out
    found.run(6, jobs=1)  # the same command again
    assert len(states(found)) == 6


def test_trials_that_lag_end_early(search: Any, tmp_path: Path) -> None:
    """The last one hangs in its second epoch."""
    found = search.Search(tmp_path / "runs", ["lr=0.25,5"], 1)
    for lr in ("5", "5", "5", "5", "5", "0.25"):
        found.study.enqueue_trial({"lr": lr})
    found.run(6, jobs=1)
    assert states(found) == ["complete"] * 5 + ["pruned"]
    assert len(search.read_figures(tmp_path / "runs" / "5")) < 8


def test_a_search_that_was_killed_goes_on(search: Any, tmp_path: Path) -> None:
    """Its second trial is begun, and hangs."""
    settings = ["lr=0.25,1"]
    found = search.Search(tmp_path / "runs", settings, 100)
    for lr in ("1", "0.25"):
        found.study.enqueue_trial({"lr": lr})
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'scripts')!r}]; import search; "
        f"from pathlib import Path; search.TRAIN = Path({str(tmp_path / 'train.py')!r}); "
        "search.main()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "runs"), "--trials", "3"]
    process = subprocess.Popen(
        [*command, *settings], cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL
    )
    while not search.read_figures(tmp_path / "runs" / "1"):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert run_status.read(tmp_path / "runs" / "0") == run_status.RunStatus("finished", [], 21.0)
    (tmp_path / "go").touch()
    again = search.Search(tmp_path / "runs", settings, 100)
    again.run(3, jobs=1)
    assert sorted(again.trials()) == ["0", "1", "3"]
    assert {*states(again)} == {"complete"}


@pytest.mark.slow
def test_real_trainings_are_searched(tmp_path: Path) -> None:
    ranges = ["trainer.max_epochs=1", "model.lr=tag(log,interval(1e-4,1e-2))"]
    ran = subprocess.run(
        [sys.executable, "scripts/search.py", tmp_path, "--trials", "2", *QUICKEST, *ranges],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("complete") == 4  # when each ends, and all together
    assert "deblur compare" in ran.stdout
