"""A run's whole life, from a data set on disk to the page that a user opens."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY
from imitations import write
from PIL import Image
from playwright.sync_api import Page

pytestmark = pytest.mark.web


def test_train_evaluate_and_look(
    tmp_path: Path, start: Callable[..., None], load: Callable[[str], Page]
) -> None:
    root, run, out = (tmp_path / name for name in ("GOPRO_Large", "run", "eval"))
    write("gopro", root)
    tiny = ["experiment=paper", *(one for one in TINY[1:] if "dataset" not in one)]
    tiny = [one for one in tiny if not one.startswith("blur.")]
    data = ["data=gopro", f"data.root={root}", "data.dataset.val_scenes=[GOPR0374_11_00]"]
    start("train", *tiny, *data, "trainer.max_epochs=1", f"hydra.run.dir={run}")
    checkpoints = f"ckpt=[{run / 'generator.safetensors'},{run / 'checkpoints/last.ckpt'}]"
    protocols = "protocol=[wang-rgb,matlab-rgb]"
    start("eval", checkpoints, protocols, "published=true", f"hydra.run.dir={out}")

    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["data"]["name"], metrics["data"]["root"]) == ("gopro", str(root))
    assert metrics["data"]["check"]["layout"] == "gopro"
    with open(out / "per_image.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * metrics["data"]["pairs"] * len({row["method"] for row in rows})
    for table in ("table3.md", "table4.md"):
        assert (out / table).read_text().count("wang-rgb") >= 1
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.width > 4 * 40

    opened = load((out / "report.html").read_text())
    frame = opened.locator(".frame").first
    divider = frame.locator(".divider")
    before = divider.bounding_box()
    frame.locator("input").focus()
    for _ in range(20):
        opened.keyboard.press("ArrowRight")
    after = divider.bounding_box()
    assert before and after and after["x"] > before["x"]
    assert rows[0]["name"] in opened.locator(".images tbody tr").first.inner_text()
    assert opened.locator(".published tbody tr").count() == 4
