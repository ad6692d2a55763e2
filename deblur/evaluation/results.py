"""The results of methods on pictures, as figures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deblur.evaluation.statistics import Summary, pool, summarize
from deblur.metrics.protocol import FIGURES

BLURRY = "blurry input"


@dataclass
class Result:
    """One method's result on one picture, under one protocol."""

    name: str
    scene: str
    method: str
    protocol: str | None
    """None if there is no sharp picture."""
    size: tuple[int, int]
    """Width and height of the restored picture."""
    seconds: float | None = None
    """The method's own time; None for the blurred picture itself."""
    scores: dict[str, float] = field(default_factory=dict)


def summarize_method(results: Sequence[Result]) -> dict[str, Summary]:
    """Summarize each figure of a method's results under one protocol, by the figure's name.

    `psnr_pooled` is added, with only a mean; `unaligned` has only a count. If some pictures are
    identical to their sharp ones, which makes the mean PSNR infinite, `psnr` also has their number,
    "identical", and the mean of the others, "mean_of_others". `legibility` leaves out pictures
    without text, for which it is NaN, and has the number of the others, "counted".
    """
    scenes = [result.scene for result in results]
    summary: dict[str, Summary] = {}
    for name in results[0].scores:
        values = [result.scores[name] for result in results]
        if FIGURES[name].may_be_absent and (present := _leave_out_nan(values, scenes)):
            summary[name] = {**summarize(*present), "counted": float(len(present[0]))}
            continue
        if name == "unaligned":
            summary[name] = {"count": sum(values)}
            continue
        summary[name] = summarize(values, scenes)
        if name == "psnr":
            summary[name] |= _set_identical_apart(values)
            pixels = [result.size[0] * result.size[1] for result in results]
            summary["psnr_pooled"] = {"mean": pool(values, pixels)}
    seconds = [result.seconds for result in results if result.seconds is not None]
    if seconds:
        kept = ("highest", "lowest", "mean", "median")
        of_all = summarize(seconds, [""] * len(seconds))
        summary["seconds"] = {kind: of_all[kind] for kind in kept}
    return summary


def _leave_out_nan(
    values: Sequence[float], scenes: Sequence[str]
) -> tuple[list[float], list[str]] | None:
    """Return the values that are numbers, and their scenes; None if there are none."""
    kept = [(value, scene) for value, scene in zip(values, scenes) if not math.isnan(value)]
    return ([value for value, _ in kept], [scene for _, scene in kept]) if kept else None


def _set_identical_apart(psnr: Sequence[float]) -> Summary:
    """Return how many PSNRs are infinite, and the mean of the others; {} if none is."""
    others = [value for value in psnr if value != math.inf]
    if len(others) == len(psnr):
        return {}
    counted = {"identical": float(len(psnr) - len(others))}
    return {**counted, "mean_of_others": sum(others) / len(others)} if others else counted


def to_json(value: Any) -> Any:
    """Replace infinities and NaN, which JSON does not have, by text."""
    if isinstance(value, Mapping):
        return {key: to_json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
