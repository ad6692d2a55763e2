"""The memory and open files of a run's processes, and whether they stay constant (Linux only)."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

LIMIT = 1.03
"""The largest allowed ratio of the highest to the lowest."""
Verdict = tuple[str, str, bool]
"""What was checked, what was found, and whether that is as expected."""


class Sample(NamedTuple):
    """The memory and open files at one time."""

    seconds: float
    """Seconds of training since the first start."""
    life: int
    """The number of starts."""
    memory: int
    """Resident bytes."""
    files: int
    """Open handles."""


def list_children(process: int) -> list[int]:
    """List the child processes of a process."""
    children: list[int] = []
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):  # one that has ended
            children += map(int, thread.read_text().split())
    return children


def measure(processes: Iterable[int]) -> tuple[int, int]:
    """Return the resident bytes and the open handles of some processes."""
    memory = files = 0
    for process in processes:
        with suppress(OSError):  # one that has ended
            resident = Path(f"/proc/{process}/statm").read_text().split()[1]
            files += len(os.listdir(f"/proc/{process}/fd"))
            memory += int(resident) * os.sysconf("SC_PAGE_SIZE")
    return memory, files


def judge(when: str, samples: Sequence[Sample]) -> list[Verdict]:
    """Compare the medians of the tenths of the time, except for the first, with each other."""
    if not samples:
        return [(f"memory and files {when}", "nothing was seen", False)]
    seconds = np.array([sample.seconds for sample in samples])
    tenths = np.digitize(seconds, np.linspace(seconds[0], seconds[-1], 11)[1:-1])
    verdicts = []
    for name, unit in (("memory", " MB"), ("files", "")):
        values = np.array([getattr(sample, name) for sample in samples]) / (1e6 if unit else 1)
        medians = [float(np.median(values[tenths == t])) for t in range(1, 10) if t in tenths]
        low, high = min(medians), max(medians)
        told = f"{low:.0f} to {high:.0f}{unit} ({high / low - 1:.1%})"
        verdicts.append((f"{name} {when}", told, high <= LIMIT * low))
    return verdicts
