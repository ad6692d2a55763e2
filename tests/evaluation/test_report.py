import csv
import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from deblur.evaluation.loop import Restored, Timing
from deblur.evaluation.picture_choice import draw
from deblur.evaluation.report import Report
from deblur.evaluation.results import BLURRY, Result
from deblur.evaluation.statistics import summarize
from deblur.pair import Pair

GAINS = [1.0, 2.0, -0.5, 0.5, 0.25, 3.0, -2.0]
DATA = {"name": "gopro", "root": None, "split": "test", "pairs": 7, "check": None}
ABOUT = {
    "title": "restored on gopro, test split",
    "date": "2026-11-22 20:15",
    "command": "python eval.py",
    "checkpoints": [],
    "device": "cpu",
    "precision": "float32",
    "tiles": "none, whole frames",
    "versions": {},
    "data": DATA,
}


def restored(index: int, gain: float, *, paired: bool = True) -> Restored:
    image = torch.full((1, 3, 20, 30 + index), index / 8)
    name, scene = f"scene{index % 2}/{index}", f"scene{index % 2}"
    results = []
    for protocol in ("wang-rgb", "matlab-rgb") if paired else (None,):
        for method, psnr in ((BLURRY, 20.0), ("restored", 20 + gain)):
            if not paired and method == BLURRY:
                continue
            scores = {"psnr": psnr, "ssim": psnr / 100} if paired else {}
            seconds = None if method == BLURRY else 0.1 * index
            size = (30 + index, 20)
            results.append(Result(name, scene, method, protocol, size, seconds, scores))
    pair = Pair(image, image, (name,))
    return Restored(pair, {"restored": -image}, results, 1.5 if paired else None)


@pytest.fixture
def report(tmp_path: Path) -> Report:
    made = Report(tmp_path, ["wang-rgb", "matlab-rgb"], ["restored"], sheets=2, scenes=["s"] * 7)
    for index, gain in enumerate(GAINS):
        made.add(restored(index, gain))
    return made


def write(report: Report, *, published: bool = False) -> None:
    timing = Timing("restored", (30, 20), [0.1, 0.2, 0.3], [0.5], 10**9)
    report.write(ABOUT, [timing], published=published)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_table_3_has_the_highest_lowest_and_mean(report: Report) -> None:
    rows = [cells(line) for line in report.text().splitlines() if line.startswith("|")]
    assert rows[0][2:] == [
        *("highest", "lowest", "mean", "95% interval", "median", "mean of scenes"),
    ]
    figures = {(row[0], row[1]): row[2:] for row in rows}
    psnr = figures["restored", "PSNR (dB)"]
    assert psnr[:3] == ["23.00", "18.00", "20.61"] and psnr[4] == "20.50"
    even, odd = sum(GAINS[::2]) / 4, sum(GAINS[1::2]) / 3
    assert psnr[5] == f"{20 + (even + odd) / 2:.2f}"
    found = summarize([20 + gain for gain in GAINS], [f"scene{i % 2}" for i in range(7)])
    assert psnr[3].split(" to ") == [f"{found['low']:.2f}", f"{found['high']:.2f}"]
    assert figures["restored", "pooled PSNR (dB)"][2] < psnr[2]
    assert figures["restored", "seconds"][:3] == ["0.600", "0.000", "0.300"]
    assert (BLURRY, "seconds") not in figures


def test_each_part_of_the_data_has_a_row(report: Report) -> None:
    """A part is what names begin with."""
    rows = [cells(line) for line in report.text().splitlines() if line.startswith("| scene")]
    even, odd = sum(GAINS[::2]) / 4, sum(GAINS[1::2]) / 3
    assert [row[:6] for row in rows[:2]] == [
        ["scene0", "restored", "4", "20.00", f"{20 + even:.2f}", f"{even:+.2f}"],
        ["scene1", "restored", "3", "20.00", f"{20 + odd:.2f}", f"{odd:+.2f}"],
    ]
    assert [row[6:] for row in rows[:2]] == [
        ["-2.00", f"{even / 100:+.4f}", "50%"],
        ["+0.50", f"{odd / 100:+.4f}", "100%"],
    ]


