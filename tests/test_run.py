from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from deblur.run import EvalScalars, check_scalars, quote_paths, split_paths

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


def test_a_scalar_of_the_wrong_type_is_named() -> None:
    scalars = {"seed": 0, "run_dir": "x", "ckpt": "x", "device": "auto", "unsharp": True}
    scalars |= {"protocol": ["y"], "published": False, "check": True, "trust": None, "tlc": None}
    cfg = OmegaConf.create(
        {**scalars, "sheets": 4, "limit": None, "precision": "float32", "data": {}}
    )
    check_scalars(cfg, EvalScalars)
    for key, value in (("seed", "abc"), ("limit", 1.5), ("unsharp", "maybe")):
        with pytest.raises(ValueError, match=str(value)):
            check_scalars(OmegaConf.merge(cfg, {key: value}), EvalScalars)  # type: ignore[arg-type]


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    cfg = OmegaConf.create({name: None for name in EvalScalars.__annotations__} | {"ckpt": "???"})
    with pytest.raises(ValueError):
        check_scalars(cfg, EvalScalars)
