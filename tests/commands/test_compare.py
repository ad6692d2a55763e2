import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from deblur.__main__ import main
from deblur.jobs.run_status import RunStatus

LOG = "csv/metrics.csv"


def rows(said: str) -> list[list[str]]:
    lines = [line for line in said.splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [table[0], *table[2:]]


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    for name, lr, psnr in (("1", 0.01, "20.0"), ("2", 0.02, "30.0")):
        folder = tmp_path / "sweep" / name
        shutil.copytree(trained / ".hydra", folder / ".hydra")
        config = OmegaConf.load(folder / ".hydra" / "config.yaml")
        config.model.lr = lr
        OmegaConf.save(config, folder / ".hydra" / "config.yaml")
        (folder / "csv").mkdir()
        (folder / LOG).write_text(
            f"epoch,train/charbonnier,val/psnr,val/ssim\n0,0.5,,\n0,,{psnr},0.5\n1,,10.0,0.9\n"
        )
    return tmp_path / "sweep"


def test_runs_are_set_beside_each_other(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(runs)]) == 0
    assert rows(capsys.readouterr().out) == [
        ["run", "lr", "val/psnr", "val/ssim", "best epoch", "epochs"],
        ["2", "0.02", "30.0000", "0.5000", "1", "2"],
        ["1", "0.01", "20.0000", "0.5000", "1", "2"],
    ]


def test_another_figure_tells_the_best(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(runs / "1"), str(runs / "2"), "--metric", "val/ssim"]) == 0
    table = rows(capsys.readouterr().out)
    assert table[0][2:] == ["val/ssim", "val/psnr", "best epoch", "epochs"]
    assert table[1][2:] == ["0.9000", "10.0000", "2", "2"]
    assert main(["compare", str(runs), "--metric", "train/charbonnier"]) == 0


def test_a_real_run_and_one_that_has_no_log(
    trained: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "1" / LOG).unlink()
    (runs / "2" / LOG).write_text("epoch,val/psnr\n")
    assert main(["compare", str(trained), str(runs)]) == 0
    table = rows(capsys.readouterr().out)
    by_epochs = {row[-1]: row for row in table[1:]}
    assert set(by_epochs) == {"2", "no log", "0"}
    assert float(by_epochs["2"][table[0].index("val/psnr")]) > 10


def test_a_folder_without_runs_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path)]) == 2
    assert "no training run" in capsys.readouterr().err


def test_a_run_whose_settings_are_damaged_is_left_out(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "1" / ".hydra" / "config.yaml").write_text("trainer: {max_epochs: [")
    assert main(["compare", str(runs)]) == 0
    said = capsys.readouterr()
    assert "30" in said.out and f"left out {runs / '1'}: " in said.err


def test_a_figure_that_no_run_logs_is_refused(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(runs), "--metric", "val/psnrr"]) == 2
    expected = "expected one of train/charbonnier, val/psnr, val/ssim"
    assert expected in capsys.readouterr().err


def test_a_terminal_shows_a_table(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["compare", str(runs)]) == 0
    said = capsys.readouterr().out
    assert "\u2502" in said and "30.0000" in said and "lr" in said


def change(folder: Path, **values: object) -> None:
    """Change a run's config."""
    path = folder / ".hydra" / "config.yaml"
    config = OmegaConf.load(path)
    for key, value in values.items():
        OmegaConf.update(config, key.replace("__", "."), value, force_add=True)
    OmegaConf.save(config, path)


def test_settings_are_what_the_run_had(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What refers to another setting is resolved, and left out where it is that one anew."""
    change(runs / "1", data__crop=64, model__discriminator__crop="${data.crop}", seed="${nope}")
    change(runs / "2", data__crop=96, model__discriminator__crop="${data.crop}", seed=0)
    assert main(["compare", str(runs)]) == 0
    table = rows(capsys.readouterr().out)
    assert table[0][1:4] == ["seed", "crop", "lr"]
    assert [row[1:4] for row in table[1:]] == [["0", "96", "0.02"], ["${nope}", "64", "0.01"]]
    change(runs / "2", model__discriminator__crop=32)
    assert main(["compare", str(runs)]) == 0
    table = rows(capsys.readouterr().out)
    assert table[0][1:5] == ["seed", "data.crop", "lr", "model.discriminator.crop"]
    assert [row[4] for row in table[1:]] == ["32", "64"]


def test_no_line_is_too_long_to_read(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs of other experiments differ in dozens of settings, and what failed says why."""
    for name in ("1", "2"):
        change(runs / name, **{f"model__{'long' * 5}{n}": f"{name}{'x' * n}" for n in range(40)})
    RunStatus("failed", [], error="it lacks " + "much " * 60).write(runs / "1")
    assert main(["compare", str(runs)]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 160
    table = rows(said)
    assert table[0] == ["", "run", "val/psnr", "val/ssim", "best epoch", "epochs", "end"]
    assert [row[:2] + row[-1:] for row in table[1:]] == [["1", "2", ""], ["2", "1", "failed"]]
    assert "model.lr: 0.02 (1); 0.01 (2)" in said
    assert "run 2 failed: it lacks much" in said


def test_a_job_that_was_refused_is_listed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no config, only what was typed."""
    typed = ["experiment=quick", "model.lr=-1", "seed=0"]
    RunStatus("failed", typed, error="model: lr must be positive").write(runs / "3")
    assert main(["compare", str(runs)]) == 0
    table = rows(capsys.readouterr().out)
    assert table[0][:2] == ["run", "lr"] and table[0][-1] == "end"
    assert table[-1][:2] == ["3", "-1"] and table[-1][-1] == "failed: model: lr must be positive"
