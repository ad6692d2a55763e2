import numpy as np
import pytest
import torch

from deblur.blur.defocus import Defocus, disc


@pytest.mark.parametrize("radius", [0.0, 0.3, 1.0, 4.5, 12.0])
def test_a_disc_is_round_of_sum_one_and_of_its_radius(radius: float) -> None:
    kernel = disc(radius)
    assert len(kernel) % 2 == 1 and kernel.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(kernel, kernel.T)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)
    # Its middle is one over its area.
    if radius >= 1:
        assert kernel.max() == pytest.approx(1 / (np.pi * radius**2), rel=0.05)
    else:
        assert (kernel > 0).sum() == 1


def test_defocus_smears_a_point_to_a_disc() -> None:
    motion = Defocus(radius=3)
    side = 21 + 2 * motion.margin
    light = torch.zeros(1, 3, side, side)
    light[..., side // 2, side // 2] = 1
    plan = motion.draw(np.random.default_rng(0), (21, 21))
    blurred, sharp = motion.expose(light, [plan])
    assert blurred.shape == sharp.shape == (1, 3, 21, 21)
    reach = len(plan) // 2
    cut = blurred[0, 0, 10 - reach : 11 + reach, 10 - reach : 11 + reach]
    np.testing.assert_allclose(cut.numpy(), plan, atol=1e-6)
    assert sharp[0, 0, 10, 10] == 1


def test_a_radius_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="radius"):
        Defocus(radius=(4, 2))
