import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import fill

import deblur.web.page
from deblur import extras
from deblur.__main__ import main
from deblur.checkpoints import save_generator, shipped
from deblur.extras import install_command
from deblur.networks import ResNet
from deblur.web.page import EXAMPLES


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note what would be served."""
    calls: list[Any] = []
    monkeypatch.setattr(
        deblur.web.page, "serve", lambda *models, **how: calls.append((models, how))
    )
    return calls


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    config = {"_target_": "deblur.networks.ResNet", "blocks": 1, "width": 4}
    save_generator(path, fill(ResNet(blocks=1, width=4)), config, {})
    return path


def test_all_shipped_models_are_served_to_this_computer(
    served: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    for name in ("small", "large"):
        (tmp_path / f"{name}.safetensors").touch()
    assert main(["web"]) == 0
    limits = {"megapixels": 50, "megabytes": 60, "queue": 8}
    how = {"host": "127.0.0.1", "port": 7860, "browse": False, **limits}
    assert served == [((["small", "large"],), how)]  # the default one first


def test_models_and_limits_are_chosen(served: list[Any]) -> None:
    limits = ["--max-megapixels", "12.5", "--max-mb", "20", "--queue", "2"]
    models = ["--model", "small", "--model", "runs/a/generator.safetensors"]
    assert main(["web", *models, *limits, "--host", "0.0.0.0", "--port", "80", "--open"]) == 0
    ((names,), how), *others = served
    assert names == ["small", "runs/a/generator.safetensors"] and not others
    assert how == {
        **{"host": "0.0.0.0", "port": 80, "browse": True},
        **{"megapixels": 12.5, "megabytes": 20, "queue": 2},
    }


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


def test_without_gradio_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["web", "--model", str(model)]) == 2
    assert capsys.readouterr().err == f"error: the page requires gradio: {install_command('web')}\n"


def test_a_gradio_out_of_range_is_told(
    monkeypatch: pytest.MonkeyPatch, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extras, "version", lambda name: "5.49")
    assert main(["web", "--model", str(model)]) == 2
    said = capsys.readouterr().err
    assert said == f"error: gradio 5.49 is out of range: {install_command('web')}\n"


def test_the_examples_are_small_and_their_authors_named() -> None:
    readme = (EXAMPLES[0].parent / "README.md").read_text("utf-8")
    assert len(EXAMPLES) == 5
    for path in EXAMPLES:
        assert f"`{path.name}`" in readme
        assert path.stat().st_size <= 150_000
