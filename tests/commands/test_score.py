import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from deblur.__main__ import main

Write = Callable[..., Path]


@pytest.fixture
def folders(tmp_path: Path, picture: Write) -> tuple[Path, Path]:
    for scene in ("s1", "s2"):
        for frame in range(2):
            sharp = picture(tmp_path / "sharp" / scene / f"{frame}.png", seed=frame)
            pixels = np.asarray(Image.open(sharp)).astype(int)
            noise = np.random.default_rng(frame).integers(-20, 21, pixels.shape)
            restored = tmp_path / "mine" / scene / f"{frame}.png"
            restored.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(restored)
    return tmp_path / "mine", tmp_path / "sharp"


def test_the_last_line_has_the_means(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", *map(str, folders)]) == 0
    psnr, ssim = [], []
    for file in sorted(folders[0].rglob("*.png")):
        restored, sharp = (
            np.asarray(Image.open(path))
            for path in (file, folders[1] / file.relative_to(folders[0]))
        )
        psnr.append(peak_signal_noise_ratio(sharp, restored))
        ssim.append(
            structural_similarity(
                *(sharp, restored),
                channel_axis=2,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
        )
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"mean psnr={np.mean(psnr):.2f} ssim={np.mean(ssim):.4f} pairs=4"
    assert said[0] == "4 pairs of 2 scenes"


def test_rows_tables_and_published_figures(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, means = tmp_path / "rows.csv", tmp_path / "means.json"
    options = ["--protocol", "matlab-rgb,y", "--protocol", "deblurgan-legacy", "--published"]
    options += ["--csv", str(rows), "--json", str(means), "--name", "ours", "--data", "gopro"]
    assert main(["score", *map(str, folders), *options]) == 0
    said = capsys.readouterr().out
    beside = [line for line in said.splitlines() if line.startswith("| matlab-rgb")][0]
    assert "PSNR (dB) / SSIM" in beside and " / 0." in beside
    assert "| ours " in said and "| ≠ Li, 2024" in said and "CW-SSIM" in said
    with open(rows, newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 4 * 3 and {row["scene"] for row in table} == {"s1", "s2"}
    document = json.loads(means.read_text())
    assert document["pairs"] == 4
    own = [float(row["psnr"]) for row in table if row["protocol"] == "y"]
    assert document["protocols"]["y"]["ours"]["psnr"]["mean"] == pytest.approx(np.mean(own))


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_file_that_cannot_be_written_is_told_before_the_work(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    missing = tmp_path / "none" / "file"
    assert main(["score", *map(str, folders), f"--{kind}", str(missing)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err == f"error: {missing}: No such file or directory\n"


def test_a_missing_result_is_told(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (folders[0] / "s2" / "1.png").unlink()
    assert main(["score", *map(str, folders)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-1].endswith("pairs=3")
    assert said[-2] == "warning: 1 sharp pictures have no restored one: s2/1"


def test_identical_pictures_are_infinite(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(folders[1]), str(folders[1])]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "mean psnr=inf ssim=1.0000 pairs=4 identical=4"
    assert "sharp: 4 pictures are identical to the sharp one: the mean PSNR is infinite\n" in said


def test_one_identical_picture_is_told_and_set_apart(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, sharp = folders
    shutil.copy(sharp / "s1" / "0.png", mine / "s1" / "0.png")
    means, rows = tmp_path / "means.json", tmp_path / "rows.csv"
    assert main(["score", str(mine), str(sharp), "--json", str(means), "--csv", str(rows)]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1].endswith("pairs=4 identical=1")
    with open(rows, newline="") as file:
        others = [float(row["psnr"]) for row in csv.DictReader(file) if row["psnr"] != "inf"]
    mean = np.mean(others)
    told = "1 picture is identical to the sharp one: the mean PSNR is infinite, that of the others"
    assert len(others) == 3 and f"mine: {told} {mean:.2f} dB" in said
    found = json.loads(means.read_text(), parse_constant=lambda name: pytest.fail(name))
    psnr = found["protocols"]["wang-rgb"]["mine"]["psnr"]
    assert psnr["mean"] == "inf" and psnr["mean_of_others"] == pytest.approx(mean)


@pytest.mark.parametrize(
    ("names", "small"), [("all", "li-2024-crop (256 pixels"), ("st-lpips", "st-lpips (21 pixels")]
)
def test_protocols_that_small_pictures_do_not_suit_are_named(
    names: str,
    small: str,
    tmp_path: Path,
    picture: Write,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sharp = picture(tmp_path / "sharp" / "a.png", size=(40, 5) if names != "all" else (40, 50))
    assert main(["score", *[str(sharp.parent)] * 2, "--protocol", names]) == 2
    said = capsys.readouterr().err
    assert small in said and f"{sharp}: 40x" in said and len(said.splitlines()) == 1
    assert ("protocol wang-rgb,matlab-rgb," in said) == (names == "all")


@pytest.mark.parametrize("empty", ["mine", "sharp"])
def test_an_empty_folder_is_one_line(
    empty: str, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folders[0].parent / empty
    shutil.rmtree(folder)
    folder.mkdir()
    assert main(["score", *map(str, folders)]) == 2
    assert capsys.readouterr().err == f"error: {folder}: holds no pictures\n"


def test_pictures_of_256_pixels_are_scored_against_whole_frames(
    tmp_path: Path, picture: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    sharp = picture(tmp_path / "sharp" / "a.png", size=(320, 270))
    small = Image.open(sharp).resize((256, 256), Image.Resampling.BICUBIC)
    (tmp_path / "mine").mkdir()
    small.save(tmp_path / "mine" / "a.png")
    folders = [str(tmp_path / "mine"), str(tmp_path / "sharp")]
    assert main(["score", *folders, "--protocol", "li-2024-squash"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == "mean psnr=inf psnr_overflowed=inf ssim=1.0000 pairs=1 identical=1"
    assert main(["score", *folders]) == 2
    assert "a.png is 256x256, but" in capsys.readouterr().err


def test_failed_alignments_are_counted(
    tmp_path: Path, picture: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        picture(tmp_path / "sharp" / f"{name}.png")
    (tmp_path / "mine").mkdir()
    Image.open(tmp_path / "sharp" / "a.png").save(tmp_path / "mine" / "a.png")
    Image.new("RGB", (48, 40), "grey").save(tmp_path / "mine" / "b.png")
    folders = [str(tmp_path / "mine"), str(tmp_path / "sharp")]
    assert main(["score", *folders, "--protocol", "realblur"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1].endswith("unaligned=1 pairs=2")
    assert "1 pictures" in next(line for line in said.splitlines() if "unaligned" in line)


@pytest.mark.parametrize(
    "options, message",
    [(["--protocol", "ssim"], "no protocol 'ssim'"), (["--protocol", "kohler"], "data=kohler")],
)
def test_a_protocol_that_does_not_fit_is_one_line(
    folders: tuple[Path, Path],
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["score", *map(str, folders), *options]) == 2
    assert message in capsys.readouterr().err
