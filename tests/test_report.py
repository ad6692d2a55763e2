import csv
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from deblur.evaluation import BLURRY, Result
from deblur.pair import Pair
from deblur.report import Report, strips


def results(name: str, before: float, after: float, seconds: float) -> list[Result]:
    return [
        Result(name, BLURRY, 0.0, {"psnr": before, "ssim": before / 100}),
        Result(name, "restored", seconds, {"psnr": after, "ssim": after / 100}),
    ]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    made = Report(tmp_path, sheets=2, count=4)
    for index in range(4):
        image = torch.full((1, 3, 20, 30 + index), index / 4)
        pair = Pair(image, image, [f"scene/{index}"])  # type: ignore[arg-type]
        gain = (1.0, 2.0, -0.5, 0.5)[index]
        made.add(
            pair, {"restored": -image}, results(f"scene/{index}", 20.0, 20 + gain, 0.1 * index)
        )
    return made


def test_table_3_has_the_highest_lowest_and_mean(report: Report) -> None:
    rows = [[cell.strip() for cell in line.split("|")] for line in report.text().splitlines()]
    assert rows[0][2:8] == [
        f"{t} {k}" for t in ("PSNR (dB)", "SSIM") for k in ("highest", "lowest", "mean")
    ]
    restored = next(row for row in rows if len(row) > 1 and row[1] == "restored")
    assert restored[2:5] == ["22.00", "19.50", "20.75"]
    assert restored[8:11] == ["0.300", "0.000", "0.150"]
    blurry = next(row for row in rows if len(row) > 1 and row[1] == BLURRY)
    assert blurry[8:11] == ["", "", ""]


def test_gains_are_counted_by_image(report: Report) -> None:
    assert "restored: +0.75 dB over the blurry input" in report.text()
    assert "better on 3 of 4 images (75%)" in report.text()


def test_files_can_be_read_back(report: Report, tmp_path: Path) -> None:
    report.write({"data": "photos"})
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["protocol"], metrics["data"], metrics["images"]) == ("wang-rgb", "photos", 4)
    assert metrics["results"]["restored"]["psnr"]["mean"] == 20.75
    with open(tmp_path / "per_image.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert float(rows[1]["psnr"]) == 21.0
    assert (tmp_path / "table3.md").read_text().startswith("|")


def test_sheets_show_the_chosen_pictures(report: Report, tmp_path: Path) -> None:
    report.write({})
    assert sorted(p.name for p in (tmp_path / "sheets").iterdir()) == ["scene-2.png", "scene-3.png"]
    with Image.open(tmp_path / "sheets" / "scene-2.png") as one, Image.open(
        tmp_path / "sheet.png"
    ) as whole:
        assert one.width >= 3 * 32 and whole.height > one.height


def test_strips_put_pictures_side_by_side() -> None:
    black, white = torch.zeros(3, 5, 6, dtype=torch.uint8), torch.full((3, 5, 6), 255)
    strip = strips([[black, white.byte()], [white.byte(), black]])
    assert strip[0, 0, 0] == 0 and strip[0, 0, 12] == 255
    assert strip[0, 10, 0] == 255 and strip[0, 10, 12] == 0
