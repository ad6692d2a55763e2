import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from deblur.__main__ import main

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


def test_a_terminal_shows_a_table(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["compare", str(runs)]) == 0
    said = capsys.readouterr().out
    assert "\u2502" in said and "30.0000" in said and "lr" in said
