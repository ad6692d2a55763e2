"""The programs beside the package run; their figures are not judged here."""

import os
import runpy
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from imitations import picture, write

from deblur.checkpoints import load_generator, save_generator, shipped
from deblur.checkpoints.shipped import find_model
from deblur.media.images import read
from deblur.networks import ResNet

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function that runs a script and returns what it prints."""

    def start(script: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        runpy.run_path(str(ROOT / script), run_name="__main__")
        return capsys.readouterr().out

    return start


def test_the_papers_figures_are_drawn(run: Run, tmp_path: Path) -> None:
    run("scripts/figures.py", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {
        "figure1.png",
        "figure2.png",
        "figure3.png",
    }


def test_the_training_benchmark_runs(run: Run) -> None:
    said = run("benchmarks/training.py", "--crop", "32", "--batch", "2", "--rounds", "1")
    assert "| plain float32 |" in said and "| ours |" in said


def test_the_loading_benchmark_runs(run: Run) -> None:
    said = run("benchmarks/loading.py", "--crop", "32", "--pairs", "3")
    assert "| a pair, blur=camera |" in said
    assert "| a pair of 16 on" in said


def test_the_sheets_of_blur_are_drawn(run: Run, tmp_path: Path) -> None:
    run("scripts/blur_sheet.py", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"blur.webp", "sensor.webp"}


def test_pairs_are_made_once_and_trained_on(
    run: Run, tmp_path: Path, start: Callable[..., None]
) -> None:
    out = tmp_path / "made"
    made = ["--train", "6", "--val", "2", "data.crop=48", "blur=camera", "data.workers=0"]
    assert f"data.root={out}" in run("scripts/make_pairs.py", str(out), *made)
    small = ["model.generator.width=4", "model.generator.levels=1", "data.crop=32"]
    own = ["experiment=unet", "trainer=cpu", "trainer.max_epochs=1", "data.batch_size=2", *small]
    start("train", *own, "data=folder", f"data.root={out}", f"hydra.run.dir={tmp_path / 'run'}")
    with pytest.raises(SystemExit, match="error: .*train pairs"):
        run("scripts/make_pairs.py", str(out), *made)


def test_the_comparison_of_blurs_runs_and_goes_on(run: Run, tmp_path: Path) -> None:
    write("gopro", tmp_path / "gopro")
    command = ["benchmarks/blurs.py", str(tmp_path), "--gopro", str(tmp_path / "gopro")]
    command += ["--only", "trajectory", "shake", "--seeds", "0", "--steps", "2"]
    said = run(*command)
    assert "| trained on | trajectory | shake | objects | camera | gopro GOPR" in said
    assert run(*command).endswith(said[said.index("| trained on") :])


@pytest.mark.parametrize("name, place", [("memory", 0), ("files", 1)])
def test_what_grows_by_more_than_three_percent_is_found(name: str, place: int) -> None:
    processes = runpy.run_path(str(ROOT / "benchmarks" / "processes.py"))
    flat = [processes["Sample"](float(t), 1, 2 * 10**9 * (t > 7), 60) for t in range(100)]
    assert [good for _, _, good in processes["judge"]("in all", flat)] == [True, True]
    grown = [
        one._replace(**{name: getattr(one, name) * (1 + t / 2000)}) for t, one in enumerate(flat)
    ]
    told, found, good = processes["judge"]("in all", grown)[place]
    assert told == f"{name} in all" and "(4.0%)" in found and not good


def test_pages_of_text_lie_behind_the_photos(run: Run, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        run("scripts/render_text.py", str(tmp_path / folder), "--pages", "2")
    pages = sorted(tmp_path.glob("*/*.webp"))
    assert [page.name for page in pages] == ["zz-text-00.webp", "zz-text-01.webp"] * 2
    assert pages[0].read_bytes() == pages[2].read_bytes() != pages[1].read_bytes()


def test_the_pairs_of_a_test_are_written_as_files(run: Run, tmp_path: Path) -> None:
    held_out = "data.dataset.held_out={crop: 48, val: 1, test: 3}"
    said = run("scripts/write_pairs.py", str(tmp_path), "--crop", "32", "--every", "2", held_out)
    assert "2 pairs" in said
    assert {read(path).shape for path in tmp_path.rglob("*.png")} == {(32, 32, 3)}
    assert {len([*tmp_path.glob(f"test/{side}/*.png")]) for side in ("blur", "sharp")} == {2}
    with pytest.raises(SystemExit, match="already holds test pairs"):
        run("scripts/write_pairs.py", str(tmp_path), held_out)
    with pytest.raises(SystemExit, match="smaller than --crop 64"):
        run("scripts/write_pairs.py", str(tmp_path / "large"), "--crop", "64", held_out)


@pytest.mark.parametrize("truth", [True, False])
def test_what_a_teacher_makes_of_frames_is_written_as_pairs(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: bool
) -> None:
    for name, count in (("GOPRO_avg8", 1), ("GOPRO_rebuilt", 3)):
        for side in ("blur", "sharp"):
            for place in range(count):
                frame = tmp_path / name / "train" / "A" / side / f"{place:06}.png"
                picture(frame, place, size=(40, 32))
    monkeypatch.setenv("DEBLUR_DATA", str(tmp_path))
    out = tmp_path / "out"
    how = ["--truth"] if truth else ["--teacher", "small"]
    assert "5 pairs" in run("scripts/teacher_pairs.py", str(out), *how)
    rows = (out / "pairs.csv").read_text(encoding="utf-8").splitlines()
    assert rows[1::4] == ["rebuilt,A_avg8,000000,train", "rebuilt,A_rebuilt_33,000001,train"]
    sharp = read(tmp_path / "GOPRO_rebuilt" / "train" / "A" / "sharp" / "000001.png")
    target = read(out / "train" / "A_rebuilt_33" / "sharp" / "000001.png")
    assert target.shape == sharp.shape and (target == sharp).all() == truth


def test_a_model_that_is_not_whole_replaces_none(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = Path(shutil.copy(find_model("small"), tmp_path))
    before = bundled.read_bytes()
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    other = tmp_path / "other.safetensors"
    save_generator(other, ResNet(blocks=1, width=4))
    with pytest.raises(SystemExit, match="encoder is not small"):
        run("scripts/ship.py", "small", str(other), "--share", "encoder=small", "--about", "x")
    assert bundled.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"other.safetensors", "small.safetensors"}
    run("scripts/ship.py", "small", str(other), "--about", "x")
    assert load_generator(bundled).config["width"] == 4


@pytest.fixture
def packed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pack data.tar of 20 photos and a pair; return the settings of the data."""
    for seed in range(20):
        picture(tmp_path / "photos" / f"{seed:02}.png", seed, size=(96, 96))
    write("reds", tmp_path / "REDS")
    listed = tmp_path / "mine.csv"
    listed.write_text("set,scene,frame,split\nreds,000,00000000,train\n")
    monkeypatch.setenv("DEBLUR_DATA", str(tmp_path))
    settings = [f"data.dataset.listed={listed}", "data.dataset.without=[]", "data.crop=32"]
    settings += ["data.dataset.held_out={crop:32,val:1,test:1}"]
    where = f"data.root={tmp_path / 'photos'}"
    said = run("scripts/pack_data.py", str(tmp_path / "data.tar"), where, *settings)
    assert "22 files" in said
    return settings


