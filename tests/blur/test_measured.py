import numpy as np
import pytest
import torch

from deblur.blur.labelled import measure
from deblur.blur.measured import Measured, MeasuredBlur


@pytest.mark.parametrize("direction", [0.0, 40.0, 135.0])
def test_blur_has_about_the_length_and_direction_that_were_measured(direction: float) -> None:
    blur = MeasuredBlur(measured=[Measured(20, direction)])
    rng = np.random.default_rng(0)
    drawn = [measure(blur.draw(rng, (32, 32))) for _ in range(60)]
    moved = [one for one in drawn if one.length > 2]
    assert 0.7 < len(moved) / len(drawn) < 1  # some stay sharp
    assert 16 < np.median([one.length for one in moved]) < 22
    apart = np.array([(one.direction - direction + 90) % 180 - 90 for one in moved])
    assert abs(np.median(apart)) < 8 and np.abs(apart).max() < 45


def test_all_kernels_fit_the_margin() -> None:
    blur = MeasuredBlur(measured=[Measured(6, 0), Measured(11, 90)])
    rng = np.random.default_rng(0)
    light = torch.rand(40, 3, 8 + 2 * blur.margin, 8 + 2 * blur.margin)
    blurred, sharp = blur.expose(light, [blur.draw(rng, (8, 8)) for _ in light])
    assert blurred.shape == sharp.shape == (40, 3, 8, 8)


@pytest.mark.parametrize("lengths", [[], [0.0], [1e9]])
def test_lengths_that_cannot_be_are_refused(lengths: list[float]) -> None:
    with pytest.raises(ValueError, match="measured"):
        MeasuredBlur(measured=[Measured(length, 0) for length in lengths])
