"""`deblur` with videos."""

import io
import sys
from pathlib import Path

import pytest
from conftest import fill
from film_samples import judge, make_film
from PIL import Image

from deblur.__main__ import main
from deblur.checkpoints import save_generator
from deblur.networks import ResNet


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    config = {"_target_": "deblur.networks.ResNet", "blocks": 1, "width": 4}
    save_generator(path, fill(ResNet(blocks=1, width=4)), config, {})
    return path


def deblur(model: Path, *arguments: object) -> int:
    options = ["--model", str(model), "--device", "cpu", "--precision", "float32"]
    return main([*map(str, arguments), *options])


def test_a_video_is_restored_with_a_sheet_and_lines_of_progress(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_film(tmp_path / "a.mp4", count=20)
    assert deblur(model, source, "-o", tmp_path / "out", "--compare") == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "1 restored"
    assert "frame 1 of 20, " in said.err and "frame 20 of 20, " in said.err
    assert judge(tmp_path / "out" / "a.mp4").times == judge(source).times
    with Image.open(tmp_path / "out" / "a_compare.png") as sheet:
        assert sheet.width > 128
    assert deblur(model, source, "-o", tmp_path / "out", "--compare") == 0
    assert capsys.readouterr().out.startswith("0 restored, 1 skipped")


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_piped_video_is_told_what_it_is(
    ending: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = make_film(tmp_path / f"a.{ending}").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert deblur(model, "-") == 2
    assert "stdin is a video" in capsys.readouterr().err


def test_a_picture_does_not_become_a_video(model: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "one.png")
    assert deblur(model, tmp_path / "one.png", "-o", tmp_path / "x.mp4") == 2
    (tmp_path / "one.png").rename(tmp_path / "one.mp4")
    assert deblur(model, tmp_path / "one.mp4", "-o", tmp_path / "x.mp4") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["one.mp4"]


def test_adapting_says_why_it_was_not_done(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film, picture = make_film(tmp_path / "a.mkv", "ffv1", "yuv444p"), tmp_path / "b.png"
    Image.new("RGB", (64, 48)).save(picture)
    assert deblur(model, film, picture, "-o", tmp_path / "out", "--adapt") == 0
    said = capsys.readouterr()
    assert "a.mkv: not adapted: " in said.out
    assert "not adapted to 1 pictures" in said.err
    assert deblur(model, "-", "--adapt") == 2
    assert "--adapt" in capsys.readouterr().err
