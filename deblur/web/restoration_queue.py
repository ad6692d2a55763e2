"""Where the page's photos are restored, by models that are loaded when they are first asked for."""

import html
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from deblur.checkpoints.shipped import find_model
from deblur.media.formats.frame import Frame, as_image, fit
from deblur.media.photo import open_photo
from deblur.restoration.restorer import Restorer

log = logging.getLogger(__name__)
PREVIEW = 2048
"""Pixels of a preview's longer side; browsers stall on photos of 24 megapixels."""


class Stopped(Exception):
    """Nobody wants the result any more."""


class RestoredPhoto(NamedTuple):
    """A restored photo."""

    file: Path
    """Of the whole photo, as NAME_restored.EXT."""
    before: Path
    """A preview."""
    after: Path
    said: list[str]
    """What there is to say about it: its size, the time, what could not be kept as it was."""


class RestorationQueue:
    """Restores photos, one at a time.

    models: names of shipped ones, or paths. megapixels: of the largest photo, all frames counted.
    Raises FileNotFoundError for models that are not there.
    """

    def __init__(self, models: Sequence[str], *, megapixels: float) -> None:
        stems = Counter(Path(name).stem for name in models)
        self.models = {
            Path(name).stem if stems[Path(name).stem] == 1 else name: find_model(name)
            for name in models
        }
        """Their files, by what they are called on the page."""
        self.megapixels = megapixels
        self._restorers: dict[str, Restorer] = {}
        self._work = Lock()
        self._closed = False

    def close(self) -> None:
        """End what is being restored, and wait for its end."""
        self._closed = True
        with self._work:
            pass

    def restore(
        self, source: Path, folder: Path, model: str, strength: float, tick: Callable[[int], None]
    ) -> RestoredPhoto:
        """Restore a photo into a folder.

        strength: see `Restorer`. tick: is told all the time how many tiles are done; what it raises
        ends the work. Raises ValueError and OSError with the reason, and Stopped once closed.
        """
        with open_photo(source) as photo:
            (width, height), count = photo.size, photo.count
        millions = width * height * count / 1e6
        if millions > self.megapixels:
            raise ValueError(
                f"{source.name}: {millions:.1f} megapixels, this page takes {self.megapixels:g}"
            )
        target = folder / f"{source.stem}_restored{source.suffix}"
        with self._work:
            if model not in self._restorers:
                self._restorers[model] = Restorer.load(self.models[model])
            restorer = self._restorers[model]
            start = time.perf_counter()
            with _ticking(restorer.network, lambda done: self._watch(done, tick)):
                notes = restorer.restore_file(source, target, strength=strength)
            seconds = time.perf_counter() - start
        before, after = folder / "before.jpg", folder / "after.jpg"
        _write_preview(source, before)
        _write_preview(target, after)
        size = f"{source.name}: {width} × {height} pixels, restored in {seconds:.1f} seconds"
        return RestoredPhoto(target, before, after, [size, *notes])

    def _watch(self, done: int, tick: Callable[[int], None]) -> None:
        if self._closed:
            raise Stopped
        tick(done)


@contextmanager
def _ticking(network: nn.Module, tick: Callable[[int], None]) -> Iterator[None]:
    """Call `tick` before each of the network's layers, with how many tiles it has done."""
    done = 0

    def count(*_: Any) -> None:
        nonlocal done
        done += 1

    hooks = [layer.register_forward_pre_hook(lambda *_: tick(done)) for layer in network.modules()]
    hooks.append(network.register_forward_hook(count))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _write_preview(path: Path, target: Path) -> None:
    """Write a photo's first frame small enough for a browser, in its own colours, as JPEG."""
    with open_photo(path) as photo:
        frame = fit(next(photo.frames()), "JPEG", photo.notes.append, alpha=False, deep=False)
        image = as_image(frame)
        image.thumbnail((PREVIEW, PREVIEW))
        pixels = np.asarray(image)
        photo.write(target, [Frame(pixels.reshape(*pixels.shape[:2], -1))], quality=90)


def explain(error: Exception, *folders: Path) -> str:
    """Say as HTML what went wrong, without the folders' names; log what nobody thought of."""
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    elif isinstance(error, (ValueError, OSError, ImportError)):
        reason = str(error)
    else:
        log.error("a photo could not be restored", exc_info=error)
        reason = "something went wrong; the terminal of deblur web says what"
    for folder in folders:
        reason = reason.replace(f"{folder}{os.sep}", "")
    return html.escape(reason.rstrip(".")) + "."
