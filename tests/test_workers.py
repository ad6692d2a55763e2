import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mortal
import pytest

from deblur.workers import Work, share


def run(
    things: list[Any], count: int = 2, start: Callable[[int], Work] = mortal.start
) -> tuple[list[Any], dict[Any, str]]:
    told: list[Any] = []
    lost: dict[Any, str] = {}
    share(things, count, start, tell=told.append, give_up=lost.__setitem__)
    assert not multiprocessing.active_children()
    return told, lost


def test_each_thing_is_worked_on_once_by_other_processes() -> None:
    told, lost = run([*range(20)])
    assert sorted(thing for thing, _ in told) == [*range(20)]
    assert os.getpid() not in {process for _, process in told} and not lost


def test_what_a_process_died_of_is_tried_by_another(tmp_path: Path) -> None:
    told, lost = run([tmp_path / "once", *range(4)], count=1)
    assert [thing for thing, _ in told] == [*range(4), tmp_path / "once"]
    assert (tmp_path / "once").exists() and not lost


def test_what_two_processes_died_of_is_given_up_and_the_rest_done() -> None:
    told, lost = run(["die", *range(6)])
    assert sorted(thing for thing, _ in told) == [*range(6)]
    assert [*lost] == ["die"] and "SIGKILL" in lost["die"]


def test_processes_that_cannot_start_end_it() -> None:
    with pytest.raises(ValueError, match="no model"):
        run([1, 2], start=mortal.start_badly)
    assert not multiprocessing.active_children()
    told, lost = run([1, 2], start=mortal.start_and_die)
    assert not told and [*lost] == [1, 2] and "SIGKILL" in lost[1]


def test_an_interruption_loses_nothing_that_was_done() -> None:
    told: list[Any] = []

    def tell(content: Any) -> None:
        told.append(content)
        if content == "sleeping":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        share(["sleep", 1, 2], 1, mortal.start, tell=tell, give_up=lambda thing, reason: None)
    assert told == ["sleeping", "woken"]
    assert not multiprocessing.active_children()
