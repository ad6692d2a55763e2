import math

import numpy as np
import pytest
from scipy.stats import sem, t

from deblur.evaluation.statistics import find_quantile, pool, summarize


def test_a_figure_is_summarized_over_images_and_scenes() -> None:
    found = summarize([1.0, 2.0, 3.0, 10.0], ["a", "a", "a", "b"])
    plain = {name: found[name] for name in ("highest", "lowest", "mean", "median", "scene_mean")}
    assert plain == {"highest": 10, "lowest": 1, "mean": 4, "median": 2.5, "scene_mean": 6}


def test_the_interval_of_one_image_a_scene_is_students() -> None:
    values = [1.0, 2.0, 4.0, 9.0]
    found = summarize(values, [*"abcd"])
    low, high = t.interval(0.95, 3, np.mean(values), sem(values))
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-3)


@pytest.mark.parametrize("freedom", [*range(1, 40), 1000])
def test_quantiles_are_students(freedom: int) -> None:
    assert find_quantile(freedom) == pytest.approx(t.ppf(0.975, freedom), abs=1e-3)


@pytest.mark.parametrize("count", [2, 4, 11])
def test_the_interval_covers_the_truth_as_often_as_it_says(count: int) -> None:
    """Scenes differ more than their images: single images would claim far too much."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        scenes = rng.normal(size=count)
        values = (scenes[:, None] + 0.1 * rng.normal(size=(count, 10))).flatten()
        found = summarize([*values], [str(i // 10) for i in range(10 * count)])
        covered += found["low"] <= 0 <= found["high"]
    assert 0.92 * 400 <= covered <= 0.98 * 400


@pytest.mark.parametrize(
    "values, scenes", [([1.0, 2.0], ["a", "a"]), ([1.0, math.inf], ["a", "b"])]
)
def test_there_is_no_interval_without_scenes_to_draw_from(
    values: list[float], scenes: list[str]
) -> None:
    found = summarize(values, scenes)
    assert "low" not in found and found["highest"] == values[1]


def test_the_pooled_psnr_weighs_pixels_and_errors() -> None:
    assert pool([20.0, 20.0], [10, 30]) == pytest.approx(20)
    assert pool([20.0, 40.0], [1, 1]) == pytest.approx(-10 * math.log10((0.01 + 0.0001) / 2))
    assert pool([10.0, math.inf], [1, 1]) == pytest.approx(10 + 10 * math.log10(2))
    assert pool([math.inf], [5]) == math.inf
