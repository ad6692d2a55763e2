import sys
from pathlib import Path
from typing import Any

import pytest
from model_samples import save_model

import deblur.web.server
from deblur import extras
from deblur.__main__ import main
from deblur.checkpoints import shipped
from deblur.extras import install_command
from deblur.web.page import EXAMPLES
from deblur.web.server import Limits


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note what would be served."""
    calls: list[Any] = []
    monkeypatch.setattr(
        deblur.web.server, "serve", lambda *models, **how: calls.append((models, how))
    )
    return calls


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_model(tmp_path / "tiny.safetensors")


def test_all_shipped_models_are_served_to_this_computer(
    served: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    for name in ("maxim", "large"):
        (tmp_path / f"{name}.safetensors").touch()
    assert main(["web"]) == 0
    how = {"host": "127.0.0.1", "port": 7860, "browse": False, "token": None, "hosts": []}
    assert served == [((["auto", "maxim", "large"],), {**how, "limits": Limits(), "grace": 0})]
    assert main(["serve", "--grace", "5"]) == 0
    how |= {"port": 8000, "limits": Limits(waiting=16), "grace": 5}
    assert served[1] == ((["auto", "maxim", "large"],), how)  # the default one first


def test_models_and_limits_are_chosen(
    served: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limits = ["--max-megapixels=12.5", "--max-mb=20", "--queue=2", "--max-seconds=9"]
    models = ["--model", "small", "--model", "runs/a/generator.safetensors"]
    others = ["--host=0.0.0.0", "--port=80", "--open", "--password=x", "--allow-host=a.example"]
    assert main(["web", *models, *limits, *others]) == 0
    (names,), how = served[0]
    assert names == ["small", "runs/a/generator.safetensors"]
    assert how == {
        **{"host": "0.0.0.0", "port": 80, "browse": True, "token": "x", "grace": 0},
        **{
            "hosts": ["a.example"],
            "limits": Limits(megapixels=12.5, megabytes=20, seconds=9, waiting=2),
        },
    }
    monkeypatch.setenv("DEBLUR_TOKEN", "from the environment")
    assert main(["serve", *models]) == 0
    assert served[1][1]["token"] == "from the environment"


@pytest.mark.parametrize("option", ["--port=80000", "--port=x", "--max-mb=0", "--max-mb=nan"])
def test_values_out_of_range_are_named(
    served: list[Any], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["web", option])
    assert option.split("=")[0] in capsys.readouterr().err and not served


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::"])
def test_others_are_let_in_by_a_token_alone(
    model: Path, host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DEBLUR_TOKEN", raising=False)
    assert main(["web", "--model", str(model), "--host", host]) == 2
    assert "--token" in capsys.readouterr().err


def test_without_models_it_says_how_to_get_one(
    served: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    assert main(["web"]) == 2
    said = capsys.readouterr().err
    assert "train.py" in said and "--model" in said and said.count("\n") == 1
    assert not served


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "prometheus_client"])
def test_without_a_package_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    package: str,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["web", "--model", str(model)]) == 2
    command = install_command("web")
    assert capsys.readouterr().err == f"error: the server requires {package}: {command}\n"


def test_a_version_out_of_range_is_told(
    monkeypatch: pytest.MonkeyPatch, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extras, "version", lambda name: "5.49")
    assert main(["web", "--model", str(model)]) == 2
    said = capsys.readouterr().err
    assert "fastapi 5.49" in said and said.endswith(f"is out of range: {install_command('web')}\n")


def test_the_examples_are_small_and_their_authors_named() -> None:
    readme = (EXAMPLES[0].parent / "README.md").read_text("utf-8")
    assert len(EXAMPLES) == 5
    for path in EXAMPLES:
        assert f"`{path.name}`" in readme
        assert path.stat().st_size <= 150_000
