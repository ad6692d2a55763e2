import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from imitations import write

from deblur.__main__ import VERBS, _split, main


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == main([]) == 0
    said = capsys.readouterr().out
    assert all(verb in said for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    assert f"usage: deblur {verb}" in capsys.readouterr().out


def test_a_word_that_is_no_verb_is_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explode"]) == 2
    assert "explode: no such file or folder (and no verb of deblur" in capsys.readouterr().err


def test_help_imports_no_torch() -> None:
    program = (
        "import sys; from deblur.__main__ import main; main([]); print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.stdout.splitlines()[-1] == "False"


@pytest.mark.skipif(os.name != "posix", reason="a closed pipe is a signal on Windows")
@pytest.mark.parametrize("verb", [["--help"], ["look", "--help"], ["verify", "small"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_left_is_no_error(verb: list[str], unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "deblur", *verb]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(os.name != "posix", reason="asks a shell")
@pytest.mark.parametrize(
    "command, status, said",
    [
        ("look EMPTY | true", 2, "error: found no photos in EMPTY"),
        ("verify small >&-", 0, ""),
        ("look EMPTY 2>&-", 2, ""),
        ("--help > /dev/full", 2, "error: [Errno 28] No space left on device"),
    ],
)
def test_outputs_that_cannot_be_written_hide_no_error(
    command: str, status: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "EMPTY").mkdir()
    verb, *rest = command.split(" | ")
    whole = " | ".join([f"{shlex.quote(sys.executable)} -m deblur {verb}", *rest])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", whole],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr.strip()) == (status, said)


@pytest.mark.parametrize(
    "system, options, expected",
    [
        ("posix", r"--model 'my models'/a\ b --fast", ["--model", "my models/a b", "--fast"]),
        ("nt", r'--model="C:\my models\x.ckpt" --fast', [r"--model=C:\my models\x.ckpt", "--fast"]),
        ("nt", r"--model C:\models\x.ckpt", ["--model", r"C:\models\x.ckpt"]),
    ],
)
def test_the_options_of_editors_are_split_as_by_the_system(
    system: str, options: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("os.name", system)
        found = _split(options)
    assert found == expected


def test_check_data_reports_and_tells_by_its_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("rsblur", tmp_path)
    assert main(["check-data", str(tmp_path), "--layout", "rsblur", "--sample", "1"]) in (0, 1)
    said = capsys.readouterr().out
    assert "layout rsblur: RSBlur" in said
    assert "train: 1 pair, 1 scene (official: 8878 pairs)" in said
    (tmp_path / "RSBlur/0001/000022/gt/gt_sharp.png").unlink()
    assert main(["check-data", str(tmp_path)]) == 1
    assert "FAULT: without a partner" in capsys.readouterr().out


def test_check_data_needs_a_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-data", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["check-data", str(tmp_path)]) == 2
    assert "matches no layout of docs/data.md; --layout NAME" in capsys.readouterr().err
    write("gopro", tmp_path / "gopro")
    assert main(["check-data", str(tmp_path)]) == 2
    assert f"did you mean {tmp_path / 'gopro'}?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["check-data", "{}"],
        ["check-data", "{}/none"],
        ["prepare", "{}", "{}/arrays"],
        ["verify", "{}/none.ckpt"],
        ["convert", "{}/none.ckpt", "-o", "{}/out.safetensors"],
        ["compare", "{}"],
        ["score", "{}", "{}"],
        ["frames", "{}", "{}/pairs"],
        ["{}/none.jpg"],
        ["{}/a.jpg", "--model", "{}/none.ckpt"],
    ],
)
def test_names_cannot_forge_what_is_printed(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "red\x1b[31m\nfaults: none"
    write("gopro", folder)
    (folder / "a.jpg").touch()
    assert main([argument.format(folder) for argument in arguments]) in (0, 1, 2)
    said = "".join(capsys.readouterr())
    assert r"red\x1b[31m\nfaults: none" in said
    assert "\x1b" not in said and "\nfaults: none/" not in said


def test_prepare_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("gopro", tmp_path / "gopro")
    assert main(["prepare", str(tmp_path / "gopro"), str(tmp_path / "arrays")]) == 0
    said = capsys.readouterr().out
    assert "9 pairs" in said and f"data.root={tmp_path / 'arrays'}" in said
