import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.models import vgg16

from deblur.blur.camera import Camera
from deblur.blur.trajectory import TrajectoryBlur
from deblur.data.photos import Photos
from deblur.losses.content import VGG16, Charbonnier, Perceptual

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


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="layer must be one of relu1_2"):
        Perceptual(layer="relu9_9")
    with pytest.raises(FileNotFoundError, match="none.safetensors"):
        Perceptual(weights="none.safetensors")


def test_the_built_in_weights_are_the_ones_that_were_checked() -> None:
    weights = load_file(VGG16)
    assert float(weights["features.14.weight"].flatten()[0]) == pytest.approx(0.0024918285)
    assert float(weights["features.14.bias"][0]) == pytest.approx(0.035415243)
    assert all(np.isfinite(value.numpy()).all() for value in weights.values())
