import json
from pathlib import Path

import pytest

from deblur.__main__ import main


def test_what_holds_no_weights_is_said_to_be_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.onnx").write_bytes(b"\x08\x0a\x12\x07pytorch\x1a\x062.1.0")
    (tmp_path / "cases.md").write_text("# Cases\n")
    files = [str(tmp_path / name) for name in ("x.onnx", "cases.md")]
    assert main(["verify", *files, "--json"]) == 1
    model, text = json.loads(capsys.readouterr().out)
    assert model["format"] == "an ONNX model" and ".safetensors" in model["error"]
    assert text["format"] == "a text file"
    assert main(["verify", *files]) == 1
    said = capsys.readouterr()
    assert "weights_only" not in said.out + said.err
    assert len(said.out.splitlines()) == 6


def test_a_model_that_is_no_file_of_weights_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cases.md").write_text("# Cases\n")
    (tmp_path / "p.jpg").write_bytes(b"")
    out = ["-o", str(tmp_path / "out")]
    assert main([str(tmp_path / "p.jpg"), "--model", str(tmp_path / "cases.md"), *out]) != 0
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and "cases.md: a text file" in said


def test_a_bundled_model_is_known_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "small", "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert facts["file"] == "small" and facts["parameters"] == 7_582_428
    assert main(["verify", "smal"]) == 1
    assert "small" in capsys.readouterr().out.partition("smal: ")[2]
