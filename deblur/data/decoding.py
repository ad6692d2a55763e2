"""Decodes all pictures before they are used, so that damaged ones do not end a run hours later."""

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
"""The most that are used: each holds a whole picture in memory."""
Stamp = tuple[int, int]
"""A file's size in bytes, and the time of its last change in nanoseconds."""


def find_damaged(files: Iterable[Path]) -> dict[Path, str]:
    """Decode pictures; return those that cannot be read, with the reason.

    Files that were decoded before, and have the same path, size and time of change, are skipped:
    the database at `find_cache` records them. A damaged file is decoded, and named, each time. The
    first process of a run shows a progress bar if stderr is a terminal.
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
        pool.shutdown(cancel_futures=True)  # at Ctrl-C, finish only the files already begun
    known = len(stamps) - len(new)
    log.info("pictures decoded in advance: %d; decoded earlier: %d", len(new), known)
    _remember({file: stamps[file] for file in new if file not in faults})
    return faults


def refuse(damaged: Mapping[Path, str], files: Iterable[Path]) -> None:
    """Raise ValueError if `find_damaged` found one of these files damaged."""
    for file in files:
        if file in damaged:
            raise ValueError(damaged[file])


def find_cache() -> Path:
    """Return the path of the database of decoded files, in DEBLUR_CACHE or the user's cache."""
    return find_cache_folder() / "decoded.sqlite"


def _find_fault(file: Path) -> str:
    """Decode a picture; return what is wrong with it, "" if nothing is."""
    try:
        decode(file)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _stamp(file: Path) -> Stamp:
    try:
        stat = file.stat()
    except OSError:  # decoding it reports the reason
        return (-1, -1)
    return (stat.st_size, stat.st_mtime_ns)


def _recall(stamps: Mapping[Path, Stamp]) -> set[Path]:
    """Return the files that were decoded before and have not changed since."""
    query = "SELECT size, time FROM decoded WHERE path = ?"
    try:
        with closing(_open()) as base:
            return {f for f in stamps if base.execute(query, [_key(f)]).fetchone() == stamps[f]}
    except (sqlite3.Error, OSError) as error:
        log.warning("%s: cannot be read (%s), decoding all pictures again", find_cache(), error)
        return set()


def _remember(stamps: Mapping[Path, Stamp]) -> None:
    """Record that files were decoded; if that fails, they are decoded again the next time."""
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
    """Return a path as bytes: a file name need not be valid text."""
    return os.fsencode(os.path.abspath(file))
