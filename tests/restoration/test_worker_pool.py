import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import errands
import pytest

from deblur.restoration.worker_pool import Work, share


def run(
    items: list[Any], count: int = 2, start: Callable[[int], Work] = errands.start
) -> tuple[list[Any], dict[Any, str]]:
    told: list[Any] = []
    lost: dict[Any, str] = {}
    before = multiprocessing.active_children()
    share(items, count, start, tell=told.append, give_up=lost.__setitem__)
    assert {*multiprocessing.active_children()} <= {*before}
    return told, lost


def test_each_thing_is_worked_on_once_by_other_processes() -> None:
    told, lost = run([*range(20)])
    assert sorted(item for item, _ in told) == [*range(20)]
    assert os.getpid() not in {process for _, process in told} and not lost


def test_what_a_process_died_of_is_tried_by_another(tmp_path: Path) -> None:
    told, lost = run([tmp_path / "once", *range(4)], count=1)
    assert [item for item, _ in told] == [*range(4), tmp_path / "once"]
    assert (tmp_path / "once").exists() and not lost


def test_what_two_processes_died_of_is_given_up_and_the_rest_done() -> None:
    told, lost = run(["die", *range(6)])
    assert sorted(item for item, _ in told) == [*range(6)]
    assert [*lost] == ["die"] and "SIGKILL" in lost["die"]


def test_processes_that_cannot_start_end_it() -> None:
    before = multiprocessing.active_children()
    with pytest.raises(ValueError, match="no model"):
        run([1, 2], start=errands.start_badly)
    assert {*multiprocessing.active_children()} <= {*before}
    with pytest.raises(ValueError, match="SIGKILL"):
        run([1, 2], start=errands.start_and_die)


def test_without_processes_that_could_start_again_what_is_left_is_named(tmp_path: Path) -> None:
    start = partial(errands.start_once, str(tmp_path / "started"))
    told, lost = run([1, "die", 2, 3], count=1, start=start)
    assert [item for item, _ in told] == [1]
    assert [*lost] == [2, 3, "die"] and lost[2] == "no model"


def test_an_interruption_loses_nothing_that_was_done() -> None:
    told: list[Any] = []
    before = multiprocessing.active_children()

    def tell(content: Any) -> None:
        told.append(content)
        if content == "sleeping":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        share(["sleep", 1, 2], 1, errands.start, tell=tell, give_up=lambda item, reason: None)
    assert told == ["sleeping", "woken"]
    assert {*multiprocessing.active_children()} <= {*before}
