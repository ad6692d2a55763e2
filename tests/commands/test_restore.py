import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import fill
from PIL import Image

from deblur.__main__ import main
from deblur.checkpoints import save_generator
from deblur.networks import ResNet
from deblur.restorer import Restorer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    config = {"_target_": "deblur.networks.ResNet", "blocks": 1, "width": 4}
    save_generator(path, fill(ResNet(blocks=1, width=4)), config, {})
    return path


@pytest.fixture
def photos(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    for index, name in enumerate(("a.png", "b/c.png", "b/d.jpg")):
        picture(tmp_path / "photos" / name, seed=index)
    return tmp_path / "photos"


def deblur(model: Path, *arguments: object) -> int:
    options = ["--model", str(model), "--device", "cpu", "--precision", "float32"]
    return main([*map(str, arguments), *options])


def test_a_folder_is_restored_and_restarted(
    photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert deblur(model, photos, "-o", out) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 restored"
    done = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert {path.relative_to(out).as_posix() for path in done} == {"a.png", "b/c.png", "b/d.jpg"}
    expected = Restorer.load(model, device="cpu", precision="float32").restore(
        np.asarray(Image.open(photos / "a.png"))
    )
    assert np.array_equal(np.asarray(Image.open(out / "a.png")), expected)
    (out / "a.png").unlink()
    assert deblur(model, photos, "-o", out) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("1 restored, 2 skipped, there already")
    kept = [path for path, at in done.items() if path.name != "a.png"]
    assert all(path.stat().st_mtime_ns == done[path] for path in kept)
    assert deblur(model, photos, "-o", out, "--overwrite") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 restored"


def test_a_bad_picture_fails_alone(
    photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "b" / "bad.jpg").write_text("not a picture")
    (photos / "b" / "empty.png").touch()
    out = tmp_path / "out"
    assert deblur(model, photos, "-o", out, "--json") == 1
    told = {Path(o["source"]).name: o for o in json.loads(capsys.readouterr().out)}
    assert [told[name]["status"] for name in ("a.png", "bad.jpg", "empty.png")] == [
        *("restored", "failed", "failed")
    ]
    assert "bad.jpg" in told["bad.jpg"]["reason"] and "\n" not in told["bad.jpg"]["reason"]
    assert {path.name for path in out.rglob("*.*")} == {"a.png", "c.png", "d.jpg"}
    assert deblur(model, photos, "-o", out) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1].endswith("2 failed")
    assert captured.err.count("failed: ") == 2


def test_the_verb_can_be_left_out_or_said(photos: Path, model: Path, tmp_path: Path) -> None:
    assert deblur(model, photos / "a.png", "-o", tmp_path / "one.png") == 0
    assert deblur(model, "restore", photos / "a.png", "-o", tmp_path / "two.webp") == 0
    assert Image.open(tmp_path / "two.webp").format == "WEBP"


def test_without_a_model_it_says_how_to_get_one(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deblur.checkpoints.shipped.WEIGHTS", photos / "none")
    assert main([str(photos / "a.png")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        "error: small: no such file, nor a model that is shipped (none yet); train one by"
    )
    assert said.count("\n") == 1


def test_what_is_neither_a_verb_nor_a_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explode"]) == 2
    assert "explode: no such file or folder (and no verb" in capsys.readouterr().err


def test_a_sheet_of_before_and_after(photos: Path, model: Path, tmp_path: Path) -> None:
    assert deblur(model, photos / "a.png", "-o", tmp_path / "out", "--compare") == 0
    sheet = Image.open(tmp_path / "out" / "a_compare.png")
    assert sheet.width > 2 * Image.open(photos / "a.png").width


def test_formats_and_strength(photos: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert deblur(model, photos / "a.png", "-o", out, "--format", "tiff", "--strength", 0) == 0
    same = [np.asarray(Image.open(path)) for path in (photos / "a.png", out / "a.tiff")]
    assert np.array_equal(*same)


def test_a_pipe(photos: Path, model: Path) -> None:
    command = [sys.executable, "-m", "deblur", "-", "--model", str(model), "--device", "cpu"]
    run = subprocess.run(command, input=(photos / "a.png").read_bytes(), capture_output=True)
    assert run.returncode == 0, run.stderr
    restored = Image.open(io.BytesIO(run.stdout))
    assert (restored.format, restored.size) == ("PNG", (48, 40))


def many(photos: Path, picture: Callable[..., Path], count: int) -> Path:
    for index in range(count):
        picture(photos / "many" / f"{index:03d}.png", size=(16, 16), seed=index)
    return photos / "many"


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_work(
    processes: int, photos: Path, model: Path, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    source, out = many(photos, picture, 50), tmp_path / "out"
    arguments = [source, "-o", out, "--model", model, "--device", "cpu"]
    command = [sys.executable, "-m", "deblur", *arguments, "--processes", processes]
    run = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert run.returncode == 0 and run.stdout.splitlines()[-1] == "50 restored", run.stderr
    assert len([*out.iterdir()]) == 50


def test_ranks_take_shares_that_meet_nowhere(
    photos: Path,
    model: Path,
    tmp_path: Path,
    picture: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, out = many(photos, picture, 10), tmp_path / "out"
    for rank, count in ((0, 4), (1, 3), (2, 3)):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "3")
        assert deblur(model, source, "-o", out) == 0
        said = capsys.readouterr().out.splitlines()[-1]
        assert said == f"rank {rank} of 3: {count} restored"
    assert len([*out.iterdir()]) == 10


@pytest.mark.slow
def test_a_killed_process_loses_nothing_for_good(
    photos: Path, model: Path, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    source, out = many(photos, picture, 300), tmp_path / "out"
    arguments = [source, "-o", out, "--model", model, "--device", "cpu"]
    command = [*map(str, [sys.executable, "-m", "deblur", *arguments])]
    ranks = [
        subprocess.Popen(
            command,
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    while not any(out.glob("*")) or len([*out.glob("*[13579].png")]) < 5:
        time.sleep(0.05)
    ranks[1].send_signal(signal.SIGKILL)
    assert ranks[0].communicate()[0].splitlines()[-1] == "rank 0 of 2: 150 restored"
    ranks[1].wait()
    done = len([*out.glob("*.png")])
    assert 150 < done < 300
    for path in out.glob("*.png"):
        Image.open(path).load()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.stdout.splitlines()[-1].startswith(f"{300 - done} restored, {done} skipped")
    assert len([*out.glob("*.png")]) == 300
    assert not [*out.glob(".*")]


def test_a_process_that_ends_early_is_named_once(
    photos: Path,
    model: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Killed(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], env: dict[str, str], **settings: object) -> None:
            if env["RANK"] == "0":
                shutil.copy(photos / "a.png", tmp_path / "out" / "a.png")
                command = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
            super().__init__(command, env=env, stdout=subprocess.PIPE)

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(subprocess, "Popen", Killed)
    arguments = [photos, "-o", tmp_path / "out", "--processes", 2]
    options = ["--model", str(model), "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["deblur", *map(str, arguments), *options])
    assert main(sys.argv[1:]) == 1
    said = capfd.readouterr()
    assert said.out.splitlines()[-1] == "2 restored, 1 failed"
    assert said.err.splitlines()[-1] == "failed: process 0 ended with status -9"


def test_ctrl_c_leaves_what_is_done(
    photos: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    restore_file = Restorer.restore_file

    def interrupted(self: Restorer, source: Path, *rest: object, **settings: object) -> list[str]:
        if source.name == "c.png":
            raise KeyboardInterrupt
        return restore_file(self, source, *rest, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Restorer, "restore_file", interrupted)
    out = tmp_path / "out"
    assert deblur(model, photos, "-o", out) == 130
    assert capsys.readouterr().out.splitlines()[-1] == "1 restored, 2 left to do"
    assert [path.name for path in out.rglob("*.*")] == ["a.png"]


def test_starting_it_imports_nothing_heavy(photos: Path, model: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from deblur.__main__ import main; main(sys.argv[1:]);"
        "print([m for m in ('torchvision', 'torchmetrics', 'timm', 'kornia', 'lightning', 'hydra')"
        " if m in sys.modules])"
    )
    arguments = [photos / "a.png", "-o", tmp_path / "out", "--model", model, "--device", "cpu"]
    command = [sys.executable, "-c", program, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "[]", run.stderr
