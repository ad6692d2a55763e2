"""The tables and pictures of an evaluation."""

import csv
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from deblur.evaluation import BLURRY, Result
from deblur.pair import Pair, decode

RIM = 4
"""Pixels of white between pictures."""


def strips(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """Put rows of 8-bit images (3, H, W), all of one size, together: (3, H', W'), white between."""
    lines = [torch.cat([_frame(image) for image in row], 2) for row in rows]
    return torch.cat(lines, 1)


def _frame(image: Tensor) -> Tensor:
    return torch.nn.functional.pad(image, (0, RIM, 0, RIM), value=255)


def sheet(path: Path, rows: Sequence[Mapping[str, Tensor]]) -> None:
    """Write rows of 8-bit images (3, H, W) as one picture, their keys over the columns.

    Larger images are shrunk to the width of the narrowest, at most 512 pixels.
    """
    columns = [*rows[0]]
    width = min([512, *(image.shape[-1] for row in rows for image in row.values())])
    small = [[_shrink(image, width) for image in row.values()] for row in rows]
    height = max(image.height for row in small for image in row)
    head = 24
    canvas = Image.new(
        "RGB", (len(columns) * (width + RIM), head + len(rows) * (height + RIM)), "white"
    )
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=16)
    for column, title in enumerate(columns):
        draw.text((column * (width + RIM) + 2, 2), title, "black", font)
    for line, row in enumerate(small):
        for column, image in enumerate(row):
            canvas.paste(image, (column * (width + RIM), head + line * (height + RIM)))
    canvas.save(path)


def _shrink(image: Tensor, width: int) -> Image.Image:
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    if picture.width > width:
        height = round(picture.height * width / picture.width)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return picture


def summarize(results: Sequence[Result]) -> dict[str, dict[str, dict[str, float]]]:
    """Give {method: {figure: {"highest", "lowest", "mean"}}}, figures as in the paper's Table 3."""
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for method in dict.fromkeys(result.method for result in results):
        own = [result for result in results if result.method == method]
        columns = {name: [r.scores[name] for r in own] for name in own[0].scores}
        if method != BLURRY:
            columns["seconds"] = [result.seconds for result in own]
        summary[method] = {
            name: {"highest": max(values), "lowest": min(values), "mean": sum(values) / len(values)}
            for name, values in columns.items()
        }
    return summary


def gains(results: Sequence[Result], method: str) -> list[float]:
    """Give a method's PSNR less the blurry input's, in dB, for each picture."""
    before = {r.name: r.scores["psnr"] for r in results if r.method == BLURRY}
    return [r.scores["psnr"] - before[r.name] for r in results if r.method == method]


def table3(summary: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Lay out the paper's Table 3 in Markdown, a method a row."""
    digits = {"psnr": 2, "ssim": 4, "seconds": 3}
    titles = {"psnr": "PSNR (dB)", "ssim": "SSIM", "seconds": "seconds"}
    figures = [name for name in titles if any(name in columns for columns in summary.values())]
    kinds = ("highest", "lowest", "mean")
    head = ["", *(f"{titles[name]} {kind}" for name in figures for kind in kinds)]
    lines = [head, ["---", *("---:" for _ in head[1:])]]
    for method, columns in summary.items():
        cells = [
            f"{columns[name][kind]:.{digits[name]}f}" if name in columns else ""
            for name in figures
            for kind in kinds
        ]
        lines.append([method, *cells])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines[1] = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
        for line in lines
    )


def conclude(results: Sequence[Result], method: str) -> str:
    """Say in a sentence what a method gained over the blurry input."""
    gain = gains(results, method)
    better = sum(g > 0 for g in gain)
    return (
        f"{method}: {sum(gain) / len(gain):+.2f} dB over the blurry input on average, "
        f"better on {better} of {len(gain)} images ({better / len(gain):.0%})"
    )


class Report:
    """Collects an evaluation and writes it to a folder.

    sheets: the number of pictures on the before/after sheet, of `count` in all; they are drawn
    at random, the same each time, so that nobody picks the best.
    """

    def __init__(self, folder: Path, *, sheets: int, count: int) -> None:
        self.folder = folder
        self.results: list[Result] = []
        # This seed shows one crop of each of the four built-in test photos.
        self.chosen = {*np.random.default_rng(2).permutation(count)[:sheets].tolist()}
        self.rows: list[dict[str, Tensor]] = []
        self.seen = 0

    def add(self, pair: Pair, images: Mapping[str, Tensor], results: Sequence[Result]) -> None:
        """Take in one picture; a chosen one is written at once, as in the paper's Figures 4-6."""
        if self.seen in self.chosen:
            columns = {"blurred": pair.blur, "restored": images["restored"]}
            if results[0].scores:
                columns["sharp"] = pair.sharp
            self.rows.append({title: decode(image[0]) for title, image in columns.items()})
            (self.folder / "sheets").mkdir(parents=True, exist_ok=True)
            name = pair.name[0].replace("/", "-")
            sheet(self.folder / "sheets" / f"{name}.png", self.rows[-1:])
        self.seen += 1
        self.results += results

    def text(self) -> str:
        """Give Table 3, and what was gained over the blurry input under which protocol."""
        table = table3(summarize(self.results))
        if not self.results[0].scores:
            return table
        methods = dict.fromkeys(r.method for r in self.results if r.method != BLURRY)
        gained = [conclude(self.results, method) for method in methods]
        return "\n".join([table, "", "protocol wang-rgb", *gained])

    def write(self, about: Mapping[str, Any]) -> None:
        """Write metrics.json (what was measured, and how), the tables and the whole sheet."""
        if self.rows:
            sheet(self.folder / "sheet.png", self.rows)
        document = {"protocol": "wang-rgb", **about, "images": self.seen, "versions": _versions()}
        document["results"] = summarize(self.results)
        text = json.dumps(document, indent=2)
        (self.folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
        (self.folder / "table3.md").write_text(self.text() + "\n", encoding="utf-8")
        figures = list(self.results[0].scores)
        with open(self.folder / "per_image.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["name", "method", *figures, "seconds"])
            for result in self.results:
                scores = [f"{result.scores[name]:.6f}" for name in figures]
                writer.writerow([result.name, result.method, *scores, f"{result.seconds:.6f}"])

    def mean_psnr(self, method: str) -> float | None:
        """Give a method's mean PSNR in dB; None where there are no sharp pictures."""
        columns = summarize(self.results)[method]
        return columns["psnr"]["mean"] if "psnr" in columns else None


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("deblur", "torch", "torchmetrics")}
