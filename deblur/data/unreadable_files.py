"""Files that cannot be read: a run stops, or goes on without them, and says which they are."""

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from multiprocessing.util import Finalize
from typing import Literal, TypeVar

import torch
from torch import Tensor

from deblur.media.pillow_settings import read_any_picture

log = logging.getLogger(__name__)

Choice = Literal["stop", "skip"]
"""What is done about an unreadable file."""
HINT = " (data.unreadable=skip leaves such files out)"
GRACE = 30
"""Seconds that loading goes on after SIGTERM, which schedulers send to all processes at once."""
NOTE = 2048
"""Bytes in which a loading process notes its files, and again what was wrong with them."""
PROCESS, FILES, FAULT = range(3)
"""The rows of a loading process' notes: its number until it ends, its files, what was wrong."""

Item = TypeVar("Item")
Found = TypeVar("Found")


class UnreadableError(ValueError):
    """A file cannot be read in the middle of a run.

    Of a loading process' own error torch makes another with a long text: `explain` tells the file.
    """

    def __init__(self, told: str) -> None:
        super().__init__(told)
        _write_note(FAULT, told)


def sift(
    items: Sequence[Item], look: Callable[[Item], Found], choice: Choice | None
) -> dict[Item, Found]:
    """Look at all items of a data set, as at their files' heads, before hours are spent.

    Those at which look raises ValueError or OSError are named and counted: in a warning, where they
    are left out, else in a ValueError. choice: None where nothing may be left out.
    """
    found, faults = {}, []
    for item in items:
        try:
            found[item] = look(item)
        except (OSError, ValueError) as error:
            faults.append(_flat(error))
    if faults:
        told = f"of {len(items)}, {len(faults)} cannot be used: {'; '.join(faults[:3])}"
        told += "; ..." * (len(faults) > 3)
        if choice != "skip" or not found:
            raise ValueError(told + HINT * (choice == "stop"))
        log.warning("%s; left out", told)
    return found


def read_or_next(
    read: Callable[[int], Found], index: int, count: int, choice: Choice | None
) -> tuple[int, Found]:
    """Read one of so many items, or for skip instead of an unreadable one the next; give which.

    Raises UnreadableError where nothing is left out, or no item can be read.
    """
    for place in (*range(index, count), *range(index)):
        try:
            return place, read(place)
        except (OSError, ValueError) as error:
            if choice != "skip":
                raise UnreadableError(_flat(error) + HINT * (choice == "stop")) from error
            _warn_once(_flat(error))
    raise UnreadableError(f"none of {count} files can be read any more")


_known: set[str] = set()
_note: Tensor | None = None
_settings = ExitStack()


def _warn_once(fault: str) -> None:
    if fault not in _known:
        _known.add(fault)
        log.warning("%s; left out (%d in this process)", fault, len(_known))


def _flat(error: BaseException) -> str:
    return " ".join(str(error).split())


def make_notes(workers: int) -> Tensor:
    """Give memory in which so many processes note what they hold."""
    notes = torch.zeros((workers, 3, NOTE), dtype=torch.uint8)
    return notes.share_memory_()  # type: ignore[no-any-return, no-untyped-call]


def start_worker(notes: Tensor, number: int) -> None:
    """Let a loading process note what it holds, and live until the step is done that it is for.

    Ctrl-C and SIGTERM reach it too, but it is the training process that ends both.
    """
    global _note
    _note = notes[number]
    _settings.enter_context(read_any_picture())  # a process that is not forked has Pillow's own
    _write_note(PROCESS, str(os.getpid()))
    Finalize(None, _write_note, (PROCESS, ""), exitpriority=0)  # at an orderly end
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))


def hold(*files: object) -> None:
    """Note which files are about to be read, where this is a loading process."""
    _write_note(FILES, ", ".join(map(str, files)))


def explain(error: BaseException, notes: Iterable[Tensor]) -> str:
    """Say in one line which file ended a run; "" where it was none, and something else is wrong."""
    processes = [[_read_note(row) for row in process] for all_ in notes for process in all_]
    if isinstance(error, UnreadableError):
        return next((fault for *_, fault in processes if fault), str(error))
    living = {str(process.pid) for process in multiprocessing.active_children()}
    held = [files for pid, files, _ in processes if pid and pid not in living]
    if not held or not isinstance(error, RuntimeError):
        return ""
    return f"a loading process has died ({_flat(error)}); it held {'; '.join(held) or 'no file'}"


def _write_note(kind: int, text: str) -> None:
    if _note is not None:
        content = f"{text}\0".encode()[:NOTE]
        _note[kind, : len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _read_note(row: Tensor) -> str:
    return bytes(row.tolist()).partition(b"\0")[0].decode(errors="replace")
