from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.models import vgg16

from deblur.blur.camera import Camera
from deblur.blur.trajectory import TrajectoryBlur
from deblur.data.photos import Photos
from deblur.losses.content import (
    VGG16,
    Charbonnier,
    FrequencyL1,
    MultiScale,
    Perceptual,
    PSNRLoss,
    halve,
)

IMAGES = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture(scope="module")
def perceptual() -> Perceptual:
    return Perceptual()


def test_charbonnier_by_hand() -> None:
    restored, sharp = torch.tensor([0.3, 0.0]), torch.tensor([0.0, 0.0])
    assert Charbonnier(eps=0.4)(restored, sharp).item() == pytest.approx((0.5 + 0.4) / 2)


def test_perceptual_times_scale_squared_is_equation_2(perceptual: Perceptual) -> None:
    restored, sharp = IMAGES
    features = vgg16(weights=None).features[:16].eval()
    weights = {k.removeprefix("features."): v for k, v in load_file(VGG16).items()}
    features.load_state_dict(weights)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    phi = [features(((image + 1) / 2 - mean) / std) for image in (restored, sharp)]
    equation_2 = ((phi[0] - phi[1]) ** 2).mean()
    assert torch.allclose(perceptual(restored, sharp) * perceptual.scale**2, equation_2, rtol=1e-5)


def test_the_scale_is_the_features_rms_on_training_photos(perceptual: Perceptual) -> None:
    still = Camera(motion=TrajectoryBlur(length=0, anxiety=0))
    data = Photos(root=None, split="train", crop=256, seed=0, blur=still, size=12, held_out={})
    with torch.no_grad():
        squares = [perceptual.embed(data[0, i].sharp[None]).square().mean() for i in range(12)]
    assert float(torch.stack(squares).mean().sqrt()) == pytest.approx(perceptual.scale, rel=0.1)


def test_equal_images_cost_nothing(perceptual: Perceptual) -> None:
    assert perceptual(IMAGES[0], IMAGES[0]).item() == 0
    assert Charbonnier()(IMAGES[0], IMAGES[0]).item() == pytest.approx(1e-3)


def test_the_whole_batch_is_treated_alike(perceptual: Perceptual) -> None:
    restored, sharp = IMAGES
    alone = [perceptual(restored[i : i + 1], sharp[i : i + 1]) for i in range(2)]
    assert torch.allclose(perceptual(restored, sharp), torch.stack(alone).mean(), rtol=1e-5)
    assert torch.allclose(perceptual(restored, sharp), perceptual(restored.flip(0), sharp.flip(0)))


def test_the_features_are_frozen_and_not_saved(perceptual: Perceptual) -> None:
    restored = IMAGES[0].clone().requires_grad_()
    perceptual(restored, IMAGES[1]).backward()
    assert restored.grad is not None and restored.grad.abs().sum() > 0
    assert [*perceptual.parameters()] == []
    assert perceptual.state_dict() == {}


def test_other_weights_come_from_a_file(tmp_path: object) -> None:
    path = f"{tmp_path}/mine.safetensors"
    weights = {
        name: value for name, value in load_file(VGG16).items() if int(name.split(".")[1]) < 8
    }
    save_file(weights, path, {"relu2_2_rms": "7.5"})
    assert Perceptual(layer="relu2_2", weights=path).scale == 7.5
    assert Perceptual(layer="relu2_2", weights=path, scale=2.0).scale == 2.0
    with pytest.raises(ValueError, match="lacks features.10"):
        Perceptual(layer="relu3_3", weights=path)
    Path(path).write_bytes(b"Dear Sir")
    with pytest.raises(ValueError, match=f"{path}: not a safetensors file"):
        Perceptual(weights=path)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="relu9_9.*vgg16: relu1_2"):
        Perceptual(layer="relu9_9")
    with pytest.raises(FileNotFoundError, match="none.safetensors"):
        Perceptual(weights="none.safetensors")


def test_the_built_in_weights_are_the_ones_that_were_checked() -> None:
    weights = load_file(VGG16)
    assert float(weights["features.14.weight"].flatten()[0]) == pytest.approx(0.0024918285)
    assert float(weights["features.14.bias"][0]) == pytest.approx(0.035415243)
    assert all(np.isfinite(value.numpy()).all() for value in weights.values())


def test_minus_the_psnr_by_hand() -> None:
    sharp = torch.zeros(2, 3, 4, 4)
    restored = sharp + torch.tensor([0.2, 0.02]).view(2, 1, 1, 1)  # 0.1 and 0.01 of [0, 1]
    assert PSNRLoss()(restored, sharp).item() == pytest.approx(-(20 + 40) / 2, abs=1e-3)
    assert PSNRLoss()(sharp, sharp).item() == pytest.approx(-80)


def test_the_frequency_loss_is_numpys() -> None:
    restored, sharp = torch.rand(2, 2, 3, 6, 7) * 2 - 1
    change = np.fft.rfft2((restored - sharp).numpy(), norm="ortho")
    expected = (np.abs(change.real).mean() + np.abs(change.imag).mean()) / 2
    assert FrequencyL1()(restored, sharp).item() == pytest.approx(expected, rel=1e-5)


def test_the_multi_scale_loss_averages_sizes() -> None:
    restored, sharp = torch.rand(2, 1, 3, 8, 12) * 2 - 1
    loss = MultiScale(loss=nn.L1Loss(), scales=2)(restored, sharp).item()
    small = (restored - sharp).unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2)).abs().mean()
    assert loss == pytest.approx(((restored - sharp).abs().mean() + small).item() / 2, rel=1e-5)
    with pytest.raises(ValueError, match="scales"):
        MultiScale(loss=nn.L1Loss(), scales=0)


def test_halving_rounds_up_and_keeps_a_constant() -> None:
    assert torch.equal(halve(torch.ones(1, 3, 5, 7)), torch.ones(1, 3, 3, 4))


def test_vgg19_wants_weights_and_takes_a_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="model/content=vgg16"):
        Perceptual(network="vgg19", layer="conv3_3")
    loss = Perceptual(network="vgg19", layer="conv3_3", weights="random")
    assert len(loss.features) == 15 and isinstance(loss.features[-1], nn.Conv2d)
    weights = {f"features.{name}": value for name, value in loss.features.named_buffers()}
    save_file(weights, tmp_path / "vgg19.safetensors")
    read = Perceptual(network="vgg19", layer="conv3_3", weights=str(tmp_path / "vgg19.safetensors"))
    images = torch.rand(2, 1, 3, 16, 16) * 2 - 1
    assert torch.equal(read(*images), loss(*images))


def test_images_can_go_in_as_they_are() -> None:
    plain = Perceptual(weights="random", normalize=False)
    image = torch.rand(1, 3, 16, 16) * 2 - 1
    assert torch.equal(plain.embed(image), plain.features(image))
