import numpy as np
import pytest
import torch

from deblur.blur.scenes import Scene, in_bokeh, in_fog, under_sky

SCENES = [in_bokeh, in_fog, under_sky]


def detail(light: torch.Tensor) -> torch.Tensor:
    """Sum the differences of neighbours, by row."""
    return light.diff(dim=-1).abs().mean((0, 2))


@pytest.mark.parametrize("paint", SCENES)
def test_a_scene_is_a_function_of_its_generator(paint: Scene) -> None:
    light = torch.rand(3, 96, 128)
    first, again, other = (paint(light, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == light.shape and first.dtype == torch.float32
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert 0 <= first.min() and first.max() <= 1


def test_the_subject_before_bokeh_is_untouched() -> None:
    light = torch.rand(3, 96, 128)
    painted = in_bokeh(light, np.random.default_rng(3))
    same = (painted == light).all(0).float().mean()
    assert 0.05 < same < 0.45
    assert (painted - light).abs()[:, :8].mean() > 0.1


def test_fog_takes_contrast_and_no_sharpness() -> None:
    light = torch.rand(3, 96, 128)
    painted = in_fog(light, np.random.default_rng(3))
    share = detail(painted) / detail(light)
    assert share[0] < share[-1] < 1
    # Each row is the sharp one, scaled: its differences are.
    row, given = painted[0, 5].diff(), light[0, 5].diff()
    torch.testing.assert_close(row / row.abs().max(), given / given.abs().max(), atol=1e-4, rtol=0)


def test_under_a_sky_the_land_is_untouched() -> None:
    light = torch.rand(3, 96, 128)
    painted = under_sky(light, np.random.default_rng(3))
    assert torch.equal(painted[:, 80:], light[:, 80:])
    assert detail(painted)[:40].max() < 0.01
