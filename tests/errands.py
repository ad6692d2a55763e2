"""Work for processes, which die or sleep over some of it; without PyTorch, they start fast."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from deblur.restoration.worker_pool import Tell, Work


def die() -> None:
    """End this process as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def create(path: str) -> bool:
    """Create a file; return False if it exists."""
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def start(number: int) -> Work:
    """Start a process that works as `work` does."""
    return work


def start_badly(number: int) -> Work:
    """Fail to start."""
    raise FileNotFoundError("no model")


def start_once(path: str, number: int) -> Work:
    """Start the first process, but no other."""
    return work if create(path) else start_badly(number)


def start_and_die(number: int) -> Work:
    """Die before any work."""
    die()
    return work


def work(item: Any, tell: Tell) -> None:
    """Tell (item, the number of this process); die of "die", sleep over "sleep"."""
    if item == "die" or isinstance(item, Path) and create(str(item)):
        die()
    if item == "sleep":
        try:
            tell("sleeping")  # inside: the signal may arrive as soon as this is read
            time.sleep(120)
        finally:
            tell("woken")
    tell((item, os.getpid()))
