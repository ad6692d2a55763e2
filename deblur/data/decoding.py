"""Pictures decoded to their last pixel before a training: none is found damaged hours later."""

import logging
import os
import sqlite3
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.progress import track

from deblur.distributed import is_first
from deblur.hardware import find_cache_folder
from deblur.media.images import decode

log = logging.getLogger(__name__)

THREADS = 8
"""At most: each holds a whole picture."""
Stamp = tuple[int, int]
"""A file's size in bytes, and the time of its last change in nanoseconds."""


def find_damaged(files: Iterable[Path]) -> dict[Path, str]:
    """Decode pictures; return those that cannot be read, and why.

    What was decoded before, and has the same path, size and time since, is not decoded again: the
    data base `find_cache` knows it. A damaged file is decoded, and named, each time. The first
    process of a run shows a progress bar, where the errors' stream is a terminal.
    """
    stamps = {file: _stamp(file) for file in dict.fromkeys(files)}
    new = sorted(stamps.keys() - _recall(stamps))
    if not new:
        return {}
    hidden = not (is_first() and sys.stderr.isatty())
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, THREADS))
    try:
        found = track(
            pool.map(_find_fault, new),
            "decoding all pictures",
            len(new),
            console=Console(stderr=True),
            transient=True,
            disable=hidden,
        )
        faults = {file: fault for file, fault in zip(new, found) if fault}
    finally:
        pool.shutdown(cancel_futures=True)  # at Ctrl-C what is begun is finished, and no more
    known = len(stamps) - len(new)
    log.info("pictures decoded before training: %d; known from before: %d", len(new), known)
    _remember({file: stamps[file] for file in new if file not in faults})
    return faults


def refuse(damaged: Mapping[Path, str], files: Iterable[Path]) -> None:
    """Raise ValueError where one of some files is damaged, as `find_damaged` found."""
    for file in files:
        if file in damaged:
            raise ValueError(damaged[file])


def find_cache() -> Path:
    """Return the path of the data base of what was decoded, in DEBLUR_CACHE or the user's cache."""
    return find_cache_folder() / "decoded.sqlite"


def _find_fault(file: Path) -> str:
    """Decode a picture; return what is wrong with it, or ""."""
    try:
        decode(file)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _stamp(file: Path) -> Stamp:
    try:
        stat = file.stat()
    except OSError:  # decoding it tells
        return (-1, -1)
    return (stat.st_size, stat.st_mtime_ns)


def _recall(stamps: Mapping[Path, Stamp]) -> set[Path]:
    """Return those of some files that were decoded before, and have not changed since."""
    query = "SELECT size, time FROM decoded WHERE path = ?"
    try:
        with closing(_open()) as base:
            return {f for f in stamps if base.execute(query, [_key(f)]).fetchone() == stamps[f]}
    except (sqlite3.Error, OSError) as error:
        log.warning("%s: cannot be read (%s), so all pictures are decoded", find_cache(), error)
        return set()


def _remember(stamps: Mapping[Path, Stamp]) -> None:
    """Note that files were decoded; without room or rights for it they will be once more."""
    rows = [(_key(file), *stamp) for file, stamp in stamps.items()]
    try:
        with closing(_open()) as base, base:
            base.executemany("INSERT OR REPLACE INTO decoded VALUES (?, ?, ?)", rows)
    except (sqlite3.Error, OSError) as error:
        log.warning("%s: cannot be written (%s)", find_cache(), error)


def _open() -> sqlite3.Connection:
    path = find_cache()
    path.parent.mkdir(parents=True, exist_ok=True)
    base = sqlite3.connect(path, timeout=30)  # several runs may start at once
    base.execute("CREATE TABLE IF NOT EXISTS decoded (path BLOB PRIMARY KEY, size INT, time INT)")
    return base


def _key(file: Path) -> bytes:
    """Write a path as bytes: a name may be no valid text."""
    return os.fsencode(os.path.abspath(file))
