"""The report of an evaluation as one self-contained HTML page."""

import json
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, Undefined
from markupsafe import Markup
from PIL import Image

from deblur.evaluation.plot import FRAME, SIZE, scatter
from deblur.metrics.protocol import FIGURES, Figure

ASSETS = Path(__file__).parent.parent / "assets" / "page"
KINDS = ["mean", "median", "highest", "lowest", "scene_mean"]
"""Columns of the summary; for figures that are only counted, "mean" holds the count."""
COUNTS = ["No", "One", "Two", "Three", "Four", "Five"]
OTHERS = {
    "gain": Figure("gain (dB)", 2),
    "blur_sigma": Figure("blur sigma (px)", 2),
}
"""Numbers on the page that belong to no protocol."""


class Shown(NamedTuple):
    """Pictures of one test image, for the page."""

    name: str
    """The test image's name."""
    method: str
    """The method that restored it."""
    kind: str
    """sheet (drawn at random by scene), best or worst."""
    figures: dict[str, float]
    pictures: dict[str, Image.Image]
    """blurred and restored, then sharp and error if there is a sharp picture."""


class Cell(NamedTuple):
    """A figure in the summary."""

    text: str
    interval: str = ""
    best: bool = False


class SummaryTable(NamedTuple):
    """A protocol's table: the columns' titles, and for each figure a row per method."""

    columns: list[str]
    groups: dict[str, dict[str, list[Cell]]]


def page(
    document: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shown: Sequence[Shown]
) -> str:
    """Render an evaluation as HTML that requires no other file and no network.

    document: the content of metrics.json. rows: the rows of per_image.csv. shown: pictures to
    compare.
    """
    environment = Environment(
        loader=FileSystemLoader(ASSETS), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(number=_number, embed=_embed, json=_json, figure=_figure)
    protocols = document["protocols"]
    text = environment.get_template("report.html").render(
        document=document,
        summaries={name: _summarize(one["results"]) for name, one in protocols.items()},
        galleries=_galleries(shown),
        plot=scatter(protocols, rows),
        size=SIZE,
        frame=FRAME,
        table=_table(rows),
        style=Markup((ASSETS / "report.css").read_text("utf-8")),
        script=Markup((ASSETS / "report.js").read_text("utf-8")),
    )
    return text.strip() + "\n"


def _figure(name: str) -> Figure:
    return FIGURES.get(name) or OTHERS.get(name) or Figure(name.replace("_", " "), 4)


def _number(value: float | Undefined | None, digits: int = 2, sign: str = "") -> str:
    """Format a number; sign "+" also shows a positive sign, for gains."""
    if value is None or isinstance(value, Undefined):
        return "–"
    return f"{value:{sign}.{digits}f}"


def _json(value: Any) -> Markup:
    """Write JSON that is safe inside a script element, whatever its strings contain."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _embed(picture: Image.Image) -> str:
    """Return a picture as a data URI."""
    buffer = BytesIO()
    picture.convert("RGB").save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + b64encode(buffer.getvalue()).decode()


def _ordered(names: Sequence[str]) -> list[str]:
    """Sort figures in the order of FIGURES, unknown ones last, without duplicates."""
    known = [name for name in FIGURES if name in names]
    return [*known, *dict.fromkeys(name for name in names if name not in FIGURES)]


def _summarize(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> SummaryTable:
    names = _ordered([name for own in results.values() for name in own])
    given = {kind for own in results.values() for values in own.values() for kind in values}
    kinds = [kind for kind in KINDS if kind in given or kind == "mean"]
    groups = {}
    for name in names:
        best = _best(name, results)
        groups[_figure(name).title] = {
            method: [_cell(name, own[name], kind, best) for kind in kinds]
            for method, own in results.items()
            if name in own
        }
    return SummaryTable([kind.replace("_", " ") for kind in kinds], groups)


def _best(name: str, results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str | None:
    """Return the best mean of a figure, formatted; None if there is nothing to compare."""
    means = [own[name]["mean"] for own in results.values() if "mean" in own.get(name, {})]
    means = [mean for mean in means if not math.isnan(mean)]
    if len(results) < 2 or not means:
        return None
    figure = _figure(name)
    return _number(max(means) if figure.higher_is_better else min(means), figure.digits)


def _cell(name: str, values: Mapping[str, float], kind: str, best: str | None) -> Cell:
    digits = _figure(name).digits
    if kind not in values:
        counted = kind == "mean" and "count" in values
        return Cell(f"{values['count']:.0f} pictures" if counted else "")
    text = _number(values[kind], digits)
    if kind != "mean":
        return Cell(text)
    ends = [_number(values[end], digits) for end in ("low", "high") if end in values]
    return Cell(text, " to ".join(ends), text == best)


def _galleries(shown: Sequence[Shown]) -> list[tuple[str, str, dict[str, list[Shown]]]]:
    """Return the sections of pictures: kind, title, and the pictures by method."""
    galleries = []
    for kind, title in (("sheet", ""), ("worst", "{} worst"), ("best", "{} best")):
        methods: dict[str, list[Shown]] = {}
        for one in shown:
            if one.kind == kind:
                methods.setdefault(one.method, []).append(one)
        if methods:
            count = max(len(group) for group in methods.values())
            word = COUNTS[count] if count < len(COUNTS) else str(count)
            galleries.append((kind, title.format(word) or "Pictures drawn by scene", methods))
    return galleries


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the columns that are not empty (title, and digits or None for text) and the rows."""
    rows = [_sized(row) for row in rows]
    names = [*dict.fromkeys(name for row in rows for name in row)]
    names = [name for name in names if any(row.get(name) not in (None, "") for row in rows)]
    numbers = {n for n in names if all(isinstance(row.get(n), Real | None) for row in rows)}
    columns = [
        {"title": _figure(name).title, "digits": _figure(name).digits if name in numbers else None}
        for name in names
    ]
    values = [
        [_value(row.get(name)) if name in numbers else str(row.get(name) or "") for name in names]
        for row in rows
    ]
    return {"columns": columns, "rows": values}


def _sized(row: Mapping[str, Any]) -> dict[str, Any]:
    """Merge width and height into one column."""
    if "width" not in row or "height" not in row:
        return dict(row)
    size = f"{row['width']}x{row['height']}"
    items = [("size", size) if name == "width" else (name, value) for name, value in row.items()]
    return {name: value for name, value in items if name != "height"}


def _value(number: float | None) -> float | str | None:
    """Round a number for JSON; return infinities and NaN as the text that JavaScript parses."""
    if number is None or math.isfinite(number):
        return None if number is None else round(float(number), 6)
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
