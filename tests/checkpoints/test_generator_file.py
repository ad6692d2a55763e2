import json
import pickle
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from conftest import fill as fill_values
from safetensors import safe_open
from safetensors.torch import save
from torch import nn
from torch.utils.data import DataLoader

from deblur.checkpoints import fill, generator_file, load_generator, save_generator
from deblur.checkpoints.safetensors_file import digest
from deblur.hardware import place
from deblur.losses import Charbonnier
from deblur.networks import FPN, MAXIM, CoarseToFine, ResNet
from deblur.networks.arguments import find_config
from deblur.pair import Pair
from deblur.training.gan import DeblurGAN

CONFIG = {"_target_": "deblur.networks.ResNet", "blocks": 1, "width": 4}
DATA = {"data": "photos", "blur": "trajectory", "scalars": {"data.crop": 64}}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "a=b, [c].safetensors"
    save_generator(path, ResNet(blocks=1, width=4), CONFIG, DATA)
    return path


def test_a_generator_comes_back_as_it_was_saved(saved: Path) -> None:
    first, again = load_generator(saved), load_generator(saved)
    assert (first.config, first.data) == (CONFIG, DATA)
    assert not first.network.training
    blur = torch.rand(1, 3, 16, 16)
    assert torch.equal(first.network(blur), again.network(blur))


def test_a_damaged_file_is_told_by_its_digest(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-5] ^= 1
    saved.write_bytes(content)
    with pytest.raises(ValueError, match="digest"):
        load_generator(saved)


def test_half_precision_is_for_the_file_alone(tmp_path: Path) -> None:
    network = fill_values(ResNet(blocks=1, width=4))
    path = tmp_path / "half.safetensors"
    save_generator(path, network, CONFIG, {}, {"license": "CC0"}, precision=torch.float16)
    loaded = load_generator(path)
    assert loaded.about["license"] == "CC0" and len(loaded.about["digest"]) == 64
    for name, value in loaded.network.state_dict().items():
        wanted = network.state_dict()[name]
        assert value.dtype == wanted.dtype
        torch.testing.assert_close(value, wanted.half().to(wanted.dtype))


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(generator_file, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        save_generator(tmp_path / "g.safetensors", ResNet(blocks=1, width=4), CONFIG, {})
    assert not [*tmp_path.iterdir()]


def test_channels_last_weights_are_saved_too(tmp_path: Path) -> None:
    network = place(ResNet(blocks=1, width=4), torch.device("cpu"))
    save_generator(tmp_path / "g.safetensors", network, CONFIG, {})
    loaded = load_generator(tmp_path / "g.safetensors").network
    assert torch.equal(loaded.state_dict()["layers.1.weight"], network.layers[1].weight)


def test_a_runs_checkpoint_is_read_safely(trained: Path) -> None:
    path = trained / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    generator = load_generator(path)
    for name, value in generator.network.state_dict().items():
        assert torch.equal(value, checkpoint["state_dict"][f"generator.{name}"])
    assert not any("perceptual" in name for name in checkpoint["state_dict"])


def test_another_configs_weights_do_not_fit(saved: Path) -> None:
    fill(ResNet(blocks=1, width=4), saved)
    with pytest.raises(ValueError, match="does not fit"):
        fill(ResNet(blocks=2, width=4), saved)


def test_weights_for_another_padding_are_told(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(ResNet(blocks=1, width=4, dropout=0.1, zero_last=True), saved)
    assert not caplog.messages
    fill(ResNet(blocks=1, width=4, padding="same"), saved)
    told = f"{saved}: was trained with padding=symmetric, and is now used with same"
    assert caplog.messages == [told]


@pytest.mark.parametrize("target", ["os.system", "deblur.networks.resnet.nn.Module", "ResNet", ""])
def test_only_our_networks_are_built(tmp_path: Path, target: str) -> None:
    path = tmp_path / "evil.safetensors"
    save_generator(path, ResNet(blocks=1, width=4), {"_target_": target}, {})
    with pytest.raises(ValueError, match="deblur.networks"):
        load_generator(path)


def test_a_malicious_pickle_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    path = tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps({"generator": Evil()}))
    with pytest.raises(ValueError, match="evil.ckpt"):
        load_generator(path)
    assert not (tmp_path / "ran").exists()


def test_files_that_are_no_checkpoints_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.ckpt"):
        load_generator(tmp_path / "none.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="generator"):
        load_generator(tmp_path / "other.ckpt")
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="bad.safetensors"):
        load_generator(tmp_path / "bad.safetensors")


@pytest.mark.parametrize(
    "content", [b"# Cases\n\nSome text.\n", b"\x80\x02]q\x00X", b"", b"\x08\x08", b"\x80"]
)
def test_no_advice_of_pytorch_is_passed_on(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cases.md"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cases.md") as caught:
        load_generator(path)
    told = str(caught.value)
    assert "\n" not in told and "weights_only" not in told and "torch.load" not in told


def test_what_a_malicious_file_names_is_told_without_advice(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "evil.ckpt"
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps({"generator": Path}, protocol))
        with pytest.raises(ValueError, match="evil.ckpt") as caught:
            load_generator(path)
        assert "safe_globals" not in str(caught.value)
    assert not recwarn.list


def test_a_backbones_own_weights_are_not_fetched_again(tmp_path: Path) -> None:
    config = {"_target_": "deblur.networks.FPN", "weights": "torchvision"}
    network = FPN(zero_last=False)
    save_generator(tmp_path / "fpn.safetensors", network, config, {})
    loaded = load_generator(tmp_path / "fpn.safetensors").network
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_what_a_network_was_built_with_need_not_be_named(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    network = fill_values(ResNet(blocks=1, width=4))
    save_generator(path, network)
    loaded = load_generator(path)
    assert loaded.config["blocks"] == 1 and loaded.data == {}
    assert torch.equal(loaded.network.state_dict()["layers.1.weight"], network.layers[1].weight)
    with pytest.raises(ValueError, match="config"):
        save_generator(path, nn.Conv2d(3, 3, 1))


@pytest.mark.parametrize("average", [None, 0.5])
@pytest.mark.parametrize("weights_only", [False, True])
def test_a_checkpoint_of_a_plain_trainer_is_read(
    tmp_path: Path, average: float | None, weights_only: bool
) -> None:
    model = train(tmp_path / "plain.ckpt", ResNet(blocks=1, width=4), weights_only, average)
    loaded = load_generator(tmp_path / "plain.ckpt")
    assert loaded.config["_target_"] == "deblur.networks.ResNet" and loaded.config["width"] == 4
    trained = model.generator if model.average is None else model.average.module
    for name, value in loaded.network.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name])


