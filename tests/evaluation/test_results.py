import math

from deblur.evaluation.results import Result, summarize_method


def summarize(*legibility: float) -> dict[str, float]:
    results = [
        Result(str(index), "scene", "small", "legibility", (9, 9), scores={"legibility": score})
        for index, score in enumerate(legibility)
    ]
    return summarize_method(results)["legibility"]


def test_pictures_without_text_do_not_count_for_legibility() -> None:
    found = summarize(0.5, math.nan, 0.9, 0.0)
    assert (found["highest"], found["lowest"], found["counted"]) == (0.9, 0, 3)
    assert math.isclose(found["mean"], 1.4 / 3)
    assert math.isnan(summarize(math.nan, math.nan)["mean"])
