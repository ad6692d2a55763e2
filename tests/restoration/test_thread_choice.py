from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deblur.restoration.thread_choice import choosing_threads


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Stand in for a machine of four threads, whose last number is the one in use."""
    used = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: used[-1])
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    yield used


@pytest.mark.parametrize(
    ("seconds", "best"), [({4: 9, 2: 5, 1: 2}, 1), ({4: 1, 2: 2, 1: 4}, 4), ({4: 3, 2: 3, 1: 3}, 1)]
)
def test_the_fastest_number_of_threads_is_kept(
    threads: list[int], seconds: dict[int, int], best: int
) -> None:
    now = 0.0
    used = []

    def restore(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        nonlocal now
        # The first frame takes long, and one more is slow by chance.
        now += 100 if len(used) in (0, 3) else seconds[threads[-1]]
        used.append(threads[-1])
        return pixels + 1

    picture = np.zeros((2, 2, 3), np.uint8)
    with choosing_threads(restore, lambda: now) as run:
        assert all((run(picture) == 1).all() for _ in range(12))
    assert {*used[7:]} == {best}
    assert {*used[1:7]} == {4, 2, 1}
    assert threads[-1] == 4


def test_one_thread_needs_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(torch, "set_num_threads", None)
    with choosing_threads(np.copy) as run:
        assert run(np.ones((1, 1, 3), np.uint8)).sum() == 3
