import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import fill as fill_values

from deblur.checkpoints import fill, load_generator, own, save_generator
from deblur.hardware import place
from deblur.networks import FPN, ResNet

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
    with pytest.raises(ValueError, match="damaged: its weights are not those of its digest"):
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

    monkeypatch.setattr(own, "save_file", fail)
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
    with pytest.raises(ValueError, match="does not fit the configured generator"):
        fill(ResNet(blocks=2, width=4), saved)


@pytest.mark.parametrize("target", ["os.system", "deblur.networks.resnet.nn.Module", "ResNet", ""])
def test_only_our_networks_are_built(tmp_path: Path, target: str) -> None:
    path = tmp_path / "evil.safetensors"
    save_generator(path, ResNet(blocks=1, width=4), {"_target_": target}, {})
    with pytest.raises(ValueError, match="expected one of deblur.networks"):
        load_generator(path)


def test_a_malicious_pickle_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    path = tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps({"generator": Evil()}))
    with pytest.raises(ValueError, match="evil.ckpt: not a checkpoint that can be read safely"):
        load_generator(path)
    assert not (tmp_path / "ran").exists()


def test_files_that_are_no_checkpoints_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.ckpt: no such file"):
        load_generator(tmp_path / "none.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="does not say what its generator is"):
        load_generator(tmp_path / "other.ckpt")
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="bad.safetensors: not a safetensors file"):
        load_generator(tmp_path / "bad.safetensors")


def test_a_backbones_own_weights_are_not_fetched_again(tmp_path: Path) -> None:
    config = {"_target_": "deblur.networks.FPN", "weights": "torchvision"}
    network = FPN(zero_last=False)
    save_generator(tmp_path / "fpn.safetensors", network, config, {})
    loaded = load_generator(tmp_path / "fpn.safetensors").network
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
