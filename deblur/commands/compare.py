"""Compare training runs: how their settings differ, and their best figures.

deblur compare runs/paper runs/kupyn
deblur compare runs/sweep/2026-11-22_10-00-00 --metric val/ssim

RUNS are folders of runs, or folders that contain them. The best epoch is that of the highest
validation PSNR, or of another logged figure (--metric). Runs that failed or are still running are
listed, too, with a note.
"""

import argparse
import csv
import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deblur.evaluation.tables import markdown
from deblur.jobs import run_status
from deblur.jobs.run_folder import read_config
from deblur.terminal import printable

CONFIG = Path(".hydra", "config.yaml")
LOG = Path("csv", "metrics.csv")
PLACES = ("run_dir", "ckpt", "trainer.logger", "trainer.callbacks", "trainer.default_root_dir")
WIDEST = 160
"""Characters of a line where there is no terminal."""
LOWER = ("train/", "time/", "val/change")
"""Figures of which less is better."""


@dataclass
class Run:
    """A training run."""

    folder: Path
    settings: dict[str, str]
    written: dict[str, str]
    """The settings before they are resolved: what refers to others."""
    figures: dict[str, str]
    whole: bool = True
    """Whether all settings are known; of a job that was refused it is those that were typed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUNS", help="folders of runs")
    about = "the figure that tells the best epoch (default %(default)s)"
    parser.add_argument("--metric", default="val/psnr", help=about)


def run(options: argparse.Namespace) -> int:
    """Print the table: runs are its rows, the best first."""
    folders = [folder for root in options.runs for folder in _find(root)]
    runs = [_read(folder, options.metric) for folder in dict.fromkeys(folders)]
    _check_metric(options.metric, [one.folder for one in runs])
    sign = 1 if options.metric.startswith(LOWER) else -1
    missing = float("inf")
    runs.sort(key=lambda run: sign * float(run.figures.get(options.metric, sign * missing)))
    keys = _differing(runs)
    figures = [*dict.fromkeys(name for one in runs for name in one.figures)]
    names = _names([one.folder for one in runs])
    head = ["run", *_short(keys), *figures]
    rows = [
        [name, *(one.settings.get(key, "") for key in keys)]
        + [one.figures.get(figure, "") for figure in figures]
        for name, one in zip(names, runs)
    ]
    text = markdown(head, rows)
    console = Console()
    room = console.width if console.is_terminal else WIDEST
    below = ""
    if max(map(len, text.split("\n"))) > room:  # settings and reasons get lines of their own
        head, rows, below = _split(names, runs, keys, figures, room)
        text = markdown(head, rows)
    if not console.is_terminal:
        print(text)
        if below:
            print(f"\n{below}")
        return 0
    table = Table()
    for title in head:
        table.add_column(title, justify="right" if title in figures else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
    if below:
        console.print(below, markup=False, highlight=False, soft_wrap=True)
    return 0


def _split(
    names: list[str], runs: list[Run], keys: list[str], figures: list[str], room: int
) -> tuple[list[str], list[list[str]], str]:
    """Lay out many settings: a table of the figures, and below it a list of what differs.

    In the list each setting has its values, and of each value the runs that have it, by their
    numbers in the table.
    """
    rows = [
        [str(number), name, *(one.figures.get(figure, "").split(":")[0] for figure in figures)]
        for number, (name, one) in enumerate(zip(names, runs), 1)
    ]
    lines = []
    for key in keys:
        having: dict[str, list[str]] = {}
        for number, one in enumerate(runs, 1):
            having.setdefault(one.settings.get(key, "not set"), []).append(str(number))
        values = "; ".join(f"{value} ({', '.join(own)})" for value, own in having.items())
        lines.append(f"{key}: {values}")
    ends = {str(number): one.figures.get("end", "") for number, one in enumerate(runs, 1)}
    lines += [f"run {number} {end}" for number, end in ends.items() if ":" in end]
    wrapped = [line for one in lines for line in wrap(one, room, subsequent_indent="    ")]
    return ["", "run", *figures], rows, "\n".join(wrapped)


def _find(root: Path) -> list[Path]:
    """List the training runs in a folder, itself included; raise where there is none."""
    places = {path.parent.parent for path in root.glob(f"**/{CONFIG}")}
    places = {folder for folder in places if _is_run(folder)}
    refused = {path.parent for path in root.glob(f"**/{run_status.NAME}")}  # jobs of sweeps
    if runs := sorted(places | refused):
        return runs
    raise FileNotFoundError(f"{root}: no training run (a folder with {CONFIG}) in it")


def _is_run(folder: Path) -> bool:
    """Return whether a folder is a training run's; say so where that cannot be read."""
    try:
        return "trainer" in OmegaConf.load(folder / CONFIG)
    except Exception as error:  # libraries raise anything for a damaged file
        reason = " ".join(str(error).split())
        print(f"left out {printable(folder)}: {CONFIG}: {printable(reason)}", file=sys.stderr)
        return False


