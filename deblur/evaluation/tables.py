"""The tables of an evaluation, in Markdown."""

from collections.abc import Container, Mapping, Sequence

import numpy as np

from deblur.evaluation.statistics import Summary
from deblur.evaluation.table4 import TABLE4, Published
from deblur.metrics.protocol import FIGURES, PROTOCOLS

KINDS = ("highest", "lowest", "mean", "median", "scene_mean")
ENDS = ("low", "high")
Results = Mapping[str, Mapping[str, Summary]]
"""The summary of each figure of each method, under one protocol."""


def table3(results: Results) -> str:
    """Format the paper's Table 3: the highest, lowest and mean of each method's figures.

    It also has the mean's 95% interval over scenes, the median, and the mean of the scenes' means.
    """
    head = ["", "", "highest", "lowest", "mean", "95% interval", "median", "mean of scenes"]
    rows = []
    for method, own in results.items():
        for name, summary in own.items():
            title = FIGURES[name].title
            if "count" in summary:
                rows.append([method, title, "", "", f"{summary['count']:.0f} pictures", "", "", ""])
                continue
            cells = {kind: write(name, summary.get(kind)) for kind in (*KINDS, *ENDS)}
            interval = f"{cells['low']} to {cells['high']}" if "low" in summary else ""
            highest, lowest, mean, median, scenes = (cells[kind] for kind in KINDS)
            rows.append([method, title, highest, lowest, mean, interval, median, scenes])
    return markdown(head, rows, left=2)


def by_part(parts: Mapping[str, Mapping[str, Sequence[tuple[float, ...]]]]) -> str:
    """Format the gains over the blurry input in each part of the data.

    parts: by part and method, each picture's PSNR (dB) and SSIM, then the blurry input's.
    """
    head = ["", "", "pictures", "blurry PSNR", "PSNR", "gain", "least gain", "SSIM gain", "SSIM up"]
    rows = []
    for part, methods in parts.items():
        for method, pictures in methods.items():
            # A picture without any error has an infinite gain. NaN is kept, since it is a fault.
            finite = [picture for picture in pictures if not np.isinf(picture).any()] or pictures
            psnr, ssim, before, similar = (np.array(column) for column in zip(*finite))
            with np.errstate(invalid="ignore"):
                gained = psnr - before
            gains = [f"{gained.mean():+.2f}", f"{gained.min():+.2f}"]
            up = f"{(ssim > similar).mean():.0%}"
            means = [f"{len(psnr)}", f"{before.mean():.2f}", f"{psnr.mean():.2f}"]
            rows.append([part, method, *means, *gains, f"{(ssim - similar).mean():+.4f}", up])
    return markdown(head, rows, left=2)


def tell_identical(results: Results) -> list[str]:
    """Return a line for each method with pictures that are identical to the sharp ones."""
    lines = []
    for method, own in results.items():
        psnr = own.get("psnr", {})
        if count := int(psnr.get("identical", 0)):
            are = "picture is" if count == 1 else "pictures are"
            line = f"{method}: {count} {are} identical to the sharp one: the mean PSNR is infinite"
            if "mean_of_others" in psnr:
                line += f", that of the others {write('psnr', psnr['mean_of_others'])} dB"
            lines.append(line)
    return lines


def side_by_side(protocols: Mapping[str, Results]) -> str:
    """Format the means of each method's figures under several protocols, on the same pictures."""
    methods = [*dict.fromkeys(method for results in protocols.values() for method in results)]
    rows = []
    for protocol, results in protocols.items():
        figures = [name for name in PROTOCOLS[protocol].figures if name != "unaligned"]
        means = [
            " / ".join(write(name, results[method][name]["mean"]) for name in figures)
            for method in methods
        ]
        titles = " / ".join(FIGURES[name].title for name in figures)
        rows.append([protocol, titles, *means])
    return markdown(["protocol", "", *methods], rows, left=2)


def table4(protocols: Mapping[str, Results], data: str, pairs: int, *, published: bool) -> str:
    """Format the paper's Table 4: systems side by side, with how each was measured.

    Args:
        protocols: The results under each protocol.
        data: The name of the data that they were measured on.
        pairs: The number of pairs.
        published: Add the paper's rows. Those measured under none of these protocols, or on other
            pictures, are marked: they cannot be compared.
    """
    head = ["", "PSNR (dB)", "SSIM", "seconds", "protocol", "data", "measured"]
    rows = []
    for protocol, results in protocols.items():
        for method, own in results.items():
            psnr, ssim, cw, seconds = (
                write(name, own.get(name, {}).get("mean"))
                for name in ("psnr", "ssim", "cw_ssim", "seconds")
            )
            similar = ssim or (cw and f"{cw} CW")
            rows.append(
                [method, psnr, similar, seconds, protocol, f"{data}, {pairs} pairs", "here"]
            )
    for row in TABLE4 if published else ():
        mark = "≠ " if differs(row, protocols, data, pairs) else ""
        ssim = f"{row.ssim:.3f}" + " CW" * row.protocol.startswith("deblurgan-legacy")
        figures = [f"{row.psnr:.2f}", ssim, f"{row.seconds:.2f}"]
        of = row.data + (f", {row.pairs} pairs" if row.pairs else "")
        rows.append([mark + row.system, *figures, row.protocol, of, row.measured])
    table = markdown(head, rows)
    note = "≠: measured by another protocol or on other pictures; not to be compared with the rest."
    return f"{table}\n\n{note}" if any(row[0].startswith("≠") for row in rows) else table


def differs(row: Published, protocols: Container[str], data: str, pairs: int) -> bool:
    """Return whether a published figure was measured by another protocol or on other pictures."""
    return row.protocol not in protocols or (row.data, row.pairs) != (data, pairs)


def describe(protocol: str) -> str:
    """Return a protocol's name and title in a line."""
    return f"protocol {protocol}: {PROTOCOLS[protocol].title}"


def write(figure: str, value: float | None) -> str:
    """Format a figure's value with its number of digits; "" for None."""
    return "" if value is None else f"{value:.{FIGURES[figure].digits}f}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Format a Markdown table; the first `left` columns are left-aligned, the others right."""
    lines = [[_cell(text) for text in line] for line in (head, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines)]
    rule = [
        "-" * width if column < left else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    lines.insert(1, rule)
    return "\n".join(
        "| "
        + " | ".join(
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths))
        )
        + " |"
        for line in lines
    )


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