def test_gains_are_counted_by_image(report: Report) -> None:
    line = next(one for one in report.text().splitlines() if one.startswith("restored: +0.61"))
    found = summarize(GAINS, [f"scene{i % 2}" for i in range(7)])
    ends = f"({found['low']:+.2f} to {found['high']:+.2f})"
    assert line.startswith(f"restored: +0.61 dB {ends} over the blurry input on average")
    assert "better on 5 of 7 images (71%)" in report.text()
    assert report.mean_psnr("restored") == pytest.approx(20 + sum(GAINS) / 7)


def test_files_can_be_read_back(report: Report, tmp_path: Path) -> None:
    write(report, published=True)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["data"]["name"] == "gopro" and metrics["scenes"] == 2
    found = metrics["protocols"]["matlab-rgb"]["results"]["restored"]["psnr"]
    assert found["mean"] == pytest.approx(20 + sum(GAINS) / 7)
    assert metrics["gains"]["wang-rgb"]["restored"]["better"] == 5
    assert metrics["times"][0] == {
        **{"method": "restored", "size": "30x20", "images": 3, "median": 0.2},
        **{"p95": pytest.approx(0.29), "file_to_file": 0.5, "peak_memory_mb": 1000.0},
    }
    with open(tmp_path / "per_image.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7 * 2 * 2
    assert rows[1]["method"] == "restored" and float(rows[1]["psnr"]) == 21.0
    assert rows[0]["seconds"] == "" and rows[0]["blur_sigma"] == "1.5"
    assert (tmp_path / "table3.md").read_text().startswith("protocol wang-rgb: 8-bit RGB")
    assert "<html" in (tmp_path / "report.html").read_text()


def test_table_4_marks_what_cannot_be_compared(report: Report, tmp_path: Path) -> None:
    write(report, published=True)
    text = (tmp_path / "table4.md").read_text()
    rows = {cells(line)[0]: cells(line)[1:] for line in text.splitlines() if line.startswith("|")}
    assert rows["restored"][3] == "matlab-rgb"  # the later of its two rows
    assert rows["≠ Li, 2024"][:4] == ["29.16", "0.746", "4.69", "li-2024-squash"]
    assert rows["≠ DeblurGAN (Kupyn et al., 2018)"][1] == "0.958 CW"
    assert "not to be compared" in text
    write(report)
    assert "Li, 2024" not in (tmp_path / "table4.md").read_text()


def test_what_was_measured_alike_bears_no_mark(tmp_path: Path) -> None:
    alike = Report(tmp_path, ["matlab-rgb"], [], sheets=0, scenes=["s"])
    alike.add(restored(0, 1.0))
    alike.pairs = 1111
    alike.write({**ABOUT, "data": {**DATA, "name": "gopro_gamma"}}, [], published=True)
    text = (tmp_path / "table4.md").read_text()
    assert "| DeepDeblur (Nah et al., 2017)" in text and "| ≠ Li, 2024" in text


def test_sheets_show_the_chosen_pictures(report: Report, tmp_path: Path) -> None:
    write(report)
    assert len(list((tmp_path / "sheets").iterdir())) == 2
    one, whole = next((tmp_path / "sheets").iterdir()), tmp_path / "sheet.png"
    with Image.open(one) as single, Image.open(whole) as all_of_them:
        assert single.width >= 3 * 32 and all_of_them.height > single.height


def test_pictures_are_drawn_by_scene() -> None:
    scenes = ["a"] * 50 + ["b"] * 3 + ["c"]
    assert sorted(scenes[place] for place in draw(scenes, 3)) == ["a", "b", "c"]
    assert sorted(scenes[place] for place in draw(scenes, 6)) == ["a", "a", "a", "b", "b", "c"]
    assert draw(scenes, 6) == draw(scenes, 6) and len(draw(scenes, 99)) == 54
    firsts = {place for side in range(20) for place in draw(scenes[side:], 1)}
    assert len(firsts) > 5  # nobody has chosen them


def test_pictures_are_counted_and_drawn_by_place(tmp_path: Path) -> None:
    made = Report(tmp_path, ["wang-rgb", "matlab-rgb"], [], sheets=3, scenes=["s"] * 3)
    for _ in range(3):
        made.add(restored(0, 1.0))
    assert made.pairs == len(made.columns) == 3


def test_the_best_and_worst_are_by_gain(report: Report) -> None:
    kept = {kind: shown for (_, kind), shown in report.extremes.items()}
    assert [one.figures["gain"] for one in kept["best"]] == sorted(GAINS, reverse=True)[:5]
    assert [one.figures["gain"] for one in kept["worst"]] == sorted(GAINS)[:5]
    assert [*kept["best"][0].pictures] == ["blurred", "restored", "sharp", "error"]


@pytest.mark.parametrize("place", [0, 3, 7])
def test_failed_pictures_are_the_worst_and_hide_no_others(place: int, tmp_path: Path) -> None:
    made = Report(tmp_path, ["wang-rgb", "matlab-rgb"], ["restored"], sheets=0, scenes=["s"] * 8)
    for index, gain in enumerate([*GAINS[:place], math.nan, *GAINS[place:]]):
        made.add(restored(index, gain))
    kept = {kind: shown for (_, kind), shown in made.extremes.items()}
    assert [one.figures["gain"] for one in kept["best"]] == sorted(GAINS, reverse=True)[:5]
    failed, *others = (one.figures["gain"] for one in kept["worst"])
    assert math.isnan(failed) and others == sorted(GAINS)[:4]


def test_infinite_figures_are_written(tmp_path: Path) -> None:
    made = Report(tmp_path, ["wang-rgb", "matlab-rgb"], ["restored"], sheets=1, scenes=["s"] * 2)
    for index, gain in enumerate([math.inf, 1.0]):
        made.add(restored(index, gain))
    write(made)
    text = (tmp_path / "metrics.json").read_text()
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    psnr = found["protocols"]["wang-rgb"]["results"]["restored"]["psnr"]
    assert psnr["mean"] == "inf" and psnr["mean_of_others"] == 21.0
    told = "restored: 1 picture is identical to the sharp one: the mean PSNR is infinite, that of"
    assert f"{told} the others 21.00 dB" in made.text()
    assert found["gains"]["wang-rgb"]["restored"] == {"mean": 1.0, "better": 2, "of": 2}
    assert "inf dB over" not in made.text() and "nan" not in made.text()
    with open(tmp_path / "per_image.csv", newline="") as file:
        assert [*csv.DictReader(file)][1]["psnr"] == "inf"


def test_without_sharp_pictures_there_are_times_and_sheets(tmp_path: Path) -> None:
    made = Report(tmp_path, [], ["restored"], sheets=2, scenes=["s"] * 3)
    for index in range(3):
        made.add(restored(index, 0.0, paired=False))
    write(made)
    assert "seconds" in made.text() and "PSNR" not in made.text()
    assert json.loads((tmp_path / "metrics.json").read_text())["protocols"] == {}
    assert made.mean_psnr("restored") is None
    assert not (tmp_path / "table4.md").exists() and (tmp_path / "report.html").is_file()


def test_many_sizes_are_told_together(report: Report, tmp_path: Path) -> None:
    timings = [Timing("it", (10 * n, 20), [n / 10], [1.0], n * 10**6) for n in range(1, 7)]
    report.write(ABOUT, timings, published=False)
    (row,) = json.loads((tmp_path / "metrics.json").read_text())["times"]
    assert (row["size"], row["images"], row["peak_memory_mb"]) == ("10x20 to 60x20", 6, 6.0)
    assert row["median"] == pytest.approx(0.35)
