import pytest
import torch
from kornia.filters import gaussian_blur2d

from deblur.metrics.strength import blur_sigma

SHARP = torch.rand(1, 3, 96, 130, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("sigma", [0.7, 1.5, 3.0, 6.0])
def test_a_gaussian_is_its_own_nearest(sigma: float) -> None:
    size = 2 * round(4 * sigma) + 1
    blurred = gaussian_blur2d(SHARP, (size, size), (sigma, sigma))
    assert blur_sigma(blurred, SHARP) == pytest.approx(sigma, rel=0.06)


def test_no_blur_has_no_strength_even_under_noise() -> None:
    assert blur_sigma(SHARP, SHARP) == 0
    assert blur_sigma(SHARP + 0.1 * torch.randn(SHARP.shape), SHARP) == pytest.approx(0, abs=0.1)
