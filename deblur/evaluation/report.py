"""What an evaluation leaves: tables, rows, pictures and a page."""

import csv
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from deblur.atomic import replacing_text, write_text
from deblur.evaluation.html_report import Shown, page
from deblur.evaluation.loop import SIZES, Restored, Timing
from deblur.evaluation.results import BLURRY, Result, summarize_method, to_json
from deblur.evaluation.statistics import Summary
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
from deblur.media.image_grid import error_map, sheet
from deblur.metrics.protocol import FIGURES, PROTOCOLS
from deblur.pair import decode

EXTREMES = 5
"""So many of the best, and of the worst pictures are on the page."""
PARTS = 12
"""Rows of a table, at the most, that has one for each part of the data."""
WIDEST = 960


class Report:
    """Collects an evaluation and writes it to a folder.

    protocols: their names, in order. models: the methods whose pictures are shown. sheets: how many
    pictures are shown whatever became of them, see `draw`. scenes: of each picture, in order.
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
        self.strengths: dict[str, float | None] = {}
        self.chosen = draw(scenes, sheets)
        self.columns: list[dict[str, Tensor]] = []
        self.shown: list[Shown] = []
        self.extremes: dict[tuple[str, str], list[Shown]] = {}

    def add(self, restored: Restored) -> None:
        """Take in one picture; a chosen one is written at once, as in the paper's Figures 4-6."""
        pair, name = restored.pair, restored.pair.name[0]
        chosen = len(self.strengths) in self.chosen
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
            figures = _figures(restored.results, model)
            show = (name, model, figures, pair.blur, restored.images[model], sharp)
            if chosen:
                self.shown.append(_shown("sheet", *show))
            for kind, sign in (("best", 1), ("worst", -1)) if "gain" in figures else ():
                kept = self.extremes.setdefault((model, kind), [])
                if len(kept) < EXTREMES or sign * (figures["gain"] - kept[-1].figures["gain"]) > 0:
                    kept.append(_shown(kind, *show))
                    kept.sort(key=lambda one: one.figures["gain"], reverse=kind == "best")
                    del kept[EXTREMES:]

    @cached_property
    def summary(self) -> dict[str, dict[str, dict[str, Summary]]]:
        """{protocol: {method: {figure: its summary}}}, for when all pictures are there."""
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
        """Give the methods in order, the blurred picture itself first."""
        return [*dict.fromkeys(result.method for result in self.results)]

    def gains(self, protocol: str) -> dict[str, dict[str, float]]:
        """Give each method's mean gain in PSNR over the blurry input, and on how many it gains."""
        own = {
            (r.method, r.name): r.scores.get("psnr") for r in self.results if r.protocol == protocol
        }
        gains = {}
        for method in self.methods():
            gained = [
                psnr - before
                for (whose, name), psnr in own.items()
                if whose == method != BLURRY
                and psnr is not None
                and (before := own[BLURRY, name]) is not None
                and before != math.inf  # a sharp picture
            ]
            if gained:
                better = sum(gain > 0 for gain in gained)
                # A picture that is restored without any error has gained without a limit.
                finite = [gain for gain in gained if gain != math.inf] or gained
                mean = sum(finite) / len(finite)
                gains[method] = {"mean": mean, "better": better, "of": len(gained)}
        return gains

    def parts(self, protocol: str) -> dict[str, dict[str, list[tuple[float, ...]]]]:
        """Give PSNR and SSIM, and the blurry input's, by part of the data and method.

        A part is what stands before the slash of pictures' names, else a scene; there are none
        where there is but one, or more than a table holds.
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
        """Give Table 3 of each protocol, and what was gained over the blurry input."""
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
                lines.append(
                    f"{method}: {gain['mean']:+.2f} dB over the blurry input on average, better on "
                    f"{gain['better']} of {gain['of']} images ({gain['better'] / gain['of']:.0%})"
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

        about: what was measured, and how; it becomes part of metrics.json. published: put the
        paper's rows beside ours.
        """
        data = about["data"]["name"]
        summary, pairs = self.summary, len(self.strengths)
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
            "times": _times(timings),
            "published": [
                {**asdict(row), "differs": differs(row, summary, data, pairs)}
                for row in (TABLE4 if published else ())
            ],
        }
        if self.columns:
            sheet(self.folder / "sheet.png", self.columns)
        rows = self._rows()
        pictures = [*self.shown, *(one for kept in self.extremes.values() for one in kept)]
        tables = {
            "table3.md": self.text(),
            "table4.md": table4(summary, data, pairs, published=published),
        }
        if not self.protocols:
            del tables["table4.md"]
        for name, text in {
            **tables,
            "metrics.json": json.dumps(to_json(document), indent=2),
            "report.html": page(document, rows, pictures),
        }.items():
            write_text(self.folder / name, text + "\n")
        with replacing_text(self.folder / "per_image.csv") as file:
            writer = csv.DictWriter(file, [*rows[0]])
            writer.writeheader()
            writer.writerows(rows)

    def mean_psnr(self, method: str) -> float | None:
        """Give a method's mean PSNR in dB under the first protocol that has one, if any has."""
        for results in self.summary.values():
            if "psnr" in results[method]:
                return results[method]["psnr"]["mean"]
        return None

    def _rows(self) -> list[dict[str, Any]]:
        """Give a row for each result: all with the same columns."""
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


def draw(scenes: Sequence[str], count: int) -> set[int]:
    """Draw so many pictures at random, one of each scene in turn: return their places.

    scenes: of each picture, in order. The draw is the same each time.
    """
    met = Counter[str]()
    turns: list[tuple[int, int, int]] = []
    for place in np.random.default_rng(0).permutation(len(scenes)).tolist():
        turns.append((met[scenes[place]], len(turns), place))
        met[scenes[place]] += 1
    return {place for *_, place in sorted(turns)[:count]}


def _figures(results: Sequence[Result], method: str) -> dict[str, float]:
    """Give a picture's figures under the first protocol, and its gain in PSNR if it has one."""
    own = next(result for result in results if result.method == method)
    before = next((r for r in results if r.method == BLURRY and r.protocol == own.protocol), None)
    if before is None or "psnr" not in own.scores or before.scores["psnr"] == math.inf:
        return own.scores
    return {"gain": own.scores["psnr"] - before.scores["psnr"], **own.scores}


def _shown(
    kind: str,
    name: str,
    method: str,
    figures: dict[str, float],
    blur: Tensor,
    restored: Tensor,
    sharp: Tensor | None,
) -> Shown:
    images = {"blurred": blur, "restored": restored} | ({} if sharp is None else {"sharp": sharp})
    levels = {title: decode(image[0]) for title, image in images.items()}
    pictures = {
        title: Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
        for title, pixels in levels.items()
    }
    if sharp is not None:
        pictures["error"] = error_map(levels["restored"], levels["sharp"])
    for picture in pictures.values():
        picture.thumbnail((WIDEST, 4 * WIDEST), Image.Resampling.LANCZOS)
    return Shown(name, method, kind, figures, pictures)


def _times(timings: Sequence[Timing]) -> list[dict[str, Any]]:
    """Give a row for each method and size; of many sizes, one for them all."""
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


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
