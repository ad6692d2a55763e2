import numpy as np
import pytest
import torch
from skimage.measure import blur_effect

from deblur.blur.light import soften
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
