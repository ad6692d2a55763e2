"""How long methods took, as rows of a table."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from deblur.evaluation.loop import SIZES, Timing


def summarize_times(timings: Sequence[Timing]) -> list[dict[str, Any]]:
    """Return a row for each method and size; of many sizes, one for them all."""
    rows = []
    for method in dict.fromkeys(timing.method for timing in timings):
        own = [timing for timing in timings if timing.method == method]
        groups = [[timing] for timing in own] if len(own) <= SIZES else [own]
        rows += [{"method": method, **_timed(group)} for group in groups]
    return rows


def _timed(group: Sequence[Timing]) -> dict[str, Any]:
    by_area = sorted((timing.size for timing in group), key=math.prod)
    ends = dict.fromkeys(f"{width}x{height}" for width, height in (by_area[0], by_area[-1]))
    seconds = [value for timing in group for value in timing.seconds]
    files = [value for timing in group for value in timing.file_to_file]
    peaks = [timing.peak_memory for timing in group if timing.peak_memory]
    return {
        "size": " to ".join(ends),
        "images": len(seconds),
        "median": float(np.median(seconds)),
        "p95": float(np.percentile(seconds, 95)),
        "file_to_file": float(np.median(files)),
        "peak_memory_mb": max(peaks) / 1e6 if peaks else None,
    }
