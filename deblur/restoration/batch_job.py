"""One picture or video of many: restored, or the reason why not."""

import os
import time
from argparse import Namespace
from typing import Any

from deblur.restoration.batch import Job, Outcome
from deblur.restoration.progress import Tiles
from deblur.restoration.video import Progress, restore_film
from deblur.restoration.worker_pool import Tell


def restore_job(restorer: Any, options: Namespace, job: Job, tell: Tell) -> None:
    """Restore one file, and tell its Outcome, and before that how far it is.

    restorer: a Restorer. options: `quality` and `overwrite` of the command. Whatever goes wrong
    with one file is told, in a line, and not raised.
    """
    start = time.perf_counter()
    frames = Progress(0, None)

    def end(status: Any, reason: str = "", notes: tuple[str, ...] = ()) -> None:
        seconds = time.perf_counter() - start
        tell(Outcome(*job.names, status, seconds, reason, notes))

    def watch(progress: Progress) -> None:
        nonlocal frames
        frames = progress
        tell(progress)

    restorer.tiles.watch = lambda done, count: tell(Tiles(done, count))
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        exists = not options.overwrite and os.path.exists(job.target)
        notes: list[str] = []
        if not exists and job.moves:
            settings = {"quality": options.quality, "watch": watch}
            notes = restore_film(job.source, job.target, restorer.restore, **settings)
        elif not exists:
            settings = {"quality": options.quality, "overwrite": options.overwrite}
            notes = restorer.restore_file(job.source, job.target, format=options.format, **settings)
        notes += _write_sheet(job, options.overwrite)
    except KeyboardInterrupt:
        if frames.done and os.path.exists(job.target):
            of = f" of {frames.total}" if frames.total else ""
            told = f"{job.target} ends after {frames.done}{of} frames; --overwrite restores it all"
            end("failed", told)
        raise
    except Exception as error:  # libraries raise anything
        end("failed", explain(error))
    else:
        end("skipped" if exists else "restored", notes=tuple(notes))


def _write_sheet(job: Job, overwrite: bool) -> list[str]:
    """Write before and after side by side, if that is asked for; return what there is to say."""
    if job.sheet is None:
        return []
    if not overwrite and os.path.exists(job.sheet):
        return [f"{job.sheet} already exists and was not written (--overwrite does)"]
    from deblur.restoration.before_after import write_sheet

    write_sheet(job.sheet, job.source, job.target)
    return []


def explain(error: Exception) -> str:
    """Return the reason in a line, with the file's name in front where the error knows it."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    reason = str(error).strip()
    if reason and isinstance(error, (ValueError, OSError, ImportError)):
        return reason
    # Below its first line PyTorch prints where in its code it was, and advice.
    return ": ".join([type(error).__name__, *reason.splitlines()[:1]])
