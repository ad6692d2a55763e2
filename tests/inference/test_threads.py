from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident

import pytest
import torch

from deblur.inference.threads import share, single_threaded


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_all_parts_are_done_by_threads_that_compute_alone(threads: int) -> None:
    done: list[tuple[int, int, int]] = []

    def work(parts: Sequence[int]) -> None:
        done.extend((part, get_ident(), torch.get_num_threads()) for part in parts)

    for parts in (range(10), range(2), range(1)):
        done.clear()
        share(work, parts)
        assert sorted(part for part, *_ in done) == [*parts]
        assert len({thread for _, thread, _ in done}) <= threads
        assert {inside for *_, inside in done} == {1} or len(parts) == 1
        assert torch.get_num_threads() == threads


def test_the_number_of_threads_comes_back(threads: int) -> None:
    with pytest.raises(MemoryError), single_threaded() as before:
        with single_threaded() as inner:
            assert before == inner == threads
        assert torch.get_num_threads() == 1
        raise MemoryError
    assert torch.get_num_threads() == threads


@pytest.mark.usefixtures("threads")
def test_an_error_in_a_thread_is_raised() -> None:
    def work(parts: Sequence[int]) -> None:
        raise MemoryError(f"{parts}")

    with pytest.raises(MemoryError):
        share(work, range(5))


def test_several_may_share_at_once(threads: int) -> None:
    done: list[int] = []
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            pool.submit(share, done.extend, range(7))
    assert sorted(done) == sorted([*range(7)] * 20)
    assert torch.get_num_threads() == threads
