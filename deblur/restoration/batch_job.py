"""Restores one picture or video of many, and reports the outcome."""

import os
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from deblur.atomic import check_target
from deblur.checkpoints import load_generator
from deblur.checkpoints.shipped import find_model
from deblur.restoration.batch import Job, Outcome, is_video
from deblur.restoration.in_place import find_original, is_restored, replace_restored
from deblur.restoration.progress import Tiles
from deblur.restoration.video import NotBlurredError, Progress, name_part, restore_video
from deblur.restoration.worker_pool import Tell
from deblur.terminal import describe


def restore_job(restorer: Any, options: Namespace, job: Job, tell: Tell) -> None:
    """Restore one file, and report its progress and its Outcome.

    An error other than KeyboardInterrupt is not raised: it becomes an Outcome with the reason.

    Args:
        restorer: A Restorer.
        options: The command's `format`, `quality`, `overwrite`, `only_blurred`, `sharpness` and
            `adapt`, and with that `model`, `trust` and `stages`.
        job: The file.
        tell: Called with the progress (`Tiles`, or a video's `Adapting` and `Progress`), and at
            last with the Outcome.

    Raises:
        KeyboardInterrupt: The command was interrupted.
    """
    start = time.perf_counter()
    frames = Progress(0, None)

    def end(status: Any, reason: str = "", **more: Any) -> None:
        seconds = time.perf_counter() - start
        tell(Outcome(*job.names, status, seconds, reason, **more))

    def watch(progress: Progress) -> None:
        nonlocal frames
        frames = progress
        tell(progress)

    restorer.watch = None if job.moves else lambda done, count: tell(Tiles(done, count))
    try:
        original = find_original(job)
        if options.only_blurred and not job.moves and (reason := _find_no_need(original)):
            end("kept", reason)
            return
        before = _measure(original, options)
        job.target.parent.mkdir(parents=True, exist_ok=True)
        exists = not options.overwrite and _exists(job)
        notes: list[str] = []
        if not exists:
            check_target(job.target)
        if not exists and job.moves:
            restorer, adapted = _adapt(restorer, options, job.source, tell)
            notes = adapted + restore_video(
                job.source,
                job.target,
                restorer.restore,
                quality=options.quality,
                only_blurred=options.only_blurred,
                watch=watch,
            )
        elif not exists:
            settings = {"quality": options.quality, "overwrite": options.overwrite}

            def restore(source: Path, target: Path) -> list[str]:
                kept: list[str] = restorer.restore_file(
                    source, target, format=options.format, **settings
                )
                return kept

            in_place = job.backup is not None
            notes = replace_restored(job, restore) if in_place else restore(job.source, job.target)
        notes += _write_sheet(job, options.overwrite)
        after = None if exists else _measure(job.target, options)
    except KeyboardInterrupt:
        part = name_part(job.target)
        if frames.done and os.path.exists(part):
            of = f" of {frames.total}" if frames.total else ""
            told = f"{part} has the first {frames.done}{of} frames; the next call starts anew"
            end("failed", told)
        raise
    except NotBlurredError as reason:
        end("kept", str(reason))
    except Exception as error:  # libraries raise anything
        end("failed", explain(error))
    else:
        measured = None if before is None or after is None else (before, after)
        status = "skipped" if exists else "restored"
        end(status, notes=tuple(notes), sharpness=measured)


def _adapt(restorer: Any, options: Namespace, path: Path, tell: Tell) -> tuple[Any, list[str]]:
    """Adapt a restorer to a video, if the options ask for it; return it, and notes."""
    if options.adapt is None:
        return restorer, []
    from deblur.restoration.adaptation import NotAdaptedError, adapt_restorer

    generator = load_generator(
        find_model(options.model), trust=options.trust, stages=options.stages
    ).network
    try:
        return adapt_restorer(restorer, generator, path, seconds=options.adapt, watch=tell)
    except NotAdaptedError as reason:
        return restorer, [f"not adapted: {reason}"]


def _exists(job: Job) -> bool:
    """Return whether a job's result already exists."""
    return os.path.exists(job.target) if job.backup is None else is_restored(job)


def _find_no_need(picture: Path) -> str:
    """Return why a picture need not be restored; "" if motion has blurred it."""
    from deblur.restoration.diagnosis import diagnose

    diagnosis = diagnose(picture)
    return "" if diagnosis.kind == "motion" else diagnosis.describe()


def _measure(path: Path, options: Namespace) -> float | None:
    """Return a picture's sharpness, if the options ask for it."""
    if not (options.sharpness or options.only_blurred) or is_video(path):
        return None
    from deblur.restoration.diagnosis import read_luma
    from deblur.restoration.sharpness import measure_sharpness
    from deblur.restoration.spectra import cut_windows

    return measure_sharpness(cut_windows(read_luma(path)))


def _write_sheet(job: Job, overwrite: bool) -> list[str]:
    """Write before and after side by side, if requested; return notes for the report."""
    if job.sheet is None:
        return []
    if not overwrite and os.path.exists(job.sheet):
        return [f"{job.sheet} already exists and was not written (--overwrite does)"]
    from deblur.restoration.before_after import write_sheet, write_video_sheet

    (write_video_sheet if job.moves else write_sheet)(job.sheet, job.source, job.target)
    return []


def explain(error: Exception) -> str:
    """Return the reason in a line, after the file's name if the error has it."""
    reason = describe(error)
    if reason and isinstance(error, (ValueError, OSError, ImportError)):
        return reason
    # PyTorch's messages continue with places in its code, and advice.
    return ": ".join([type(error).__name__, *reason.splitlines()[:1]])
