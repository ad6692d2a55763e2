import os
import re
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from deblur.config.run import EvalScalars, Mistake, check_scalars, launch, quote_paths, split_paths

NASTY = [
    "epoch=3-step=10.ckpt",
    "my runs/last.ckpt",
    "x(1).ckpt",
    "a,b.ckpt",
    "[a].ckpt",
    "{a: 1}.ckpt",
    "it's.ckpt",
    'say "x".ckpt',
    "back\\slash.ckpt",
    "ends\\",
    "${home}.ckpt",
    "1e3",
    "true",
    "größe.ckpt",
    "a?b=1&c=2",
]


@pytest.mark.parametrize("key", ["ckpt", "init", "data.root", "+ckpt"])
@pytest.mark.parametrize("value", NASTY)
def test_any_path_goes_through_hydras_grammar(key: str, value: str) -> None:
    [argument] = quote_paths([f"{key}={value}"])
    override = OverridesParser.create().parse_override(argument)
    node = OmegaConf.create({"path": override.value()})
    assert node.path == value


def test_other_arguments_are_left_alone() -> None:
    arguments = ["seed=1", "ckpt=null", "ckpt='a b'", "--help", "model.lr=1e-4,1e-3", "ckpt="]
    assert quote_paths(arguments) == arguments
    assert quote_paths(["-m", "ckpt=a,b"]) == ["-m", "ckpt=a,b"]


def test_a_list_of_files_is_split_unless_it_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_paths("[a.ckpt, b c.ckpt]") == ["a.ckpt", "b c.ckpt"]
    assert split_paths("a,b.ckpt") == ["a,b.ckpt"]
    assert split_paths(OmegaConf.create(["a", "b"])) == ["a", "b"]
    assert split_paths(None) == []
    (tmp_path / "[a,b]").touch()
    assert split_paths("[a,b]") == ["[a,b]"]


SCALARS = {
    **{"seed": 0, "run_dir": "x", "ckpt": "x", "device": "auto", "precision": "auto"},
    **{"protocol": ["y"], "published": False, "check": True, "trust": None, "tlc": None},
    "stages": None,
    **{"unsharp": True, "sheets": 4, "limit": None, "data": {"a": ["${of_mine}"]}, "of_mine": 3},
}


@pytest.mark.parametrize(
    "key, value, told",
    [
        ("seed", "abc", "seed is 'abc', expected int"),
        ("seed", -1, "seed is -1, expected 0 to 4294967295"),
        ("seed", 2**32, "seed is 4294967296, expected 0 to"),
        ("limit", 1.5, "limit is 1.5, expected int or null"),
        ("limit", 0, "limit is 0, expected 1 or more"),
        ("unsharp", "no", "unsharp is 'no', expected bool"),
        ("sheets", None, "sheets is null, expected int"),
        ("ckpt", "???", "ckpt is missing, expected str, a list of str or null"),
        ("ckpt", ["a", 5], "ckpt.1 is 5, expected str"),
        ("protcol", "y", "protcol is no setting, did you mean protocol?"),
        ("batch_size", 4, "batch_size is no setting, did you mean data.batch_size?"),
        ("a", 4, "a is no setting, did you mean data.a?"),
        ("nobodys", 4, "nobodys is no setting, and no other refers to it by ${nobodys}"),
    ],
)
def test_a_scalar_of_the_wrong_type_is_named(key: str, value: Any, told: str) -> None:
    check_scalars(OmegaConf.create(SCALARS), EvalScalars)
    with pytest.raises(ValueError, match=re.escape(told)):
        check_scalars(OmegaConf.create({**SCALARS, key: value}), EvalScalars)


def run_job(error: Exception) -> None:
    """Fail as Hydra's function of this name does."""
    raise error


class MisconfigurationException(Exception):
    """Called as Lightning's."""


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        MisconfigurationException("of the\n  trainer"),
        Mistake("of a sweep's job"),
    ],
)
def test_what_a_user_can_mend_is_one_line(error: Exception) -> None:
    with pytest.raises(SystemExit) as stop:
        launch(lambda: run_job(error))
    assert stop.value.code == f"error: {' '.join(str(error).split())}"


def test_what_cannot_be_composed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", "model=null"])
    with pytest.raises(SystemExit) as stop:
        launch(lambda: exec("raise ValueError('Got NoneType')"))
    assert stop.value.code == "error: Got NoneType (model=null)"


def test_mistakes_of_ours_are_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        launch(lambda: run_job(ZeroDivisionError()))
    assert os.environ.get("HYDRA_FULL_ERROR") != "1"
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(OSError):
        launch(lambda: run_job(OSError()))