def test_a_checkpoint_of_a_strange_network_says_what_it_lacks(tmp_path: Path) -> None:
    train(tmp_path / "plain.ckpt", nn.Conv2d(3, 3, 1))
    with pytest.raises(ValueError, match="plain.ckpt"):
        load_generator(tmp_path / "plain.ckpt")


def train(
    path: Path, generator: nn.Module, weights_only: bool = False, average: float | None = None
) -> DeblurGAN:
    """Train by Lightning alone, without the callbacks of a run, and save a checkpoint."""
    model = DeblurGAN(
        generator=generator,
        discriminator=None,
        adversarial=None,
        content={"charbonnier": Charbonnier()},
        weights={"charbonnier": 1.0},
        optimizer=torch.optim.SGD,
        lr=0.1,
        seed=0,
        average=average,
    )
    silent = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        default_root_dir=path.parent,
        **dict.fromkeys(silent, False),
    )
    pair = Pair(torch.rand(3, 16, 16), torch.rand(3, 16, 16), "noise")
    trainer.fit(model, DataLoader([pair, pair], batch_size=2))
    trainer.save_checkpoint(path, weights_only=weights_only)
    return model


def test_a_part_can_be_another_file_of_the_folder(tmp_path: Path) -> None:
    tiny: dict[str, Any] = {"groups": 1, "bottlenecks": 1, "encoder": [1], "decoder": [1]}
    network = fill_values(CoarseToFine(coarse_width=4, width=4, middle=1, **tiny))
    shared, path = tmp_path / "shared.safetensors", tmp_path / "whole.safetensors"
    assert isinstance(network, CoarseToFine)
    save_generator(shared, network.coarse)
    save_generator(path, network)
    whole = path.read_bytes()
    with safe_open(path, "pt") as file:
        keys = [key for key in file.keys() if not key.startswith("coarse.")]
        weights = {key: file.get_tensor(key).clone() for key in keys}  # the file will be changed
        metadata = {**file.metadata(), "digest": digest(weights)}

    def write(**told: str) -> None:
        parts = json.dumps({"coarse": told})
        path.write_bytes(save(weights, {**metadata, "parts": parts}))

    write(file="shared", digest=load_generator(shared).about["digest"])
    assert path.stat().st_size < len(whole)
    model = load_generator(path)
    assert "parts" not in model.about
    for name, value in network.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], value)
    for told, message in (
        ({"file": "shared", "digest": "other"}, "its part coarse is not what"),
        ({"file": "shared"}, "no file and digest"),
        ({"file": "../../none", "digest": ""}, "none.safetensors, which does not exist"),
    ):
        write(**told)
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            load_generator(path)


def test_what_a_file_does_not_have_can_be_anothers(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"groups": 1, "bottlenecks": 1, "width": 4}
    deep, first = (fill_values(MAXIM(stages=stages, **settings)) for stages in (2, 1))
    for value in first.parameters():
        value.data += 1
    save_generator(tmp_path / "deep.safetensors", deep)
    told = load_generator(tmp_path / "deep.safetensors").about
    other = {"file": "deep", "digest": told["digest"]}
    path = tmp_path / "first.safetensors"
    about = {"parts": json.dumps({"": other}), "stages": "1"}
    save_generator(path, first, find_config(deep), about=about)
    both = load_generator(path, stages=2).network.state_dict()
    for name, value in deep.state_dict().items():
        own = first.state_dict().get(name, value)
        assert torch.equal(both[name], own)
    assert load_generator(path).network.state_dict().keys() == first.state_dict().keys()
