"""The plot of PSNR over the strength of blur, as coordinates that the page draws."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

SIZE = (720, 440)
"""Width and height in pixels."""
FRAME = (68, 14, 706, 380)
"""Left, top, right and bottom of the plot's axes."""


class Series(NamedTuple):
    """A method's points in the plot, as x, y and label, and the line through them."""

    method: str
    points: list[tuple[float, float, str]]
    line: list[tuple[float, float]]


class Plot(NamedTuple):
    """PSNR over the strength of blur; ticks are positions with labels."""

    protocol: str
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]
    series: list[Series]
    left_out: int


def scatter(protocols: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Plot | None:
    """Plot a point for each image and method, under the first protocol with PSNR, if any."""
    having = (
        n for n, p in protocols.items() if any("psnr" in own for own in p["results"].values())
    )
    protocol = next(having, None)
    known = [
        row
        for row in rows
        if row.get("protocol") == protocol
        and row.get("psnr") is not None
        and row.get("blur_sigma") is not None
    ]
    finite = [r for r in known if math.isfinite(r["psnr"]) and math.isfinite(r["blur_sigma"])]
    if protocol is None or not finite:
        return None
    left, top, right, bottom = FRAME
    across = _ticks(0, max(row["blur_sigma"] for row in finite))
    up = _ticks(min(row["psnr"] for row in finite), max(row["psnr"] for row in finite))

    def x(sigma: float) -> float:
        return round(left + (right - left) * (sigma - across[0]) / (across[-1] - across[0]), 1)

    def y(psnr: float) -> float:
        return round(bottom - (bottom - top) * (psnr - up[0]) / (up[-1] - up[0]), 1)

    series = []
    for method in dict.fromkeys(row["method"] for row in finite):
        own = sorted(
            (r["blur_sigma"], r["psnr"], r["name"]) for r in finite if r["method"] == method
        )
        points = [
            (x(sigma), y(psnr), f"{name}, {method}: {psnr:.2f} dB, sigma {sigma:.2f} px")
            for sigma, psnr, name in own
        ]
        series.append(Series(method, points, [(x(s), y(p)) for s, p in _trend(own)]))
    return Plot(
        protocol,
        [(x(value), f"{value:g}") for value in across],
        [(y(value), f"{value:g}") for value in up],
        series,
        len(known) - len(finite),
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers at equal steps, the first at most `low`, the last at least `high`."""
    rough = max(high - low, 1e-3) / 6
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= 0.999 * rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(n * step, 9) for n in range(first, max(last, first + 1) + 1)]


def _trend(points: Sequence[tuple[float, float, str]]) -> list[tuple[float, float]]:
    """Return the medians of ten equal parts of the points in order of blur; [] for under 200."""
    if len(points) < 200:
        return []
    ends = [len(points) * part // 10 for part in range(11)]
    parts = [points[start:end] for start, end in zip(ends, ends[1:])]
    return [(median(p[0] for p in part), median(p[1] for p in part)) for part in parts]
