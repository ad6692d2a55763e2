"""How far a long job is: a bar on a terminal, a few lines in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    track,
)

log = logging.getLogger(__name__)

Item = TypeVar("Item")
LINES = 10
"""The number of lines of a log, evenly spaced, besides one after the first item."""
OFTEN = 250
"""The number of frames between lines of a log where a video does not say how many it has."""


def watch(items: Iterable[Item], count: int, what: str) -> Iterator[Item]:
    """Go through items, `count` of them, and show how many are done and what is left.

    what: the items' noun, in the plural.
    """
    if sys.stderr.isatty():
        yield from track(items, what, count, console=Console(stderr=True), transient=True)
        return
    start = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if done == 1 or done * LINES // count > (done - 1) * LINES // count:
            spent = time.monotonic() - start
            left = f", about {spent / done * (count - done):.0f} s left" * (done < count)
            log.info("%d of %d %s in %.0f s%s", done, count, what, spent, left)


class Tiles(NamedTuple):
    """How far a picture is that is restored in tiles."""

    done: int
    total: int


class Adapting(NamedTuple):
    """How far a network is adapted to a video."""

    seconds: float
    of: float


class Bar:
    """Shows how many are done, how many a minute, and the time left.

    Without a terminal it prints a few lines for each video, and nothing for pictures.
    """

    def __init__(self, count: int, quiet: bool) -> None:
        self.prints = not quiet and not sys.stderr.isatty()
        self.start = self.began = time.perf_counter()
        self.progress = Progress(
            TextColumn("restoring"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=quiet or not sys.stderr.isatty(),
        )
        self.done = 0
        self.task = self.progress.add_task("", total=count, pace="")

    def __enter__(self) -> "Bar":
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def advance(self) -> None:
        """Count one more picture."""
        self.done += 1
        self.progress.update(self.task, completed=self.done)
        pace = 60 * self.done / (time.perf_counter() - self.start)
        self.progress.update(self.task, pace=f"{pace:.1f} a minute")
        self.began = time.perf_counter()

    def watch(self, state: Any) -> None:
        """Show how far a video or its adaptation is, or a picture in tiles."""
        if isinstance(state, Adapting):
            self._watch_adapting(state)
            return
        if isinstance(state, Tiles):
            share = state.done / state.total
            pace = f"tile {state.done} of {state.total}"
            self.progress.update(self.task, completed=self.done + share, pace=pace)
            return
        pace = state.done / max(1e-6, time.perf_counter() - self.began)
        of = f" of {state.total}" if state.total else ""
        told = f"frame {state.done}{of}, {pace:.1f} a second"
        share = state.done / state.total if state.total else 0
        self.progress.update(self.task, completed=self.done + min(share, 1), pace=told)
        step = max(1, state.total // LINES) if state.total else OFTEN
        if self.prints and (state.done == 1 or state.done % step == 0):
            print(told, file=sys.stderr, flush=True)

    def _watch_adapting(self, adapting: Adapting) -> None:
        """Show how far an adaptation is; in a log by its beginning and its end."""
        told = f"adapting, {adapting.seconds:.0f} of {adapting.of:.0f} s"
        self.progress.update(self.task, pace=told)
        self.began = time.perf_counter()
        if self.prints and adapting.seconds in (0, adapting.of):
            print(told, file=sys.stderr, flush=True)
