import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import QUICKEST

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


def test_names_cannot_forge_what_is_told() -> None:
    with pytest.raises(SystemExit) as stop:
        launch(lambda: run_job(Mistake("\x1b[31mred\udcff.png")))
    assert stop.value.code == r"error: \x1b[31mred\xff.png"


@pytest.mark.parametrize("more", [[], ["data.unreadable=skip"]])
def test_nor_can_names_of_data(
    more: list[str],
    tmp_path: Path,
    picture: Callable[..., Path],
    start: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither in an error nor in a log."""
    for name in "abcdefghijkl":
        picture(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "photos" / "h\x1b[31mred\nfine.png").touch()
    arguments = [*QUICKEST, "trainer.max_epochs=1", f"data.root={tmp_path / 'photos'}", *more]
    told = ""
    try:
        start("train", *arguments, f"hydra.run.dir={tmp_path / 'run'}")
    except SystemExit as stop:
        told = str(stop.code)
    assert bool(told) != bool(more)
    told += "".join(capsys.readouterr())
    told += "".join(path.read_text("utf-8") for path in (tmp_path / "run").glob("*.log"))
    assert r"h\x1b[31mred" in told and "\x1b" not in told and "\nfine" not in told


def test_what_a_stream_cannot_encode_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logging drops lines that cannot be encoded, and those may be a run's figures."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    launch(lambda: print("25.4 ± 0.1 dB", flush=True))
    assert written.getvalue() == rb"25.4 \xb1 0.1 dB" + os.linesep.encode()


def test_mistakes_of_ours_are_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        launch(lambda: run_job(ZeroDivisionError()))
    assert os.environ.get("HYDRA_FULL_ERROR") != "1"
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(OSError):
        launch(lambda: run_job(OSError()))
