from typing import Any

import pytest

from deblur.training.schedule import Schedule


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({}, [1, 1, 1, 1]),
        ({"decay_epochs": 3}, [1, 1, 2 / 3, 1 / 3]),
        ({"decay_epochs": 3, "decay": "cosine"}, [1, 1, 3 / 4, 1 / 4]),
        ({"decay_epochs": 3, "decay_to": 0.25}, [1, 1, 3 / 4, 1 / 2]),
        ({"decay_epochs": 8}, [1 / 2, 3 / 8, 1 / 4, 1 / 8]),
    ],
)
def test_rates_are_constant_then_fall(settings: dict[str, Any], expected: list[float]) -> None:
    schedule = Schedule(**settings)
    assert [schedule.factor(4 - epoch) for epoch in range(4)] == pytest.approx(expected)


@pytest.mark.parametrize(
    "bad",
    [{"decay_epochs": -1}, {"freeze_epochs": -1}, {"decay": "steps"}, {"decay_to": float("nan")}],
)
def test_a_bad_setting_is_named(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Schedule(**bad)