def test_training_data_are_packed_below_a_size(run: Run, tmp_path: Path, packed: list[str]) -> None:
    archive = tmp_path / "data.tar"
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert names[:20] == [f"photos/{seed:02}.webp" for seed in range(20)]
    frame = "000/00000000.webp"
    assert names[20:] == [f"REDS/train/train_blur/{frame}", f"REDS/train/train_sharp/{frame}"]
    where = f"data.root={tmp_path / 'photos'}"
    with pytest.raises(SystemExit, match="more than 0.001 MiB"):
        run("scripts/pack_data.py", str(archive), "--megabytes", "0.001", where, *packed)
    with tarfile.open(archive) as tar:
        assert tar.getnames() == names  # the earlier one stays
    assert not [*tmp_path.glob(".deblur-*")]
    with pytest.raises(SystemExit, match="data.root=FOLDER is required"):
        run("scripts/pack_data.py", str(archive))
    with pytest.raises(SystemExit, match="^error: .*none"):
        run("scripts/pack_data.py", str(archive), f"data.root={tmp_path / 'none'}")


@pytest.mark.slow
def test_a_machine_lent_for_minutes_trains_each_stage(tmp_path: Path, packed: list[str]) -> None:
    settings = " ".join([*packed, "data.dataset.size=2", "data.batch_size=2"])
    minutes = {"PAPER": "0.05", "WIDE": "0.05", "FAST": "0.05", "EVERY": "15"}
    own = {"PYTHON": sys.executable, "TRAINER": "cpu", "BATCH": "2", "SETTINGS": settings}
    out = tmp_path / "out"
    script = ROOT / "scripts" / "train_shipped.sh"
    command = [script, "minutes", tmp_path / "data.tar", out]
    subprocess.run(command, env={**os.environ, **minutes, **own}, check=True)
    for name in ("paper", "maxim", "fast"):
        pieces = sorted(out.glob(f"{name}.safetensors.*"))
        assert pieces and max(piece.stat().st_size for piece in pieces) < 16 * 2**20
        whole = tmp_path / f"{name}.safetensors"
        whole.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
        assert load_generator(whole).network
