"""Where the server's photos are restored: one at a time, by models loaded when first asked for."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock
from typing import Any, Generic, TypeVar

from deblur.checkpoints import load_generator
from deblur.checkpoints.shipped import find_model, find_models, list_shipped
from deblur.hardware import release_memory
from deblur.restoration.restorer import Restorer
from deblur.restoration.scale import Scale

T = TypeVar("T")


class Stopped(Exception):
    """Nobody wants the result any more."""


class Closing(Exception):
    """The server is about to end and begins nothing new."""


class QueueFull(Exception):
    """No more may wait.

    Attributes:
        seconds: The time after which it is worth asking again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many photos are waiting; try again in {seconds} seconds")
        self.seconds = seconds


class Job(Generic[T]):
    """A piece of work that waits, is done, or has ended."""

    def __init__(self) -> None:
        self.future: Future[T] = Future()
        self.begun = False
        self.done = 0
        """The number of the current picture's restored tiles."""
        self.total = 0
        """The number of all its tiles."""
        self._stop = Event()

    def stop(self) -> None:
        """End the work at the network's next layer, or before it begins."""
        self._stop.set()
        self.future.cancel()

    def check(self) -> None:
        """Raise Stopped where the work was stopped."""
        if self._stop.is_set():
            raise Stopped

    def advance(self, done: int, total: int) -> None:
        """Store the number of finished tiles."""
        self.done, self.total = done, total


class RestorationQueue:
    """Does one restoration after another, and lets a few wait.

    models: names of shipped ones, or paths. most: how many may wait. Raises FileNotFoundError for
    models that are not there, and ValueError for files that hold none.
    """

    def __init__(self, models: Sequence[str], *, most: int) -> None:
        stems = Counter(Path(name).stem for name in models)
        self.models = {
            Path(name).stem if stems[Path(name).stem] == 1 else name: find_models(name)
            for name in models
        }
        """The models' files, and those of models for noisy photos, by their names here."""
        for file in {file for file, _ in self.models.values()} - {*map(find_model, list_shipped())}:
            load_generator(file)
        self.most = most
        self._restorers: dict[str, Restorer] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="restoration")
        self._jobs: list[Job[Any]] = []
        self._lock = Lock()
        self._closed = False
        self._pace = 1.0

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return max(0, len(self._jobs) - 1)

    @property
    def closed(self) -> bool:
        """Whether nothing new is begun."""
        return self._closed

    def submit(self, work: Callable[[Job[T]], T]) -> Job[T]:
        """Let work wait for its turn.

        Raises QueueFull where too many wait, and Closing once the queue is closed.
        """
        job = Job[T]()
        with self._lock:
            if self._closed:
                raise Closing
            if len(self._jobs) > self.most:
                raise QueueFull(min(60, math.ceil(self._pace * len(self._jobs))))
            self._jobs.append(job)
            job.future = self._pool.submit(self._run, job, work)
        job.future.add_done_callback(lambda _: self._forget(job))
        return job

    def place(self, job: Job[Any]) -> int:
        """Return how many are before a job; 0 if it is running or has ended."""
        with self._lock:
            return self._jobs.index(job) if job in self._jobs else 0

    @contextmanager
    def restorer(self, job: Job[Any], model: str, scale: Scale) -> Iterator[Restorer]:
        """Lend a job, while it runs, a model that tells it of its tiles and obeys its stop."""
        if model not in self._restorers:
            path, noisy = self.models[model]
            self._restorers[model] = Restorer.load(path, noisy=noisy)
        restorer = self._restorers[model]
        restorer.scale = scale
        restorer.watch = job.advance
        layers = (layer for network in restorer.networks for layer in network.modules())
        hooks = [layer.register_forward_pre_hook(lambda *_: job.check()) for layer in layers]
        try:
            yield restorer
        finally:
            restorer.watch = None
            for hook in hooks:
                hook.remove()

    def refuse(self) -> None:
        """Begin nothing new: what waits ends with Closing; what runs continues."""
        with self._lock:
            self._closed = True

    def halt(self) -> None:
        """Begin nothing new, and end what is being done."""
        self.refuse()
        for job in [*self._jobs]:
            job.stop()

    def close(self) -> None:
        """End what is being done, and wait for its end."""
        self.halt()
        self._pool.shutdown()

    def _run(self, job: Job[T], work: Callable[[Job[T]], T]) -> T:
        job.check()
        if self._closed:
            raise Closing
        job.begun = True
        start = time.monotonic()
        try:
            result = work(job)
        finally:
            release_memory()
        self._pace += (time.monotonic() - start - self._pace) / 4
        return result

    def _forget(self, job: Job[Any]) -> None:
        with self._lock:
            self._jobs.remove(job)
