import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deblur.blur.camera import expose, to_light, to_pixels
from deblur.blur.trajectory import motion_kernel, trajectory

EVERY_VALUE = torch.arange(256, dtype=torch.uint8)


def test_the_srgb_curve_is_undone_exactly() -> None:
    assert torch.equal(to_pixels(to_light(EVERY_VALUE)), EVERY_VALUE)


def test_the_srgb_curve_has_its_published_values() -> None:
    light = to_light(EVERY_VALUE)
    assert light[[0, 255]].tolist() == [0.0, 1.0]
    assert float(light[10]) == pytest.approx(10 / 255 / 12.92)  # the linear part
    assert float(light[128]) == pytest.approx(0.2158605, abs=1e-6)


def test_light_beyond_white_is_clipped() -> None:
    assert to_pixels(torch.tensor([-0.5, 2.0])).tolist() == [0, 255]


def test_expose_is_a_convolution() -> None:
    light = torch.rand(3, 50, 61)
    kernel = torch.from_numpy(motion_kernel(trajectory(np.random.default_rng(2), 20, 0.01)))
    # conv2d correlates: turn the kernel round.
    expected = F.conv2d(light[:, None], kernel.flip(0, 1)[None, None])[:, 0]
    assert torch.allclose(expose(light, kernel), expected, atol=1e-6)


def test_expose_refuses_a_kernel_larger_than_the_picture() -> None:
    with pytest.raises(ValueError, match="kernel of 9 pixels"):
        expose(torch.rand(3, 8, 30), torch.ones(9, 9) / 81)
