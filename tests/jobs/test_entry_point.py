import os

import pytest

from deblur.config.errors import Mistake
from deblur.jobs.entry_point import launch


def run_job(error: Exception) -> None:
    """Fail as Hydra's function of this name does."""
    raise error


class MisconfigurationException(Exception):
    """Called as Lightning's."""


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        MisconfigurationException("of the\n  trainer"),
        Mistake("of a sweep's job"),
    ],
)
def test_what_a_user_can_mend_is_one_line(error: Exception) -> None:
    with pytest.raises(SystemExit) as stop:
        launch(lambda: run_job(error))
    assert stop.value.code == f"error: {' '.join(str(error).split())}"


def test_what_cannot_be_composed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", "model=null"])
    with pytest.raises(SystemExit) as stop:
        launch(lambda: exec("raise ValueError('Got NoneType')"))
    assert stop.value.code == "error: Got NoneType (model=null)"


def test_mistakes_of_ours_are_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        launch(lambda: run_job(ZeroDivisionError()))
    assert os.environ.get("HYDRA_FULL_ERROR") != "1"
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(OSError):
        launch(lambda: run_job(OSError()))
