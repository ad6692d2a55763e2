import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from deblur.checkpoints import load_generator, save_generator
from deblur.evaluation import BLURRY


@pytest.fixture
def generator(trained: Path) -> Path:
    return trained / "generator.safetensors"


def metrics(folder: Path) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    loaded: dict[str, dict[str, dict[str, dict[str, float]]]] = json.loads(
        (folder / "metrics.json").read_text()
    )
    return loaded


def test_a_checkpoint_needs_nothing_else(
    trained: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    ckpt = trained / "checkpoints" / "last.ckpt"
    start("eval", f"ckpt={ckpt}", f"hydra.run.dir={tmp_path}")
    log = (tmp_path / "eval.log").read_text()
    assert log.splitlines()[0] == "data=photos (built-in photos), test split, 3 images"
    assert "protocol wang-rgb" in log
    found = metrics(tmp_path)
    methods = [*found["results"]]
    assert methods[0] == BLURRY and methods[1].startswith("unsharp mask (sigma")
    assert methods[2] == "restored"
    with open(tmp_path / "per_image.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    mean = sum(float(row["psnr"]) for row in rows if row["method"] == "restored") / 3
    assert found["results"]["restored"]["psnr"]["mean"] == pytest.approx(mean, abs=1e-5)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width >= 3 * 32


def test_paths_may_have_any_name(
    generator: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    odd = tmp_path / "epoch=3, [x] (1) it's.safetensors"
    shutil.copy(generator, odd)
    start("eval", f"ckpt={odd}", "unsharp=false", f"hydra.run.dir={tmp_path / 'out'}")
    assert metrics(tmp_path / "out")["checkpoint"] == str(odd)


def test_other_data_can_be_named(
    generator: Path, gopro: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    folder = f"hydra.run.dir={tmp_path / 'out'}"
    start(
        "eval",
        f"ckpt={generator}",
        "data=gopro",
        f"data.root={gopro}",
        "data.crop=32",
        "limit=2",
        folder,
    )
    log = (tmp_path / "out" / "eval.log").read_text()
    assert log.startswith(f"data=gopro ({gopro}), test split, 2 images")


def test_a_generator_that_knows_no_data_meets_the_built_in_photos(
    tmp_path: Path, start: Callable[..., None], generator: Path
) -> None:
    config = load_generator(generator).config
    network = load_generator(generator).network
    save_generator(tmp_path / "bare.safetensors", network, config, {})
    options = ["unsharp=false", "limit=1", f"hydra.run.dir={tmp_path / 'out'}"]
    start("eval", f"ckpt={tmp_path / 'bare.safetensors'}", *options)
    assert (tmp_path / "out/eval.log").read_text().startswith("data=photos (built-in photos)")


def test_snapshots_give_sheets_and_times_only(
    generator: Path, tmp_path: Path, start: Callable[..., None], picture: Callable[..., Path]
) -> None:
    for index in range(3):
        picture(tmp_path / "mine" / f"{index}.png", size=(30 + index, 41))
    out = tmp_path / "out"
    start(
        "eval",
        f"ckpt={generator}",
        "data=folder",
        f"data.root={tmp_path / 'mine'}",
        f"hydra.run.dir={out}",
    )
    found = metrics(out)["results"]
    assert set(found) == {"restored"}
    assert set(found["restored"]) == {"seconds"}
    assert (out / "sheet.png").is_file()


def test_a_checkpoint_cannot_name_code_through_its_data(
    tmp_path: Path, start: Callable[..., None], generator: Path
) -> None:
    loaded = load_generator(generator)
    recipe = {**loaded.data, "scalars": {"data._target_": "os.system"}}
    save_generator(tmp_path / "evil.safetensors", loaded.network, loaded.config, recipe)
    with pytest.raises(SystemExit, match="sets 'data._target_'"):
        start("eval", f"ckpt={tmp_path / 'evil.safetensors'}", f"hydra.run.dir={tmp_path}")


def test_a_missing_checkpoint_is_one_line(tmp_path: Path, start: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match="error: gone.ckpt: no such file"):
        start("eval", "ckpt=gone.ckpt", f"hydra.run.dir={tmp_path}")
