"""How far a long job is: a bar on a terminal, a few lines in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

log = logging.getLogger(__name__)

Item = TypeVar("Item")
LINES = 10
"""So many lines of a log, evenly, and one after the first item."""


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
