import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY, fill, smallest
from hydra import initialize_config_dir
from imitations import write
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import nn

from deblur.checkpoints import load_generator, save_generator
from deblur.networks import MAXIM, ResUNet

GOLDEN = Path(__file__).parent / "expected" / "train_log.json"


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    return found


def scalars(folder: Path) -> dict[str, list[float]]:
    found = events(folder)
    return {tag: [s.value for s in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_two_epochs_match_the_golden_log(trained: Path) -> None:
    """GENERATE_EXPECTED=1 rewrites the log, after a change that is meant to change numbers."""
    found = {
        name: values
        for name, values in scalars(trained).items()
        if name != "epoch" and not name.startswith("time/")
    }
    if os.environ.get("GENERATE_EXPECTED"):
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    expected = json.loads(GOLDEN.read_text())
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-3, abs=1e-6), name


def test_tensorboard_shows_every_loss_and_the_pictures(trained: Path) -> None:
    found = events(trained)
    assert {
        "train/charbonnier",
        "train/perceptual",
        "train/adversarial",
        "train/adversarial_share",
        "train/discriminator",
        "train/score_sharp",
        "train/score_restored",
        "lr/generator",
        "lr/discriminator",
        "val/psnr",
        "val/ssim",
        "val/blur_psnr",
        "val/blur_ssim",
        "val/change",
    } <= set(found.Tags()["scalars"])
    strips = found.Images("val/blur_restored_sharp")
    assert [strip.step for strip in strips] == [s.step for s in found.Scalars("val/psnr")]
    assert (strips[0].width, strips[0].height) == (3 * 36, 2 * 36)
    first, last = (
        np.asarray(Image.open(BytesIO(strip.encoded_image_string)))
        for strip in (strips[0], strips[-1])
    )
    for column in (0, 2):  # blurred and sharp: the same samples each time
        assert np.array_equal(
            *(picture[:, 36 * column : 36 * column + 32] for picture in (first, last))
        )


def test_tensorboard_says_what_the_run_is(trained: Path) -> None:
    found = events(trained)
    tags = found.Tags()
    assert {"time/batch", "time/loading", "time/epoch"} <= set(tags["scalars"])
    texts = {
        name: found.Tensors(f"{name}/text_summary")[0].tensor_proto.string_val[0].decode()
        for name in ("table2", "config")
    }
    assert "| discriminator | 6 |" in texts["table2"]
    assert "lr: 0.005" in texts["config"] and f"run_dir: {trained}" in texts["config"]


def test_the_step_is_the_number_of_batches(trained: Path) -> None:
    """Two optimizers step in each batch, and a step a batch is what can be compared."""
    found = events(trained)
    assert [s.step for s in found.Scalars("train/discriminator")] == [0, 1, 2, 3]
    assert [s.step for s in found.Scalars("val/psnr")] == [1, 3]


def test_the_tab_of_hyperparameters_has_settings_and_the_final_figures(trained: Path) -> None:
    metadata = events(trained).summary_metadata
    content = metadata["_hparams_/session_start_info"].plugin_data.content
    start = HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["model.lr"].number_value == 0.005
    assert start.hparams["experiment"].string_value == "quick"
    assert start.hparams["model.generator.width"].number_value == 4  # was overridden
    assert not any("trainer" in name or "run_dir" in name for name in start.hparams)
    final, curve = (scalars(trained)[name] for name in ("final/val/psnr", "val/psnr"))
    assert final == [curve[-1]]
    assert scalars(trained)["best/val/psnr"] == [max(curve)]


def test_the_same_scalars_are_in_a_csv_file(trained: Path) -> None:
    with open(trained / "csv" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("val/psnr", "train/charbonnier"):
        values = [float(row[name]) for row in rows if row[name]]
        assert values == pytest.approx(scalars(trained)[name], rel=1e-5)


def test_histograms_are_written_on_request(
    trained: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    assert not events(trained).Tags()["histograms"]
    start("train", *TINY, "histograms=2", f"hydra.run.dir={tmp_path}")
    found = events(tmp_path)
    tags = found.Tags()["histograms"]
    weights = {tag.removeprefix("weights/") for tag in tags if tag.startswith("weights/")}
    gradients = {tag.removeprefix("gradients/") for tag in tags if tag.startswith("gradients/")}
    assert weights == gradients and any("generator" in name for name in weights)
    assert len(found.Histograms(tags[0])) == 1


def test_a_run_leaves_checkpoints_config_and_weights(trained: Path) -> None:
    names = {path.name for path in (trained / "checkpoints").iterdir()}
    assert names == {"best.ckpt", "last.ckpt", "previous.ckpt"}
    assert (trained / ".hydra" / "config.yaml").is_file()
    best, exported = (
        load_generator(trained / name)
        for name in ("checkpoints/best.ckpt", "generator.safetensors")
    )
    for name, value in best.network.state_dict().items():
        assert torch.equal(exported.network.state_dict()[name], value)


def test_a_checkpoint_says_what_it_was_trained_on(trained: Path) -> None:
    recipe = load_generator(trained / "checkpoints/last.ckpt").data
    assert (recipe["data"], recipe["blur"]) == ("photos", "pinned")
    assert recipe["scalars"]["data.crop"] == 32
    assert recipe["scalars"]["blur.motion.length"] == 9
    assert "blur.motion.anxiety" not in recipe["scalars"]  # as in conf/blur/pinned.yaml
    assert not any("_target_" in key or "seed" in key for key in recipe["scalars"])


def test_a_run_starts_with_table_2_and_an_estimate(trained: Path) -> None:
    log = (trained / "train.log").read_text()
    assert "| generator |" in log and "| discriminator | 6 |" in log
    assert "2 epochs of 2 batches, 4 batches to go: about" in log
    assert "precision" not in log  # it was given


def test_training_goes_on_from_a_checkpoint(
    trained: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    last = trained / "checkpoints" / "last.ckpt"
    more = [*TINY, "trainer.max_epochs=3", f"ckpt={last}", f"hydra.run.dir={tmp_path}"]
    start("train", *more)
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["epoch"] == 3
    # One of five decay epochs is left, by the new number of epochs.
    assert scalars(tmp_path)["lr/generator"] == pytest.approx([1e-3, 1e-3])


def test_training_can_start_from_a_generators_weights(
    trained: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    weights = trained / "generator.safetensors"
    frozen = ["model.lr=1e-30", "trainer.max_epochs=1"]
    start("train", *TINY, *frozen, f"init={weights}", f"hydra.run.dir={tmp_path}")
    old, new = (load_generator(f / "generator.safetensors").network for f in (trained, tmp_path))
    for before, after in zip(old.parameters(), new.parameters(), strict=True):
        assert torch.equal(before, after)


def test_the_parts_of_a_network_can_start_from_different_files(
    tmp_path: Path, start: Callable[..., None]
) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        settings = smallest("fast")
    data = ["data=photos", "blur=pinned", "data.crop=64", "data.batch_size=2"]
    data += ["data.dataset.size=2", "data.dataset.held_out={crop: 64, val: 2, test: 2}"]
    parts: dict[str, nn.Module] = {
        "coarse": MAXIM(stages=1, width=4),
        "fine": ResUNet(width=4, encoder=[1, 1], decoder=[1, 1]),
    }
    for name, part in parts.items():
        save_generator(tmp_path / f"{name}.safetensors", fill(part))
    init = ", ".join(f"{name}: {tmp_path / name}.safetensors" for name in parts)
    run = ["model.lr=1e-30", "trainer.max_epochs=1", "trainer=cpu", "trainer.precision=32-true"]
    start("train", *settings, *data, *run, f"init={{{init}}}", f"hydra.run.dir={tmp_path / 'run'}")
    network: Any = load_generator(tmp_path / "run" / "generator.safetensors").network
    for name, part in parts.items():
        for before, after in zip(part.parameters(), getattr(network, name).parameters()):
            assert torch.equal(before, after)


def test_a_sweep_of_no_experiment_starts_no_job(tmp_path: Path, start: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match="^error: .*experiment=NAME"):
        start("train", "-m", "model.lr=1e-4,1e-3", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert not [*tmp_path.iterdir()]


def test_a_sweep_gives_each_job_a_folder(tmp_path: Path, start: Callable[..., None]) -> None:
    rates = "model.lr=1e-4,1e-3"
    start(
        "train",
        "-m",
        *TINY,
        "trainer.max_epochs=1",
        "model.schedule.decay_epochs=0",
        rates,
        f"hydra.sweep.dir={tmp_path}",
    )
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["quick-0", "quick-1"]
    first, second = (scalars(tmp_path / f"quick-{job}")["lr/generator"][0] for job in range(2))
    assert (first, second) == pytest.approx((1e-4, 1e-3))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "error: no experiment was chosen: type experiment=NAME, one of deblurgan, "),
        (["ckpt=a.ckpt"], "error: ckpt=a.ckpt is no checkpoint of a run in "),
        (["experiment=paper", "data.root=nowhere"], "error: nowhere: no such folder; expected"),
        (["experiment=quick", "seed=abc"], "error: seed is 'abc', expected int"),
        (["experiment=quick", "trainer=mps"], "device=mps, but this machine has only"),
        (["experiment=quick", "data.crop=40"], "crop must be a multiple of 16, got 40"),
        (["experiment=quick", "model.weights.tv=1"], "model.weights.tv is not a setting"),
        (["experiment=quick", "+model.weights.tv=1"], "weights are for ['adversarial'"),
        (["experiment=quick", "+batch_size=4"], "did you mean data.batch_size?"),
        (["experiment=quick", "+epochs=3"], "did you mean trainer.max_epochs?"),
        (
            ["experiment=quick", "model.generator=unet"],
            "expected a mapping; type model/generator=unet",
        ),
        (
            ["experiment=quick", "data=folder", "data.root=x"],
            "error: data.dataset.size: set by experiment=quick, but the class chosen",
        ),
        (
            ["experiment=quick", "model/generator=unet"],
            "add ~model.generator.blocks ~model.generator.dropout",
        ),
        (
            ["experiment=quick", "data=folder", "~data.dataset.size", "data.root=null"],
            "error: data: root is null, expected a folder",
        ),
        (["experiment=paper", "data.root=null"], "error: data: root is null, expected a folder"),
        (["experiment=quick", "init=none.ckpt"], "error: none.ckpt: no such file"),
        (["experiment=quick", "init={tail: small}"], "ResNet has no part tail, expected one of"),
        (["experiment=quick", "ckpt=none.ckpt"], "error: none.ckpt: no such file"),
    ],
)
def test_a_mistake_gives_one_clear_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    start: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        start("train", *arguments, f"hydra.run.dir={tmp_path}")
    said = f"error: {stop.value.code}" if isinstance(stop.value.code, str) else ""
    assert message in said + capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_a_slip_in_an_experiment_is_told_as_one(tmp_path: Path, start: Callable[..., None]) -> None:
    """Nothing else was chosen, so nothing is to be left out."""
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\ndefaults: [quick]\nmodel: {generator: {wdth: 4}}\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    with pytest.raises(SystemExit, match="wdth is not a setting of ResNet, did you mean .*width"):
        run = f"hydra.run.dir={tmp_path / 'run'}"
        start("train", "--config-dir", str(tmp_path), "experiment=mine", run)


@pytest.mark.slow
def test_ctrl_c_saves_a_checkpoint_first(tmp_path: Path) -> None:
    command = [sys.executable, "train.py", *TINY, "trainer.max_epochs=9999"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process: Any = subprocess.Popen(
        [*command, f"hydra.run.dir={tmp_path}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore the signal, and hand that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert "epoch 1/9999" in next(line for line in process.stdout if line.startswith("epoch"))
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGINT
    finally:
        process.kill()
    last = tmp_path / "checkpoints" / "last.ckpt"
    load_generator(last)
    # A step's worth more than at the end of the last epoch, unless that is where it was stopped.
    assert torch.load(last, weights_only=True)["global_step"] >= 4


def test_losses_are_also_read_as_numbers(trained: Path) -> None:
    share = scalars(trained)["train/adversarial_share"]
    assert all(0 < value < 1 for value in share)


def test_blur_made_on_the_device_changes_nothing(
    trained: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    start("train", *TINY, "data.blur_on=device", f"hydra.run.dir={tmp_path}")
    loader, device = (
        load_generator(f / "generator.safetensors").network.state_dict()
        for f in (trained, tmp_path)
    )
    assert all(torch.equal(loader[name], device[name]) for name in loader)


def test_mixed_data_trains_and_is_evaluated(tmp_path: Path, start: Callable[..., None]) -> None:
    write("gopro", tmp_path / "gopro")
    rows = "set,scene,frame,split\ngopro,GOPR0372_07_00,000047,train\n"
    rows += "gopro,GOPR0374_11_00,000048,val\n"
    (tmp_path / "list.csv").write_text(rows)
    mixed = [
        "data=mixed",
        f"data.dataset.roots.gopro={tmp_path / 'gopro'}",
        f"data.dataset.listed={tmp_path / 'list.csv'}",
        "data.dataset.shares={photos: 1, gopro: 1, reds: 0}",
        "data.blur_on=device",
    ]
    start("train", *TINY, *mixed, f"hydra.run.dir={tmp_path / 'run'}")
    found = tmp_path / "run" / "generator.safetensors"
    start("eval", f"ckpt={found}", "unsharp=false", f"hydra.run.dir={tmp_path / 'eval'}")
    assert (tmp_path / "eval" / "metrics.json").is_file()
