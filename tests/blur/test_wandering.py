import numpy as np
import pytest
import torch

from deblur.blur.wandering import WanderingBlur, wander


def test_a_path_fills_its_extent() -> None:
    for seed in range(5):
        path = wander(np.random.default_rng(seed), 20, 0.3)
        assert max(np.ptp(path.real), np.ptp(path.imag)) == pytest.approx(20)


def test_a_short_memory_turns_more_often() -> None:
    def turned(memory: float) -> float:
        rngs = (np.random.default_rng(seed) for seed in range(20))
        steps = [np.diff(wander(rng, 20, memory)) for rng in rngs]
        return float(np.mean([np.abs(np.angle(one[1:] / one[:-1])).sum() for one in steps]))

    assert turned(0.1) > 2 * turned(1.0)


def test_a_flat_picture_stays_flat_and_kernels_fit_the_margin() -> None:
    blur = WanderingBlur(extent=[1, 12], memory=[0.05, 1])
    kernels = [blur.draw(np.random.default_rng(seed), (8, 8)) for seed in range(20)]
    side = 8 + 2 * blur.margin
    blurred, sharp = blur.expose(torch.full((20, 3, side, side), 0.5), kernels)
    assert blurred.shape == sharp.shape == (20, 3, 8, 8)
    assert torch.allclose(blurred, sharp, atol=1e-5)
