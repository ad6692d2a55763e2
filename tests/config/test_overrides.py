from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from deblur.config.overrides import literal, quote_paths, split_paths, unquote

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


@pytest.mark.parametrize("value", [*NASTY, "ends'", "\\'", "\\${a}", ""])
def test_quotes_are_undone(value: str) -> None:
    assert unquote(literal(value)) == value
    if "'" not in value:
        assert unquote(value) == value


def test_double_quotes_are_undone_too() -> None:
    assert unquote('"say \\"x\\""') == 'say "x"'
    assert unquote("'") == "'" and unquote("'a") == "'a"


def test_other_arguments_are_left_alone() -> None:
    arguments = ["seed=1", "ckpt=null", "ckpt='a b'", "--help", "model.lr=1e-4,1e-3", "ckpt="]
    arguments += ["init={coarse: maxim, fine: small}"]
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
