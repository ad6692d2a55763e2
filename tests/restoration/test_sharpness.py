import numpy as np
import pytest
import torch
from skimage.measure import blur_effect

from deblur.blur.light import soften
from deblur.restoration.noise import measure_noise
from deblur.restoration.sharpness import measure_blur, measure_sharpness

TEXTURE = torch.rand(2, 96, 128, generator=torch.Generator().manual_seed(0))


def test_blur_is_that_of_scikit_image() -> None:
    pictures = torch.stack([TEXTURE[0], soften(TEXTURE[1:], 2.0)[0]])
    expected = [blur_effect(picture) for picture in pictures.double().numpy()]
    np.testing.assert_allclose(measure_blur(pictures).numpy(), expected, atol=1e-5)


def test_sharpness_falls_with_blur_and_is_none_without_detail() -> None:
    sharpness = [measure_sharpness(soften(TEXTURE, sigma)) for sigma in (0.0, 0.7, 1.5, 3.0, 6.0)]
    assert sharpness == sorted(sharpness, reverse=True)
    assert 0.7 < sharpness[0] < 1 and sharpness[-1] < 0.3
    assert measure_sharpness(torch.full((1, 64, 64), 0.5)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("deviation", [0.0, 3.0, 6.0, 12.0])
def test_noise_is_measured_beside_detail(deviation: float) -> None:
    rng = np.random.default_rng(1)
    scene = np.full((256, 256), 120.0)
    scene[:, 128:] += 60 * (rng.random((256, 128)) > 0.5)  # half of it is texture
    noisy = (scene + rng.normal(0, deviation, scene.shape)).round().clip(0, 255)
    assert measure_noise(noisy.astype(np.uint8)) == pytest.approx(deviation, rel=0.15, abs=0.1)


def test_what_is_too_small_or_clipped_has_no_noise() -> None:
    assert measure_noise(np.zeros((20, 20), np.uint8)) == 0
    assert measure_noise(np.full((64, 64), 255, np.uint8)) == 0
