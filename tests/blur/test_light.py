import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deblur.blur.light import expose, soften, to_light, to_pixels, trim
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
    light = torch.rand(2, 3, 50, 61)
    kernel = torch.from_numpy(motion_kernel(trajectory(np.random.default_rng(2), 20, 0.01)))
    kernels = torch.stack([kernel, torch.rand(kernel.shape)])
    # conv2d correlates: turn the kernels round.
    expected = [
        F.conv2d(one[:, None], k.flip(0, 1)[None, None])[:, 0] for one, k in zip(light, kernels)
    ]
    assert torch.allclose(expose(light, kernels), torch.stack(expected), atol=1e-5)


def test_expose_refuses_a_kernel_larger_than_the_picture() -> None:
    with pytest.raises(ValueError, match="kernel of 9 pixels"):
        expose(torch.rand(1, 3, 8, 30), torch.ones(1, 9, 9) / 81)


def test_a_soft_lens_keeps_the_light_and_its_place() -> None:
    point = torch.zeros(3, 31, 31)
    point[:, 15, 15] = 1
    seen = soften(point, 1.5)
    assert float(seen.sum()) == pytest.approx(3, abs=1e-5)
    assert torch.allclose(seen, seen.flip(-1), atol=1e-7)
    # The variance along a row is sigma squared.
    row = seen[0].sum(0)
    assert float((row * (torch.arange(31) - 15) ** 2).sum()) == pytest.approx(1.5**2, rel=0.03)
    assert soften(point, 0.0) is point


def test_trim_cuts_every_side() -> None:
    assert trim(torch.rand(3, 9, 8), 2).shape == (3, 5, 4)
    assert trim(torch.rand(3, 9, 8), 0).shape == (3, 9, 8)
