import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import QUICKEST
from omegaconf import OmegaConf

from deblur.config.command_line import expand_home, read


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "argument, expanded",
    [
        ("data.root=~/x", "data.root=HOME/x"),
        ("ckpt='~/a b.ckpt'", "ckpt='HOME/a b.ckpt'"),
        ("hydra.run.dir=~/runs/x", "hydra.run.dir=HOME/runs/x"),
        ("data.root=~", "data.root=HOME"),
        ("data.root=a~/x", "data.root=a~/x"),
        ("~model.weights.perceptual", "~model.weights.perceptual"),
        ("data.root=~nobody-of-this-name/x", "data.root=~nobody-of-this-name/x"),
    ],
)
def test_the_home_folder_is_expanded(argument: str, expanded: str, home: Path) -> None:
    assert read([argument]) == [expanded.replace("HOME", str(home))]


def test_so_it_is_in_files_and_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETS", "~/sets")
    values = {"a": {"b": ["~/x", 3, "x~/y"]}, "c": "${oc.env:SETS}/GoPro", "d": "${a}", "e": "???"}
    cfg = OmegaConf.create({**values, "f": "${nope}"})
    expand_home(cfg)
    assert cfg.a.b == [f"{home}/x", 3, "x~/y"] and cfg.c == f"{home}/sets/GoPro"
    assert OmegaConf.is_interpolation(cfg, "d")


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--experiment", "quick"], "--experiment is no option: .* such as experiment=quick"),
        (["--experiment=quick"], "--experiment=quick is no option: .* such as experiment=quick"),
        (["seed=1", "--batch-size", "4"], "--batch-size is no option: .* data.batch_size=4"),
        (["--lr"], "--lr is no option: .* such as model.lr=VALUE"),
        (["--resume", "seed=1"], "--resume is no option: .* such as ckpt=VALUE"),
        (["-e", "quick"], "-e is no option: .* such as e=quick"),
    ],
)
def test_an_option_that_is_none_is_told_as_a_setting(arguments: list[str], told: str) -> None:
    with pytest.raises(SystemExit, match=f"^error: {told}$"):
        read(arguments)


def test_hydras_options_are_left_alone() -> None:
    for arguments in (["-m", "seed=1,2"], ["--multirun"], ["--cfg", "job"], ["-cd", "mine"]):
        assert read(arguments) == arguments


def test_scripts_read_a_folder_of_home(home: Path, start: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match=f"error: {home}/none"):
        start("train", *QUICKEST, "data.root=~/none", "hydra.run.dir=~/run")
    with pytest.raises(SystemExit, match=f"error: {home}/a.ckpt"):
        start("eval", "ckpt=[~/a.ckpt,~/b.ckpt]", "hydra.run.dir=~/eval")
    assert not os.path.exists("~")
