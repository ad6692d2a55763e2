"""Files that cannot be read: a run stops, or goes on without them, and says which they are."""

import logging
import os
import re
import signal
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Choice = Literal["stop", "skip"]
"""What is done about an unreadable file."""
HINT = " (data.unreadable=skip leaves such files out)"
GRACE = 30
"""Seconds that loading goes on after SIGTERM, which schedulers send to all processes at once."""
NOTE = 2048
"""Bytes in which a loading process notes its file."""

Item = TypeVar("Item")
Found = TypeVar("Found")


class UnreadableError(ValueError):
    """A file cannot be read in the middle of a run."""


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


def _warn_once(fault: str) -> None:
    if fault not in _known:
        _known.add(fault)
        log.warning("%s; left out (%d in this process)", fault, len(_known))


def _flat(error: BaseException) -> str:
    return " ".join(str(error).split())


def make_notes(workers: int) -> Tensor:
    """Give memory in which so many processes note what they hold."""
    notes = torch.zeros((workers, NOTE), dtype=torch.uint8)
    return notes.share_memory_()  # type: ignore[no-any-return, no-untyped-call]


def start_worker(notes: Tensor, number: int) -> None:
    """Let a loading process note what it holds, and live until the step is done that it is for.

    Ctrl-C and SIGTERM reach it too, but it is the training process that ends both.
    """
    global _note
    _note = notes[number]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))


def hold(*files: object) -> None:
    """Note which files are about to be read, where this is a loading process."""
    if _note is not None:
        text = f"{os.getpid()} {', '.join(map(str, files))}\0".encode()[:NOTE]
        _note[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)


def explain(error: BaseException, notes: Iterable[Tensor]) -> str:
    """Say in one line which file ended a run; "" where it was none, and something else is wrong."""
    if isinstance(error, UnreadableError):
        return str(error).splitlines()[-1].split("UnreadableError: ")[-1]  # a process adds its own
    if not (dead := re.search(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)(.*)", str(error))):
        return ""
    texts = (bytes(row.tolist()).partition(b"\0")[0].decode() for all_ in notes for row in all_)
    held = [text.split(" ", 1)[1] for text in texts if text.split(" ")[0] in dead[1].split(", ")]
    return f"a loading process has died ({dead[2].strip()}); it held {'; '.join(held) or 'no file'}"
