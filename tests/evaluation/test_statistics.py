import math

import numpy as np
import pytest

from deblur.evaluation.statistics import pool, summarize


def test_a_figure_is_summarized_over_images_and_scenes() -> None:
    found = summarize([1.0, 2.0, 3.0, 10.0], ["a", "a", "a", "b"])
    plain = {name: found[name] for name in ("highest", "lowest", "mean", "median", "scene_mean")}
    assert plain == {"highest": 10, "lowest": 1, "mean": 4, "median": 2.5, "scene_mean": 6}
    assert (found["low"], found["high"]) == (2, 10)  # of two scenes either may be drawn twice


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Scenes differ more than their images: single images would claim far too much."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        scenes = rng.normal(size=20)
        values = (scenes[:, None] + 0.1 * rng.normal(size=(20, 10))).flatten()
        found = summarize([*values], [str(i // 10) for i in range(200)])
        covered += found["low"] <= 0 <= found["high"]
    assert 0.85 * 60 <= covered


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
