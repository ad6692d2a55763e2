"""Processes that share the work on many items; if one dies, another takes its item."""

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from deblur.media.pillow_settings import read_any_picture
from deblur.terminal import raising_signals

TRIES = 2
"""The number of processes that may die while working on an item before it is given up."""
GRACE = 10.0
"""The seconds in which a process without work must end."""
SPAWN = get_context("spawn")  # CUDA does not survive a fork
Tell = Callable[[Any], None]
Work = Callable[[Any, Tell], None]


def share(
    items: Iterable[Any],
    count: int,
    start: Callable[[int], Work],
    *,
    tell: Tell,
    give_up: Callable[[Any, str], None],
) -> None:
    """Work on items in as many processes as `count`, and return when all are done.

    Everything that is passed to the processes and back is pickled. If one dies, another process
    tries its item once more, after all others. On Ctrl-C and SIGTERM the processes are ended and
    their last messages are passed on, before KeyboardInterrupt is raised again.

    Args:
        items: The items to work on.
        count: The number of processes.
        start: Called in each process with its number, from 0; returns a function that works on one
            item, and that can send messages by its second argument.
        tell: Called here with each message of the processes.
        give_up: Called here with an item that no process has finished, and the reason.

    Raises:
        ValueError: No process could start; the message is the reason.
        KeyboardInterrupt: The work was interrupted.
    """
    waiting = deque((item, 1) for item in items)
    workers = [_Worker(number, start) for number in range(count)]
    reason, started = "", False
    try:
        while waiting or any(worker.task for worker in workers):
            for worker in workers:
                if waiting and worker.ready and worker.task is None:
                    worker.give(waiting.popleft())
            for worker in _wait(workers):
                if worker.listen(tell):
                    continue
                workers.remove(worker)
                reason, started = worker.end(), started or worker.ready
                if worker.task is not None:
                    item, tries = worker.task
                    if tries < TRIES:
                        waiting.append((item, tries + 1))
                    else:
                        give_up(item, f"{reason}, {TRIES} times")
                if waiting and worker.ready:
                    workers.append(_Worker(worker.number, start))
            if not workers and not started:
                raise ValueError(reason)
            while waiting and not workers:  # those that could not even start are not replaced
                give_up(waiting.popleft()[0], reason)
    except KeyboardInterrupt:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            while worker.listen(tell):
                pass
        raise
    finally:
        for worker in workers:
            worker.connection.close()
        for worker in workers:
            worker.end()


class _Worker:
    """A process, and its current task."""

    def __init__(self, number: int, start: Callable[[int], Work]) -> None:
        self.number = number
        self.task: tuple[Any, int] | None = None
        self.ready = False
        self.reason = ""
        """Why it could not start."""
        self.connection, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_work, args=(theirs, number, start), daemon=True)
        with _sheltered():
            self.process.start()
        theirs.close()

    def give(self, task: tuple[Any, int]) -> None:
        """Send the process a task."""
        self.task = task
        with suppress(OSError):  # if it is dead, `listen` finds out
            self.connection.send(task[0])

    def listen(self, tell: Tell) -> bool:
        """Take the next message; return False if the process is dead or cannot start."""
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            return False
        if kind == "unfit":
            self.reason = content
            return False
        if kind == "told":
            tell(content)
        else:
            self.ready, self.task = True, None
        return True

    def end(self) -> str:
        """Wait for the end of the process, and return why it ended."""
        self.process.join(GRACE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        status = self.process.exitcode or 0
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return self.reason or f"its process ended {how}"


def _wait(workers: list[_Worker]) -> list[_Worker]:
    """Wait for workers that have sent a message or died."""
    talking = wait([worker.connection for worker in workers])
    return [worker for worker in workers if worker.connection in talking]


@contextmanager
def _sheltered() -> Iterator[None]:
    """Block Ctrl-C while processes start, until they ignore it themselves."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which unblocks it, and is started with the first process
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection, number: int, start: Callable[[int], Work]) -> None:
    """Work on the items that the first process sends, until it closes the connection or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches all, and the first one decides
    with suppress(EOFError, OSError, KeyboardInterrupt), raising_signals(), read_any_picture():
        try:
            work = start(number)
        except Exception as error:
            connection.send(("unfit", str(error) or type(error).__name__))
            return
        while True:
            connection.send(("ready", None))
            work(connection.recv(), lambda content: connection.send(("told", content)))
