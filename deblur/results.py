"""What methods made of pictures, in figures."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from deblur.statistics import Summary, pool, summarize

BLURRY = "blurry input"


@dataclass
class Result:
    """What one method made of one picture, under one protocol."""

    name: str
    scene: str
    method: str
    protocol: str | None
    """None where there is no sharp picture."""
    size: tuple[int, int]
    """Width and height of what was restored."""
    seconds: float | None = None
    """The method's own time; None for the blurred picture itself."""
    scores: dict[str, float] = field(default_factory=dict)


def summarize_method(results: Sequence[Result]) -> dict[str, Summary]:
    """Summarize each figure of a method's results under one protocol, by the figure's name.

    `psnr_pooled` is added, a mean alone, and `unaligned` is a count.
    """
    scenes = [result.scene for result in results]
    summary: dict[str, Summary] = {}
    for name in results[0].scores:
        values = [result.scores[name] for result in results]
        if name == "unaligned":
            summary[name] = {"count": sum(values)}
            continue
        summary[name] = summarize(values, scenes)
        if name == "psnr":
            pixels = [result.size[0] * result.size[1] for result in results]
            summary["psnr_pooled"] = {"mean": pool(values, pixels)}
    seconds = [result.seconds for result in results if result.seconds is not None]
    if seconds:
        kept = ("highest", "lowest", "mean", "median")
        of_all = summarize(seconds, [""] * len(seconds))
        summary["seconds"] = {kind: of_all[kind] for kind in kept}
    return summary
