import logging
import sys

import pytest

from deblur.restoration.progress import LINES, Bar, watch
from deblur.restoration.video import Progress


@pytest.mark.parametrize("count", [1, 3, 10, 1111])
def test_a_log_has_the_first_item_and_a_few_lines(
    count: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO):
        items = watch(iter(range(count)), count, "images")
        assert next(items) == 0 and not caplog.messages
        assert [*items] == [*range(1, count)]
    assert caplog.messages[0].startswith(f"1 of {count} images in ")
    assert caplog.messages[-1].startswith(f"{count} of {count} images in ")
    assert "left" not in caplog.messages[-1] and len(caplog.messages) <= LINES + 1


def test_a_terminal_has_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert [*watch([1, 2], 2, "images")] == [1, 2]
    said = capsys.readouterr()
    assert said.out == "" and "images" in said.err


def test_a_film_is_done_with_its_last_frame() -> None:
    with Bar(2, True) as bar:
        for done, completed in ((1, 0.25), (4, 1.0), (5, 1.0)):  # more frames than it claims
            bar.watch(Progress(done, 4))
            assert bar.progress.tasks[0].completed == completed
        bar.advance()
        bar.watch(Progress(9, None))
        assert bar.progress.tasks[0].completed == 1


@pytest.mark.parametrize(("total", "lines"), [(100, 11), (3, 3), (None, 5)])
def test_a_film_has_a_few_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    total: int | None,
    lines: int,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    for quiet in (False, True):
        with Bar(1, quiet) as bar:
            for done in range(1, (total or 1000) + 1):
                bar.watch(Progress(done, total))
        told = capsys.readouterr().err.splitlines()
        assert len(told) == (0 if quiet else lines)
        of = f" of {total}" if total else ""
        assert quiet or (told[0].startswith(f"frame 1{of}, ") and "a second" in told[-1])
