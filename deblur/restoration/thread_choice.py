"""How many threads restore a video's frames the fastest: measured on its first frames.

Small frames are done before threads have shared them, and on a busy machine threads wait for each
other. By how much depends on the network, the size and the machine, so that no rule is as good as
a few frames, which are restored anyway.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray

Restore = Callable[[NDArray[Any]], NDArray[Any]]
TRIES = 2
"""The number of frames timed with each number of threads; the fastest one counts."""


@contextmanager
def choosing_threads(
    restore: Restore, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Restore]:
    """Wrap what restores frames so that it finds its number of threads, and keeps to it.

    The numbers are this process's own, half of it and so on to 1. The first frame, for which
    networks prepare themselves, counts for nothing. At the end the process has its own number
    again.
    """
    most = torch.get_num_threads()
    numbers = [most]
    while numbers[-1] > 1:
        numbers.append(numbers[-1] // 2)
    plan = deque([most, *numbers * TRIES] if most > 1 else [])
    times = {number: [float("inf")] for number in numbers}
    first = True

    def run(pixels: NDArray[Any]) -> NDArray[Any]:
        nonlocal first
        if not plan:
            return restore(pixels)
        number = plan.popleft()
        torch.set_num_threads(number)
        start = clock()
        restored = restore(pixels)
        if not first:
            times[number].append(clock() - start)
        first = False
        if not plan:
            # Of equals the one with the fewest threads, which leaves most for the encoder.
            torch.set_num_threads(min(numbers, key=lambda each: (min(times[each]), each)))
        return restored

    try:
        yield run
    finally:
        if most > 1:
            torch.set_num_threads(most)
