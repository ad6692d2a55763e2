import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, fill
from imitations import kohler, picture
from PIL import Image

from deblur.checkpoints import load_generator, save_generator
from deblur.evaluation.results import BLURRY
from deblur.networks import ResNet


@pytest.fixture
def generator(trained: Path) -> Path:
    return trained / "generator.safetensors"


def metrics(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return loaded


@pytest.mark.parametrize(
    "settings, why",
    [
        (["data.crop=256"], "too small for a crop of 256"),
        (["data.crop=32", "data.dataset.whole=true"], "3 validation pairs are also test pairs"),
    ],
)
def test_an_unsharp_mask_that_cannot_be_tuned_is_left_out(
    settings: list[str], why: str, tmp_path: Path, start: Callable[..., None]
) -> None:
    for side in ("blur", "sharp"):
        for name in ("1", "2", "3"):
            picture(tmp_path / "pairs" / side / f"{name}.png", 1)
    data = ("data=folder", f"data.root={tmp_path / 'pairs'}", *settings)
    start("eval", "ckpt=null", *data, f"hydra.run.dir={tmp_path / 'out'}")
    log = (tmp_path / "out" / "eval.log").read_text()
    assert "the unsharp mask is left out: " in log and why in log
    assert [*metrics(tmp_path / "out")["protocols"]["wang-rgb"]["results"]] == [BLURRY]


def test_a_checkpoint_needs_nothing_else(
    trained: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    ckpt = trained / "checkpoints" / "last.ckpt"
    old = tmp_path / "sheets" / "of-another-evaluation.png"
    picture(old, 1)
    start("eval", f"ckpt={ckpt}", f"hydra.run.dir={tmp_path}")
    assert not old.exists() and [*(tmp_path / "sheets").iterdir()]
    log = (tmp_path / "eval.log").read_text()
    lines = log.splitlines()
    assert lines[0] == "data=photos (built-in photos), test split, 3 images"
    assert [line for line in lines if line.startswith("3 of 3 images in ")]
    assert "protocol wang-rgb: 8-bit RGB" in log
    found = metrics(tmp_path)
    results = found["protocols"]["wang-rgb"]["results"]
    methods = [*results]
    assert methods[0] == BLURRY and methods[1].startswith("unsharp mask (sigma")
    assert methods[2] == "restored"
    with open(tmp_path / "per_image.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    mean = sum(float(row["psnr"]) for row in rows if row["method"] == "restored") / 3
    assert results["restored"]["psnr"]["mean"] == pytest.approx(mean, abs=1e-5)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width >= 3 * 32
    (checkpoint,) = found["checkpoints"]
    assert checkpoint["path"] == str(ckpt) and len(checkpoint["sha256"]) == 64
    assert found["data"]["check"] is None and found["data"]["pairs"] == 3
    assert found["times"][1]["size"] == "32x32" and found["times"][1]["median"] > 0


def test_a_shipped_model_is_measured_and_trained_on_by_its_name(
    generator: Path, tmp_path: Path, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deblur.checkpoints.shipped.WEIGHTS", tmp_path)
    shutil.copy(generator, tmp_path / "tiny.safetensors")
    start("eval", "ckpt=tiny", "unsharp=false", f"hydra.run.dir={tmp_path / 'out'}")
    measured = metrics(tmp_path / "out")["checkpoints"][0]["path"]
    assert measured == str(tmp_path / "tiny.safetensors")
    still = ["model.lr=1e-9", "trainer.max_epochs=1"]
    start("train", *TINY, *still, "init=tiny", f"hydra.run.dir={tmp_path / 'run'}")
    begun = load_generator(generator).network.state_dict()
    gone_on = load_generator(tmp_path / "run" / "generator.safetensors").network.state_dict()
    for name in begun:
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(begun[name], gone_on[name], atol=1e-6), name
    with pytest.raises(SystemExit, match="huge: .*tiny"):
        start("eval", "ckpt=huge", f"hydra.run.dir={tmp_path / 'none'}")


def test_paths_may_have_any_name(
    generator: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    odd = tmp_path / "epoch=3, [x] (1) it's.safetensors"
    shutil.copy(generator, odd)
    start("eval", f"ckpt={odd}", "unsharp=false", f"hydra.run.dir={tmp_path / 'out'}")
    assert metrics(tmp_path / "out")["checkpoints"][0]["path"] == str(odd)


def test_several_checkpoints_under_several_protocols(
    trained: Path, gopro: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    """One whole life: a tiny GoPro, an epoch's training, and every output read back."""
    out, first = tmp_path / "out", tmp_path / "it's =first.ckpt"
    shutil.copy(trained / "checkpoints" / "best.ckpt", first)
    start(
        "eval",
        f"ckpt=[{first},{trained / 'generator.safetensors'}]",
        *("data=gopro", f"data.root={gopro}", "data.dataset.blur=blur_gamma", "data.crop=32"),
        *("protocol=[wang-rgb,gopro-gamma,deblurgan-legacy-half]", "published=true"),
        f"hydra.run.dir={out}",
    )
    found = metrics(out)
    labels = [one["label"] for one in found["checkpoints"]]
    assert len(labels) == 2 and labels[1].endswith("generator")
    assert [*found["protocols"]] == ["wang-rgb", "gopro-gamma", "deblurgan-legacy-half"]
    for protocol in found["protocols"].values():
        assert [*protocol["results"]][2:] == labels
    wang, gamma = (found["protocols"][name]["results"] for name in ("wang-rgb", "gopro-gamma"))
    assert wang[labels[0]]["psnr"] == gamma[labels[0]]["psnr"]
    assert {time["size"] for time in found["times"]} == {"48x40", "24x20"}
    verdict = found["data"]["check"]
    assert verdict["layout"] == "gopro" and found["data"]["name"] == "gopro_gamma"
    assert any("test: 3 pairs" in line for line in verdict["counts"])
    assert len(found["published"]) == 4 and any(row["differs"] for row in found["published"])
    assert "| ≠ Li, 2024" in (out / "table4.md").read_text()
    page = (out / "report.html").read_text()
    assert all(label.replace("'", "&#39;") in page for label in labels)


def test_a_list_must_name_files(tmp_path: Path, start: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match="error: a.ckpt"):
        start("eval", "ckpt=[a.ckpt, b.ckpt]", f"hydra.run.dir={tmp_path}")


def test_the_data_alone_can_be_measured(tmp_path: Path, start: Callable[..., None]) -> None:
    held_out = "data.dataset.held_out={crop: 64, val: 2, test: 2}"
    start("eval", "ckpt=null", "unsharp=false", held_out, f"hydra.run.dir={tmp_path}")
    found = metrics(tmp_path)
    assert [*found["protocols"]["wang-rgb"]["results"]] == [BLURRY]
    assert found["checkpoints"] == [] and found["times"] == []


@pytest.mark.parametrize(
    "protocol, message",
    [
        ("ssim", "no protocol 'ssim', expected some of wang-rgb"),
        ("gopro-gamma", "requires GoPro's folder blur_gamma"),
        ("kohler", "data=kohler"),
    ],
)
def test_a_protocol_that_does_not_fit_is_one_line(
    protocol: str, message: str, generator: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        start("eval", f"ckpt={generator}", f"protocol={protocol}", f"hydra.run.dir={tmp_path}")


@pytest.mark.parametrize("damaged", [False, True])
def test_a_picture_that_cannot_be_scored_is_one_line(
    damaged: bool, generator: Path, gopro: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    file = gopro / "test/T1/blur/000001.png"
    if damaged:
        file.write_bytes(file.read_bytes()[:2000])
    data = ("data=gopro", f"data.root={gopro}", "data.crop=32", "unsharp=false", "check=false")
    protocol = f"protocol={'wang-rgb' if damaged else 'li-2024-crop'}"
    message = "000001.png: not a readable" if damaged else "T1-000000: 48x40, .*li-2024-crop"
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        start("eval", f"ckpt={generator}", *data, protocol, f"hydra.run.dir={tmp_path / 'out'}")
    assert not (tmp_path / "out" / ".hydra").exists()  # it is found before all else


def test_the_arithmetic_is_told(
    generator: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    settings = ("precision=bfloat16", "unsharp=false", "limit=1")
    start("eval", f"ckpt={generator}", *settings, f"hydra.run.dir={tmp_path}")
    assert metrics(tmp_path)["precision"] == "bfloat16"


def test_kohler_has_its_ground_truths(
    generator: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    kohler(tmp_path / "Kohler")
    start(
        "eval",
        f"ckpt={generator}",
        *("data=kohler", f"data.root={tmp_path / 'Kohler'}", "limit=2", "unsharp=false"),
        *("protocol=[kohler,wang-rgb]", f"hydra.run.dir={tmp_path / 'out'}"),
    )
    found = metrics(tmp_path / "out")["protocols"]
    best, middle = (found[name]["results"][BLURRY]["psnr"] for name in ("kohler", "wang-rgb"))
    assert best["mean"] > middle["mean"] - 0.1


def test_local_statistics_are_taken_on_request(
    tmp_path: Path, start: Callable[..., None], generator: Path
) -> None:
    config = {"_target_": "deblur.networks.ResNet", "norm": "instance", "blocks": 1, "width": 4}
    network = fill(ResNet(norm="instance", blocks=1, width=4))
    save_generator(tmp_path / "it.safetensors", network, config, load_generator(generator).data)
    means = []
    for tlc in ("null", "16", "256"):
        out = tmp_path / tlc
        ckpt = f"ckpt={tmp_path / 'it.safetensors'}"
        start("eval", ckpt, f"tlc={tlc}", "unsharp=false", f"hydra.run.dir={out}")
        found = metrics(out)
        means.append(found["protocols"]["wang-rgb"]["results"]["restored"]["psnr"]["mean"])
    assert means[0] == means[2] != means[1]  # 256 covers the crops of 32 pixels
    assert found["tlc"] == 256
    with pytest.raises(SystemExit, match="tlc=16: ResNet has no statistics"):
        start("eval", f"ckpt={generator}", "tlc=16", f"hydra.run.dir={tmp_path / 'none'}")


def test_a_checkpoints_own_data_may_lie_below_home(
    generator: Path,
    gopro: Path,
    tmp_path: Path,
    start: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "GOPRO_Large").symlink_to(gopro)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DEBLUR_DATA", "~/sets")  # as in a file of settings, which no shell expands
    loaded = load_generator(generator)
    recipe = {"data": "gopro", "blur": "pinned", "scalars": {"data.crop": 32}}
    save_generator(tmp_path / "it.safetensors", loaded.network, loaded.config, recipe)
    options = ["limit=1", "check=false", "unsharp=false", f"hydra.run.dir={tmp_path / 'out'}"]
    start("eval", f"ckpt={tmp_path / 'it.safetensors'}", *options)
    source = metrics(tmp_path / "out")["data"]["source"]
    assert source == str(tmp_path / "sets" / "GOPRO_Large")


def test_other_data_can_be_named(
    generator: Path, gopro: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    folder = f"hydra.run.dir={tmp_path / 'out'}"
    start(
        "eval",
        f"ckpt={generator}",
        *("data=gopro", f"data.root={gopro}", "data.crop=32", "limit=2", "check=false"),
        folder,
    )
    log = (tmp_path / "out" / "eval.log").read_text()
    assert log.startswith(f"data=gopro ({gopro}), test split, 2 images")
    assert metrics(tmp_path / "out")["data"]["check"] is None


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
    found = metrics(out)
    assert found["protocols"] == {} and len(found["times"]) == 3
    assert (out / "sheet.png").is_file() and (out / "report.html").is_file()
    assert "seconds" in (out / "table3.md").read_text()


@pytest.mark.parametrize(
    "recipe, message",
    [
        ({"scalars": {"data._target_": "os.system"}}, "sets 'data._target_'"),
        ({"scalars": {"data.dataset": {"_target_": "os.system"}}}, "expected a plain value"),
        ({"scalars": {"trainer.max_epochs": 1}}, "expected a setting of data or blur"),
        ({"scalars": {"data.crop=1 hydra.run.dir": 1}}, "expected a setting of data or blur"),
        ({"scalars": {"data.batch_size": "many"}}, "data.batch_size is 'many', expected int"),
        ({"scalars": {"data.root": ["${oc.env:HOME}"]}}, r"data.root is .*oc.env:HOME"),
        ({"scalars": {"blur.motion": "os.system"}}, "blur.motion is 'os.system', expected Motion"),
        ({"scalars": {"data.seeed": 1}}, "data.seeed is not a setting of DeblurData, did you"),
        ({"scalars": ["data.crop"]}, "expected a mapping"),
        ({"data": "../../tmp/evil"}, "expected a name in conf/data"),
        ({"data": ["photos"]}, "expected a name in conf/data"),
        ({"blur": "photos,hydra/launcher=evil"}, "expected a name in conf/blur"),
        ({"blur": "none"}, "blur=none does not exist, did you"),
    ],
)
def test_a_checkpoint_cannot_name_code_through_its_data(
    recipe: dict[str, Any],
    message: str,
    tmp_path: Path,
    start: Callable[..., None],
    generator: Path,
) -> None:
    loaded = load_generator(generator)
    evil = tmp_path / "evil.safetensors"
    save_generator(evil, loaded.network, loaded.config, {**loaded.data, **recipe})
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        start("eval", f"ckpt={evil}", f"hydra.run.dir={tmp_path}")


def test_a_checkpoint_fetches_no_data(
    tmp_path: Path, start: Callable[..., None], generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deblur.data.folder.fetch", lambda *_: pytest.fail("it was fetched"))
    loaded = load_generator(generator)
    root = tmp_path / "new"
    scalars = {"data.download": True, "data.root": str(root)}
    recipe = {"data": "kohler", "blur": "pinned", "scalars": scalars}
    save_generator(tmp_path / "it.safetensors", loaded.network, loaded.config, recipe)
    with pytest.raises(SystemExit, match="new: no such folder"):
        start("eval", f"ckpt={tmp_path / 'it.safetensors'}", f"hydra.run.dir={tmp_path}")
    assert not root.exists()


def test_a_missing_checkpoint_is_one_line(tmp_path: Path, start: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match="error: gone.ckpt"):
        start("eval", "ckpt=gone.ckpt", f"hydra.run.dir={tmp_path}")
