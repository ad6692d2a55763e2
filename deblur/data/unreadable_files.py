"""Files that cannot be read: a run stops or continues without them, and names them."""

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
"""Whether an unreadable file ends the run ("stop") or is left out ("skip")."""
HINT = " (data.unreadable=skip leaves such files out)"
GRACE = 30
"""Seconds that a loading process lives on after SIGTERM, which schedulers send to all at once."""
NOTE = 2048
"""Bytes of each of a loading process' notes."""
PROCESS, FILES, FAULT = range(3)
"""A loading process' notes: its process id until it ends, the files it reads, and its fault."""

Item = TypeVar("Item")
Found = TypeVar("Found")


class UnreadableError(ValueError):
    """A file cannot be read in the middle of a run.

    torch replaces an error of a loading process by another with a long text; so the message is
    noted here, and `explain` returns it.
    """

    def __init__(self, told: str) -> None:
        super().__init__(told)
        _write_note(FAULT, told)


def sift(
    items: Sequence[Item], look: Callable[[Item], Found], choice: Choice | None
) -> dict[Item, Found]:
    """Check all items of a data set; return the usable ones with what `look` returned for them.

    Items for which `look` raises ValueError or OSError are counted and named: in a warning if they
    are left out, else in a ValueError. choice: None if nothing may be left out.
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
    """Read an item, or with "skip" the next one if it is unreadable.

    Args:
        read: Reads an item, by its index.
        index: The item to read, 0 to count - 1.
        count: The number of items.
        choice: What to do if it is unreadable; None works as "stop".

    Returns:
        The index of the item that was read, and its content.

    Raises:
        UnreadableError: The item is unreadable and may not be left out, or all items are.
    """
    for place in (*range(index, count), *range(index)):
        try:
            return place, read(place)
        except (OSError, ValueError) as error:
            if choice != "skip":
                raise UnreadableError(_flat(error) + HINT * (choice == "stop")) from error
            _warn_once(_flat(error))
    raise UnreadableError(f"none of the {count} files can be read any more")


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
    """Return shared memory for the notes of this many loading processes."""
    notes = torch.zeros((workers, 3, NOTE), dtype=torch.uint8)
    return notes.share_memory_()  # type: ignore[no-any-return, no-untyped-call]


def start_worker(notes: Tensor, number: int) -> None:
    """Prepare a loading process: it notes its files, and outlives Ctrl-C and SIGTERM for a while.

    Both signals reach it, too, but the training process still needs its data to end the step, and
    then ends it.
    """
    global _note
    _note = notes[number]
    _settings.enter_context(read_any_picture())  # a spawned process has Pillow's default settings
    _write_note(PROCESS, str(os.getpid()))
    Finalize(None, _write_note, (PROCESS, ""), exitpriority=0)  # at a regular exit
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))


def hold(*files: object) -> None:
    """Note the files that are about to be read, if this is a loading process."""
    _write_note(FILES, ", ".join(map(str, files)))


def explain(error: BaseException, notes: Iterable[Tensor]) -> str:
    """Return one line that names the file that ended a run; "" if something else ended it."""
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
        content = f"{text}\0".encode(errors="backslashreplace")[:NOTE]
        _note[kind, : len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _read_note(row: Tensor) -> str:
    return bytes(row.tolist()).partition(b"\0")[0].decode(errors="replace")