def _read(folder: Path, metric: str) -> Run:
    """Read a run's settings, the figures of its best epoch, and how it ended."""
    figures = {**_read_figures(folder / LOG, metric), **_read_end(folder)}
    if not (folder / CONFIG).is_file():
        end = run_status.read(folder)
        typed = [one.partition("=") for one in (end.overrides if end else [])]
        settings = {key.lstrip("+"): value for key, _, value in typed}
        return Run(folder, settings, settings, figures, whole=False)
    config = read_config(folder)
    config.run_dir = str(folder)  # which Hydra alone could resolve
    settings, written = (_flatten(config, resolve=resolve) for resolve in (True, False))
    return Run(folder, settings, written, figures)


def _read_end(folder: Path) -> dict[str, str]:
    """Return how a run ended, unless it succeeded; early versions did not record it."""
    end = run_status.read(folder)
    if end is None or end.status == "finished":
        return {}
    return {"end": f"{end.status}: {end.error}" if end.error else end.status}


def _check_metric(metric: str, folders: Sequence[Path]) -> None:
    """Raise ValueError if some runs have logs, but none of them has the figure."""
    logged: set[str] = set()
    for folder in folders:
        if (path := folder / LOG).is_file():
            with open(path, newline="", encoding="utf-8") as file:
                logged |= {*next(csv.reader(file), [])}
    if logged and metric not in logged:
        names = ", ".join(sorted(logged - {"epoch", "step"}))
        raise ValueError(f"--metric {metric}: not in the runs' logs, expected one of {names}")


def _read_figures(path: Path, metric: str) -> dict[str, str]:
    if not path.is_file():
        return {"epochs": "no log"}
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get(metric)]
    rows = [row for row in rows if math.isfinite(float(row[metric]))]
    if not rows:
        return {"epochs": "0"}
    best = (min if metric.startswith(LOWER) else max)(rows, key=lambda row: float(row[metric]))
    shown = dict.fromkeys([metric, "val/psnr", "val/ssim", "val/blur_psnr"])
    figures = {name: f"{float(best[name]):.4f}" for name in shown if best.get(name)}
    last = max(int(row["epoch"]) for row in rows) + 1
    best_epoch = str(int(best["epoch"]) + 1)
    return {**figures, "best epoch": best_epoch, "epochs": str(last)}


def _flatten(config: Any, prefix: str = "", *, resolve: bool) -> dict[str, str]:
    """List a config's values by their dotted keys; what cannot be resolved stays as it is."""
    flat: dict[str, str] = {}
    plain: Any = OmegaConf.to_container(config)
    for key, value in plain.items():
        name = f"{prefix}{key}"
        if name in PLACES:
            continue
        if isinstance(value, dict):
            flat |= _flatten(config[key], f"{name}.", resolve=resolve)
            continue
        with suppress(OmegaConfBaseException):
            if resolve and not OmegaConf.is_dict(config[key]):  # else its keys are listed there
                list_ = OmegaConf.is_list(config[key])
                value = OmegaConf.to_container(config[key], resolve=True) if list_ else config[key]
        flat[name] = str(value)
    return flat


def _differing(runs: list[Run]) -> list[str]:
    """List the settings that differ; those that refer to another one alike are left to that."""
    whole = [one for one in runs if one.whole] or runs
    keys = dict.fromkeys(key for one in whole for key in one.settings)

    def differs(key: str) -> bool:
        own = [one for one in runs if one.whole or key in one.settings]
        kinds = ({one.settings.get(key) for one in own}, {one.written.get(key) for one in own})
        return all(len(kind) > 1 for kind in kinds)

    return [key for key in keys if differs(key)]


def _short(keys: list[str]) -> list[str]:
    """Shorten dotted keys to their last part, where that is clear."""
    ends = [key.rpartition(".")[2] for key in keys]
    return [end if ends.count(end) == 1 else key for key, end in zip(keys, ends)]


def _names(folders: list[Path]) -> list[str]:
    """Name folders by their paths, without what all of them begin with."""
    parts = [folder.parts for folder in folders]
    shared = 0
    while all(len(p) > shared + 1 and p[shared] == parts[0][shared] for p in parts):
        shared += 1
    return [printable("/".join(p[shared:])) for p in parts]
