import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import mortal
import numpy as np
import pytest
from conftest import fill
from PIL import Image

from deblur.__main__ import main
from deblur.checkpoints import save_generator
from deblur.commands.restore import announce, choose_models
from deblur.commands.restore_options import add_arguments, check_options, load
from deblur.networks import ResNet
from deblur.restoration.batch import Job
from deblur.restoration.progress import Bar
from deblur.restoration.restorer import Restorer

PATHS = os.pathsep.join([str(Path(mortal.__file__).parent), os.environ.get("PYTHONPATH", "")])
"""PYTHONPATH of programs that import mortal."""


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
    assert said.splitlines()[-1].startswith("1 restored, 2 skipped, already restored")
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


def test_what_is_passed_over_is_counted(
    photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "b" / "raw.NEF").write_bytes(b"MM\0*\0\0\0\x08" + bytes(60))
    (photos / "notes.txt").touch()
    assert deblur(model, photos, "-o", tmp_path / "out") == 0
    summary = capsys.readouterr().out.splitlines()[-1]
    assert summary.startswith("3 restored; passed over: 1 raw file of cameras (develop them first)")
    assert summary.endswith("1 file of other kinds (.txt)")
    assert deblur(model, photos / "b" / "raw.NEF", "-o", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "raw.NEF: " in said and "a camera's raw file: develop it first" in said
    (tmp_path / "raws").mkdir()
    (photos / "b" / "raw.NEF").rename(tmp_path / "raws" / "raw.NEF")
    assert deblur(model, tmp_path / "raws", "-o", tmp_path / "out") == 2
    assert "1 raw file of cameras" in capsys.readouterr().err


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
    assert said.startswith("error: maxim: no such file or bundled model (none yet); to train one")
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
    photos: Path, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    source, out = many(photos, picture, 300), tmp_path / "out"
    picture(source / "011.png", size=(mortal.TIRING, 16))  # lasts until its process is killed
    arguments = [source, "-o", out, "--model", mortal_model(tmp_path), "--device", "cpu"]
    command = [*map(str, [sys.executable, "-m", "deblur", *arguments, "--trust", "mortal"])]
    environment = {**os.environ, "PYTHONPATH": PATHS, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            command,
            env={**environment, "RANK": str(rank), "WORLD_SIZE": "2"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    while not any(out.glob("*")) or len([*out.glob("*[13579].png")]) < 5:
        assert ranks[1].poll() is None
        time.sleep(0.05)
    ranks[1].send_signal(signal.SIGKILL)
    assert ranks[0].communicate()[0].splitlines()[-1] == "rank 0 of 2: 150 restored"
    ranks[1].wait()
    done = len([*out.glob("*.png")])
    assert 150 < done < 300
    for path in out.glob("*.png"):
        Image.open(path).load()
    picture(source / "011.png", size=(16, 16))
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.stdout.splitlines()[-1].startswith(f"{300 - done} restored, {done} skipped")
    assert len([*out.glob("*.png")]) == 300
    assert not [*out.glob(".*")]


@pytest.fixture
def deadly(tmp_path: Path, photos: Path, picture: Callable[..., Path]) -> Path:
    """Write a picture that kills the process which restores it; return its model."""
    picture(photos / "b.png", size=(mortal.DEADLY, 20))
    return mortal_model(tmp_path)


def mortal_model(folder: Path, **settings: str) -> Path:
    path = folder / "mortal.safetensors"
    save_generator(path, mortal.Mortal(), {"_target_": "mortal.Mortal", **settings}, {})
    return path


def test_a_dead_process_is_replaced_and_its_picture_named(
    deadly: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(photos / "b.png", out)  # of before: that it exists is no success
    many = [photos, "-o", out, "--overwrite", "--processes", 2, "--trust", "mortal"]
    assert deblur(deadly, *many) == 1
    said = capfd.readouterr()
    assert said.out.splitlines()[-1] == "3 restored, 1 failed"
    (line,) = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert line.startswith(f"failed: {photos / 'b.png'}: ") and "SIGKILL" in line
    assert not [*out.rglob(".*")]


def test_what_one_process_died_of_another_restores(
    deadly: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = mortal_model(tmp_path, once=str(tmp_path / "once"))
    many = [photos, "-o", tmp_path / "out", "--processes", 2, "--trust", "mortal"]
    assert deblur(model, *many) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "4 restored"
    assert (tmp_path / "once").exists()
    assert not [*(tmp_path / "out").rglob(".*")]


def test_the_bar_counts_what_all_processes_do(
    photos: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    class Counting(Bar):
        def __init__(self, count: int, quiet: bool) -> None:
            super().__init__(count, quiet)
            counted.append(count)

        def advance(self) -> None:
            super().advance()
            counted.append(int(self.progress.tasks[0].completed))

    monkeypatch.setattr("deblur.commands.restore.Bar", Counting)
    assert deblur(model, photos, "-o", tmp_path / "out", "--processes", 2) == 0
    assert counted == [3, 1, 2, 3]


def test_a_model_that_is_none_is_told_once_by_processes(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cases.md").write_text("# a note")
    assert deblur(tmp_path / "cases.md", photos, "--processes", 2) == 2
    said = capfd.readouterr().err
    assert said.startswith("error: ") and "cases.md" in said and said.count("\n") == 1


def test_processes_take_names_behind_a_double_dash(
    photos: Path, model: Path, tmp_path: Path
) -> None:
    options = ["--model", str(model), "--device", "cpu", "-o", str(tmp_path / "out")]
    names = [str(photos / "a.png"), str(photos / "b" / "c.png")]
    assert main([*options, "--processes", "2", "--", *names]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "c.png"}


def take_signals() -> None:
    """Undo in a child what nohup or a shell's background does to these signals."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("name", "status", "processes"),
    [
        ("SIGTERM", 143, 1),
        ("SIGTERM", 143, 2),
        ("SIGHUP", 129, 1),
        ("SIGINT", 130, 2),
    ],
)
def test_what_ends_it_leaves_what_is_done_and_nothing_else(
    name: str,
    status: int,
    processes: int,
    tmp_path: Path,
    picture: Callable[..., Path],
) -> None:
    for width, file in ((48, "a.png"), (mortal.TIRING, "b.png"), (mortal.TIRING, "c.png")):
        picture(tmp_path / "in" / file, size=(width, 20))
    out = tmp_path / "out"
    arguments = [tmp_path / "in", "-o", out, "--model", mortal_model(tmp_path), "--device", "cpu"]
    more = ["--trust", "mortal", "--processes", processes]
    command = [sys.executable, "-m", "deblur", *map(str, [*arguments, *more])]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": PATHS},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=take_signals,
    )
    # A process that has restored a.png reports it before it begins another.
    while not ((out / "a.png").exists() and len([*out.glob(".*.part")]) == processes):
        assert process.poll() is None
        time.sleep(0.05)
    number = getattr(signal, name)
    if name == "SIGINT":  # as a terminal does
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    told, complained = process.communicate(timeout=60)
    assert process.returncode == status
    assert told.splitlines()[-1] == "1 restored, 2 left to do"
    assert complained == ("" if name == "SIGINT" else f"stopped by {name}\n")
    assert [path.name for path in out.iterdir()] == ["a.png"]
    with pytest.raises(ProcessLookupError):  # the processes are gone, too
        while True:
            os.killpg(process.pid, 0)
            time.sleep(0.05)


def test_any_error_of_one_picture_is_a_line_and_the_rest_is_done(
    photos: Path,
    tmp_path: Path,
    picture: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture(photos / "b.png", size=(mortal.FAILING, 20))
    model = mortal_model(tmp_path)
    assert deblur(model, photos, "-o", tmp_path / "out", "--trust", "mortal") == 1
    said = capsys.readouterr()
    assert said.out == "3 restored, 1 failed\n"
    reason = "RuntimeError: could not create a primitive"
    assert said.err == f"failed: {photos / 'b.png'}: {reason}\n"
    stdin = io.TextIOWrapper(io.BytesIO((photos / "b.png").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert deblur(model, "-", "-o", tmp_path / "one.png", "--trust", "mortal") == 1
    assert capsys.readouterr().err == f"error: {reason}\n"


@pytest.mark.parametrize("kind", [IndexError, RuntimeError, SyntaxError])
def test_any_error_of_a_pipe_is_a_line(
    kind: type[Exception],
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise kind("out of range\nmore")

    monkeypatch.setattr(Restorer, "restore_file", fail)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x")))
    assert deblur(model, "-", "-o", tmp_path / "one.png") == 1
    assert capsys.readouterr().err == f"error: {kind.__name__}: out of range\n"


def test_files_that_fail_alike_are_listed_below_the_reason(
    photos: Path, tmp_path: Path, picture: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("b.png", "e.png"):
        picture(photos / file, size=(mortal.FAILING, 20))
    model = mortal_model(tmp_path)
    assert deblur(model, photos, "-o", tmp_path / "out", "--trust", "mortal") == 1
    reason, *names = capsys.readouterr().err.splitlines()
    assert reason.startswith("failed: ") and reason.endswith("(2 files)")
    assert names == [f"  {photos / file}" for file in ("b.png", "e.png")]


def test_what_is_no_file_fails_and_the_rest_is_done(
    photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(photos / "pipe.jpg")
    assert deblur(model, photos, "-o", tmp_path / "out") == 0
    named = [photos / "pipe.jpg", photos / "a.png"]
    assert deblur(model, *named, "-o", tmp_path / "two") == 1
    assert capsys.readouterr().err.startswith(f"failed: {photos / 'pipe.jpg'}: ")
    assert (tmp_path / "two" / "a.png").exists()


@pytest.mark.parametrize(
    "name",
    [
        os.fsdecode(b"bad\xff"),
        "line\nfailed: all",
        "\x1b[31mred",
        "Stra\xdfe \u5199\u771f",
    ],
)
def test_files_of_any_name_are_restored_and_named_harmlessly(
    name: str, photos: Path, model: Path, tmp_path: Path
) -> None:
    shutil.copy(photos / "a.png", photos / f"{name}.png")
    (photos / f"{name}2.png").write_text("no picture")
    shutil.rmtree(photos / "b")
    out = tmp_path / "out"
    arguments = [photos, "-o", out, "--model", model, "--device", "cpu"]
    command = [sys.executable, "-m", "deblur", *map(str, arguments)]
    plain = {"PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    environment = {**os.environ, **plain, "PYTHONUTF8": "0"}
    run = subprocess.run(command, env=environment, capture_output=True)
    assert run.returncode == 1
    assert run.stdout == b"2 restored, 1 failed\n"
    assert run.stderr.count(b"\n") == 1 and b"\x1b" not in run.stderr
    assert run.stderr.startswith(b"failed: " + os.fsencode(photos))
    assert {os.fsencode(path) for path in os.listdir(out)} == {
        *(b"a.png", os.fsencode(f"{name}.png"))
    }


@pytest.mark.parametrize("end", ["-o -", "-"])
def test_a_picture_goes_to_stdout(end: str, photos: Path, model: Path, tmp_path: Path) -> None:
    source = "-" if end == "-" else str(photos / "a.png")
    command = [sys.executable, "-m", "deblur", source, "-o", "-", "--model", str(model)]
    content = (photos / "a.png").read_bytes()
    run = subprocess.run(command, input=content, capture_output=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert Image.open(io.BytesIO(run.stdout)).size == (48, 40)
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["photos", "-o", "-"],
        ["photos/a.png", "photos/b/c.png", "-o", "-"],
        ["photos/clip.mp4", "-o", "-"],
        ["photos/a.png", "-", "-o", "out"],
        ["photos/a.png", "-o", "-", "--json"],
        ["-", "-o", "photos"],
        ["-", "-o", "name.xyz"],
        ["-", "-o", "a.png", "--format", "webp"],
        ["-", "-o", "a.png", "--compare"],
    ],
)
def test_what_a_pipe_cannot_be_is_refused(
    arguments: list[str], photos: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    (photos / "clip.mp4").touch()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    before = {*photos.parent.rglob("*")}
    assert deblur(model, *arguments) == 2
    assert {*photos.parent.rglob("*")} == before


@pytest.mark.parametrize(
    "option",
    [
        *("--format=xyz", "--format=", "--format=mp4", "--processes=0", "--processes=-3"),
        *("--processes=two", "--quality=0", "--quality=101"),
    ],
)
def test_values_out_of_range_are_refused_before_any_work(
    option: str, photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        deblur(model, photos, "-o", tmp_path / "out", option)
    assert ended.value.code == 2
    assert option.partition("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["b.xyz", "out/b.pdf"])
def test_a_name_of_no_format_is_no_folder(
    name: str, photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = next((photos / "b").glob("*.jpg"))
    assert deblur(model, photo, "-o", tmp_path / name) == 2
    assert f"type {tmp_path / name}/" in capsys.readouterr().err
    assert deblur(model, photo, "-o", f"{tmp_path / name}/") == 0
    assert (tmp_path / name / photo.name).is_file()


@pytest.mark.parametrize("told", ["jpg", ".jpg", "JPEG", ".JPG"])
def test_a_format_may_be_an_ending(told: str, photos: Path, model: Path, tmp_path: Path) -> None:
    assert deblur(model, photos / "b", "-o", tmp_path / "out", "--format", told) == 0
    endings = {path.name.partition(".")[2] for path in (tmp_path / "out").iterdir()}
    assert len({*(tmp_path / "out").iterdir()}) == 2 and endings <= {"jpg", "jpeg"}
    assert all(Image.open(path).format == "JPEG" for path in (tmp_path / "out").iterdir())


def test_a_format_holds_for_what_is_inside_too(photos: Path, model: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "a.png", photos / "lie.jpg")
    assert deblur(model, photos / "lie.jpg", "-o", tmp_path / "out", "--format", "jpeg") == 0
    assert Image.open(tmp_path / "out" / "lie.jpg").format == "JPEG"


def test_the_same_command_given_twice_does_nothing_new(
    photos: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photos)
    for pattern in ("*", ".", "**/*.png"):
        for _ in range(2):
            names = sorted(os.listdir()) if pattern == "*" else [pattern]  # as a shell does
            assert deblur(model, *names) == 0
        assert capsys.readouterr().out.splitlines()[-1].startswith("0 restored")
        assert not (photos / "restored" / "restored").exists()


def test_sheets_overwrite_nothing_and_are_one_for_each(
    photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.open(photos / "a.png").save(photos / "a.gif")
    out = tmp_path / "out"
    (out / "b").mkdir(parents=True)
    (out / "b" / "c_compare.png").write_text("my own")
    assert deblur(model, photos, "-o", out, "--compare") == 0
    sheets = {path.relative_to(out).as_posix() for path in out.rglob("*_compare.png")}
    assert sheets == {
        *("a.gif_compare.png", "a.png_compare.png", "b/c_compare.png", "b/d_compare.png")
    }
    assert (out / "b" / "c_compare.png").read_text() == "my own"
    assert f"{photos / 'b' / 'c.png'}: " in capsys.readouterr().out


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


def test_photos_and_videos_have_other_default_models() -> None:
    photo, video = (Job(Path(name), Path("out") / name) for name in ("a.png", "b.mp4"))
    parser = ArgumentParser()
    add_arguments(parser)

    def choose(*arguments: str) -> list[tuple[str, list[Job]]]:
        options = parser.parse_args(["a.png", "b.mp4", *arguments])
        check_options(options)
        return [(each.model, jobs) for each, jobs in choose_models([video, photo], options)]

    assert choose() == choose("--model", "auto") == [("auto", [photo]), ("small", [video])]
    assert choose("--only-blurred") == [("auto", [photo]), ("maxim", [video])]
    assert choose("--only-blurred", "--adapt")[1][0] == "small"
    assert choose("--stages", "2") == [("maxim", [photo]), ("maxim", [video])]
    assert choose("--fast") == [("fast", [photo]), ("small", [video])]
    assert choose("--fast", "--only-blurred") == [("fast", [photo]), ("fast", [video])]
    assert choose("--model", "gan") == [("gan", [video, photo])]
    with pytest.raises(ValueError, match="--fast"):
        choose("--model", "gan", "--fast")


@pytest.mark.parametrize("single", [["--edit", "a.png", "--output", "b.png"], ["-"]])
def test_a_single_photo_is_restored_by_the_same_default_as_others(
    single: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    monkeypatch.setattr(Restorer, "load", lambda name, **settings: names.append(name))
    parser = ArgumentParser()
    add_arguments(parser)
    for more in ([], ["--fast"], ["--model", "gan"]):
        load(parser.parse_args([*single, *more]))
    assert names == ["auto", "fast", "gan"]


def test_a_slow_network_is_announced_with_its_time(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [Job(photos / "a.png", photos / "out.png"), Job(photos / "none.png", photos / "x.png")]
    announce("maxim-gopro", 1.0, jobs)
    assert capsys.readouterr().err == ""  # done in no time
    monkeypatch.setattr("deblur.commands.restore.count_pixels", lambda source: 6_000_000)
    announce("maxim-gopro", 10.0, jobs)
    told = capsys.readouterr().err
    assert "12 megapixels" in told and "about 2 min" in told and "--fast" in told
    announce("maxim-gopro", 10.0, jobs * 500)
    assert "6000 megapixels" in capsys.readouterr().err


def test_of_many_pictures_a_few_are_opened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(
        "deblur.commands.restore.count_pixels", lambda file: opened.append(file) or 2_000_000
    )
    announce("auto", 1.0, [Job(Path(f"{place}.png"), Path("x.png")) for place in range(1050)])
    assert len(opened) == 96 and "2100 megapixels" in capsys.readouterr().err


def test_what_was_done_before_an_error_is_reported(
    photos: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, video = photos / "a.png", photos / "a.mp4"
    video.touch()
    monkeypatch.setattr("deblur.commands.restore.FASTEST", "none.safetensors")
    monkeypatch.setattr("deblur.commands.restore.name_best", lambda options: str(model))
    out = ["-o", str(photos / "out"), "--device", "cpu", "--precision", "float32"]
    assert main([str(photo), str(video), *out]) == 2
    said = capsys.readouterr()
    assert "1 restored, 1 left to do" in said.out and "none.safetensors" in said.err


def test_stages_are_those_of_the_model(photos: Path, model: Path, tmp_path: Path) -> None:
    arguments = [str(photos / "a.png"), "-o", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*arguments, "--stages", "2"]) == 0
    assert main([*arguments, "--overwrite", "--model", "maxim-gopro", "--stages", "2"]) == 0
    assert main([*arguments, "--overwrite", "--model", str(model), "--stages", "2"]) != 0
