"""Threads of PyTorch: one at a time, or as many that compute by themselves."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import TypeVar

import torch

Part = TypeVar("Part")


class _Use:
    """How many blocks of code are in `single_threaded`, and the number of threads outside it."""

    lock = Lock()
    blocks = 0
    threads = 1


@contextmanager
def single_threaded() -> Iterator[int]:
    """Let each operation of PyTorch take one thread; yields the number that it took before.

    PyTorch has one such number for the whole process, so that other threads are affected, too.
    """
    with _Use.lock:
        if _Use.blocks == 0:
            _Use.threads = torch.get_num_threads()
            torch.set_num_threads(1)
        _Use.blocks += 1
    try:
        yield _Use.threads
    finally:
        with _Use.lock:
            _Use.blocks -= 1
            if _Use.blocks == 0:
                torch.set_num_threads(_Use.threads)


def share(work: Callable[[Sequence[Part]], None], parts: Sequence[Part]) -> None:
    """Do work on all parts, in as many threads as PyTorch uses, in inference mode.

    PyTorch's own threads share each operation, so that what one of them writes another one reads,
    from its cache, and all wait for the last. Here each does all operations on its own parts.
    """
    if torch.get_num_threads() == 1 or len(parts) == 1:
        work(parts)
        return
    with single_threaded() as count:
        shares = [parts[first::count] for first in range(min(count, len(parts)))]
        pool = _make_pool(count)
        for done in [pool.submit(torch.inference_mode()(work), each) for each in shares]:
            done.result()


@lru_cache
def _make_pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_make_pool.cache_clear)  # a fork has none of the threads
