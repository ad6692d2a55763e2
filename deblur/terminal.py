"""Safe output to terminals, and the signals that end a program."""

import logging
import signal
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from types import FrameType

SIGNALS = ("SIGTERM", "SIGHUP")
"""Signals that supervisors and closed terminals send; Windows has no SIGHUP."""
ONCE = 2.0
"""Seconds within which a repeated signal is the same request: process groups may get it twice."""
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""The bidirectional classes of Unicode's characters that change the direction of text."""


class Terminated(KeyboardInterrupt):
    """The program received SIGTERM or SIGHUP; cleanup is the same as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number
        """The exit status that shells expect."""


def describe(error: BaseException) -> str:
    """Return an error's text; of a file's error its name and the reason, without the number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error).strip()


@contextmanager
def raising_signals() -> Iterator[None]:
    """Raise Terminated when SIGTERM or SIGHUP would end the program without cleanup.

    Signals that are ignored, as under nohup, stay ignored. Does nothing in threads other than the
    main one, which handles signals.
    """
    last = -ONCE

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > ONCE:
            raise Terminated(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    ours = {number for number, handler in before.items() if handler is signal.SIG_DFL}
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def allow_any_name() -> None:
    """Make stdout and stderr escape characters that their encoding lacks: \\xe4 or \\u2192."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def printable(text: object) -> str:
    """Escape characters that could forge lines, colours or directions, and undecodable bytes.

    File names may contain any of these: a newline becomes \\n, ESC \\x1b, and a byte that is not in
    the file system's encoding \\xff.
    """
    return "".join(_escape(character) for character in str(text))


class Formatter(logging.Formatter):
    """Writes records of logs so that names in them cannot forge colours or directions.

    Lines are left alone: tables have some.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return "\n".join(map(printable, super().format(record).split("\n")))


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # Python's representation of an undecodable byte
        return f"\\x{code - 0xDC00:02x}"
    turns = unicodedata.bidirectional(character) in DIRECTIONS
    if turns or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape").decode()
    return character
