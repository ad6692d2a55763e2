"""The files that an evaluation writes: tables, rows, pictures and an HTML page."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from deblur.atomic import replacing_text, write_text
from deblur.evaluation.html_report import Shown, page
from deblur.evaluation.loop import Restored, Timing
from deblur.evaluation.picture_choice import draw, find_figures, show
from deblur.evaluation.results import BLURRY, Result, summarize_method, to_json
from deblur.evaluation.statistics import Summary, summarize
from deblur.evaluation.table4 import TABLE4
from deblur.evaluation.tables import (
    by_part,
    describe,
    differs,
    side_by_side,
    table3,
    table4,
    tell_identical,
)
from deblur.evaluation.times import summarize_times
from deblur.media.image_grid import sheet
from deblur.metrics.protocol import FIGURES, PROTOCOLS
from deblur.pair import decode

EXTREMES = 5
"""The number of best, and of worst, pictures on the page."""
PARTS = 12
"""The most rows of the table with a row for each part of the data."""


def discard_pictures(folder: Path) -> None:
    """Delete the pictures that an earlier evaluation has written to a folder."""
    for old in (folder / "sheet.png", *(folder / "sheets").glob("*.png")):
        old.unlink(missing_ok=True)


class Report:
    """Collects the results of an evaluation and writes them to a folder.

    Args:
        folder: The folder to write to.
        protocols: The names of the protocols, in order.
        models: The methods whose pictures are shown.
        sheets: How many pictures are drawn at random to be shown, see `draw`.
        scenes: The scene of each picture, in order.
    """

    def __init__(
        self,
        folder: Path,
        protocols: Sequence[str],
        models: Sequence[str],
        *,
        sheets: int,
        scenes: Sequence[str],
    ) -> None:
        self.folder = folder
        self.protocols = protocols
        self.models = models
        self.results: list[Result] = []
        self.pairs = 0
        """The number of pictures added."""
        self.strengths: dict[str, float | None] = {}
        """By picture, see `Restored.blur_sigma`."""
        self.chosen = draw(scenes, sheets)
        self.columns: list[dict[str, Tensor]] = []
        self.shown: list[Shown] = []
        self.extremes: dict[tuple[str, str], list[Shown]] = {}

    def add(self, restored: Restored) -> None:
        """Add one picture; if it was drawn, write it at once, as in the paper's Figures 4-6."""
        pair, name = restored.pair, restored.pair.name[0]
        chosen = self.pairs in self.chosen
        self.pairs += 1
        self.strengths[name] = restored.blur_sigma
        self.results += restored.results
        sharp = pair.sharp if restored.blur_sigma is not None else None
        if chosen:
            images = {model: restored.images[model] for model in self.models}
            images = {"blurred": pair.blur, **images} | ({} if sharp is None else {"sharp": sharp})
            self.columns.append({title: decode(image[0]) for title, image in images.items()})
            (self.folder / "sheets").mkdir(parents=True, exist_ok=True)
            sheet(self.folder / "sheets" / f"{name.replace('/', '-')}.png", self.columns[-1:])
        for model in self.models:
            figures = find_figures(restored.results, model)
            of = (name, model, figures, pair.blur, restored.images[model], sharp)
            if chosen:
                self.shown.append(show("sheet", *of))
            for kind, sign in (("best", 1), ("worst", -1)) if "gain" in figures else ():
                if kind == "best" and math.isnan(figures["gain"]):
                    continue
                kept = self.extremes.setdefault((model, kind), [])
                if len(kept) < EXTREMES or sign * (_rank(figures) - _rank(kept[-1].figures)) > 0:
                    kept.append(show(kind, *of))
                    kept.sort(key=lambda one: _rank(one.figures), reverse=kind == "best")
                    del kept[EXTREMES:]

    @cached_property
    def summary(self) -> dict[str, dict[str, dict[str, Summary]]]:
        """{protocol: {method: {figure: its summary}}}; valid once all pictures are added."""
        return {
            protocol: {
                method: summarize_method(
                    [r for r in self.results if (r.protocol, r.method) == (protocol, method)]
                )
                for method in self.methods()
            }
            for protocol in self.protocols
        }

    def methods(self) -> list[str]:
        """Return the methods in order, the blurred picture itself first."""
        return [*dict.fromkeys(result.method for result in self.results)]

    def gains(self, protocol: str) -> dict[str, dict[str, float]]:
        """Return each method's mean gain in PSNR over the blurry input, and how often it gains.

        The mean has the ends of its 95% interval, low and high, if there are several scenes.
        """
        results = [result for result in self.results if result.protocol == protocol]
        own = {(r.method, r.name): r.scores.get("psnr") for r in results}
        scenes = {result.name: result.scene for result in results}
        gains: dict[str, dict[str, float]] = {}
        for method in self.methods():
            gained = [
                (psnr - before, scenes[name])
                for (whose, name), psnr in own.items()
                if whose == method != BLURRY
                and psnr is not None
                and (before := own[BLURRY, name]) is not None
                and before != math.inf  # a sharp picture
            ]
            if gained:
                better = sum(gain > 0 for gain, _ in gained)
                # A picture restored without any error has an infinite gain.
                finite = [one for one in gained if one[0] != math.inf] or gained
                summary = summarize([gain for gain, _ in finite], [scene for _, scene in finite])
                kept = ("mean", "low", "high")
                ends = {name: value for name, value in summary.items() if name in kept}
                gains[method] = {**ends, "better": better, "of": len(gained)}
        return gains

    def parts(self, protocol: str) -> dict[str, dict[str, list[tuple[float, ...]]]]:
        """Return PSNR and SSIM, and the blurry input's, by part of the data and method.

        A part is the folder in a picture's name, else its scene. Returns {} if there is only one
        part, or more than a table holds.
        """
        results = [result for result in self.results if result.protocol == protocol]
        own = {(r.method, r.name): r.scores for r in results}
        part_of = {r.name: r.name.rpartition("/")[0] or r.scene for r in results}
        parts = dict.fromkeys(part_of.values())
        scored = {"psnr", "ssim"} <= {*results[0].scores}
        if not 1 < len(parts) <= PARTS or not scored:
            return {}

        def figures(method: str, name: str) -> tuple[float, ...]:
            return tuple(own[of, name][key] for of in (method, BLURRY) for key in ("psnr", "ssim"))

        return {
            part: {
                method: [figures(method, name) for name in part_of if part_of[name] == part]
                for method in self.methods()
                if method != BLURRY
            }
            for part in parts
        }

    def text(self) -> str:
        """Return Table 3 of each protocol, with the gain over the blurry input, as Markdown."""
        if not self.protocols:
            timed = {
                model: summarize_method([r for r in self.results if r.method == model])
                for model in self.models
            }
            return table3(timed)
        parts = []
        for protocol, results in self.summary.items():
            lines = [describe(protocol), "", table3(results), "", *tell_identical(results)]
            for method, gain in self.gains(protocol).items():
                ends = f" ({gain['low']:+.2f} to {gain['high']:+.2f})" if "low" in gain else ""
                share = (
                    f"{gain['better']} of {gain['of']} images ({gain['better'] / gain['of']:.0%})"
                )
                lines.append(
                    f"{method}: {gain['mean']:+.2f} dB{ends} over the blurry input on average, "
                    f"better on {share}"
                )
            if own := self.parts(protocol):
                lines += ["", by_part(own)]
            parts.append("\n".join(lines).rstrip())
        if len(parts) > 1:
            parts.append(f"the same pictures\n\n{side_by_side(self.summary)}")
        return "\n\n".join(parts)

    def write(
        self, about: Mapping[str, Any], timings: Sequence[Timing], *, published: bool
    ) -> None:
        """Write metrics.json, per_image.csv, table3.md, table4.md, sheet.png and report.html.

        about: the provenance, which becomes part of metrics.json. timings: from `Evaluation`.
        published: add the paper's rows to Table 4.
        """
        data = about["data"]["name"]
        summary, pairs = self.summary, self.pairs
        document = {
            **about,
            "protocols": {
                name: {
                    "title": PROTOCOLS[name].title,
                    "results": results,
                    "notes": tell_identical(results),
                }
                for name, results in summary.items()
            },
            "gains": {name: self.gains(name) for name in self.protocols},
            "scenes": len({result.scene for result in self.results}),
            "times": summarize_times(timings),
            "published": [
                {**asdict(row), "differs": differs(row, summary, data, pairs)}
                for row in (TABLE4 if published else ())
            ],
        }
        if self.columns:
            sheet(self.folder / "sheet.png", self.columns)
        rows = self._rows()
        pictures = [*self.shown, *(one for kept in self.extremes.values() for one in kept)]
        texts = {
            "table3.md": self.text(),
            "metrics.json": json.dumps(to_json(document), indent=2),
            "report.html": page(document, rows, pictures),
        }
        if self.protocols:
            texts["table4.md"] = table4(summary, data, pairs, published=published)
        for name, text in texts.items():
            write_text(self.folder / name, text + "\n")
        with replacing_text(self.folder / "per_image.csv") as file:
            writer = csv.DictWriter(file, [*rows[0]])
            writer.writeheader()
            writer.writerows(rows)

    def mean_psnr(self, method: str) -> float | None:
        """Return a method's mean PSNR in dB under the first protocol that has one, if any has."""
        for results in self.summary.values():
            if "psnr" in results[method]:
                return results[method]["psnr"]["mean"]
        return None

    def _rows(self) -> list[dict[str, Any]]:
        """Return a row for each result, all with the same columns."""
        scored = {name for result in self.results for name in result.scores}
        figures = [name for name in FIGURES if name in scored]
        return [
            {
                "name": result.name,
                "scene": result.scene,
                "method": result.method,
                "protocol": result.protocol,
                "width": result.size[0],
                "height": result.size[1],
                "blur_sigma": _rounded(self.strengths[result.name]),
                **{name: _rounded(result.scores.get(name)) for name in figures},
                "seconds": _rounded(result.seconds),
            }
            for result in self.results
        ]


def _rank(figures: Mapping[str, float]) -> float:
    """Return a picture's gain, to sort by; NaN, where a method has failed, is the lowest."""
    return -math.inf if math.isnan(figures["gain"]) else figures["gain"]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
