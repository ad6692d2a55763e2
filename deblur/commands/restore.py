"""Restore blurred pictures and videos.

deblur photo.jpg                        # to restored/photo.jpg
deblur holiday/ -o sharp/               # a whole tree; the same command resumes it
deblur "*.png" -o sharp/ --compare      # with a sheet of before and after for each
deblur photo.jpg --fast                 # in a quarter of the time, but removes less blur
deblur clip.mp4 -o clip_sharp.mp4       # --only-blurred restores the frames that are blurred
cat photo.jpg | deblur - > sharp.jpg
deblur photo.jpg --in-place             # keeps the original as photo.jpg~, or in --backup DIR
deblur clip.mp4 --adapt                 # trains the model on its sharp frames for a minute first
deblur holiday/ --only-blurred          # photos that are blurred by motion, see deblur look
deblur --edit photo.tif --output out.tif    # for other programs: prints nothing but errors
torchrun --nproc-per-node 4 -m deblur holiday/ -o sharp/    # each process does its share

Format, size, depth, alpha, EXIF, ICC profile and other metadata stay as they are. No file is
overwritten, and files in -o's folder are never restored again. A picture that fails is named at the
end, and all others are restored. The exit status is 1 if any file failed, 130 after Ctrl-C and 143
after SIGTERM. Both leave only complete files; the finished part of a video is left as NAME.part.
Letters, number plates and faces may be invented: do not take a restored photo as evidence.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from deblur.atomic import discard_parts
from deblur.checkpoints.shipped import AUTO, DEFAULT, FAST, FASTEST, find_models
from deblur.commands.edit import edit
from deblur.commands.pipe import pipe
from deblur.commands.restore_options import (
    add_arguments,
    check_options,
    count_processes,
    load,
    name_best,
)
from deblur.distributed import find_rank
from deblur.media.photo import open_photo
from deblur.restoration.batch import Job, Outcome, find_jobs, is_known, summarize
from deblur.restoration.batch_job import restore_job
from deblur.restoration.in_place import is_restored, note_sources, plan_in_place
from deblur.restoration.progress import Bar
from deblur.restoration.skipped_files import describe_passed
from deblur.restoration.source_files import NOWHERE
from deblur.restoration.worker_pool import Work, share
from deblur.terminal import printable

__all__ = ["add_arguments", "run"]
SAMPLE = 100
"""So many files at most are opened to tell how long all will take."""


def run(options: argparse.Namespace) -> int:
    """Restore; return 1 if a file failed. KeyboardInterrupt is raised again after the report."""
    check_options(options)
    if options.edit is not None:
        return edit(options)
    if "-" in (*options.paths, options.out):
        return pipe(options)
    rank, ranks, local = find_rank()
    ending = f".{options.format}" if options.format else None
    out = options.backup or NOWHERE if options.in_place else Path(options.out or "restored")
    if options.in_place:
        plan = plan_in_place(options.paths, options.backup)
    else:
        plan = find_jobs(options.paths, out, ending, sheets=options.compare)
    passed = printable(describe_passed(options.paths, out, is_known))
    if not plan.jobs and not plan.failed:
        reason = f"found no pictures or videos in {', '.join(options.paths)}"
        raise ValueError(f"{reason}; {passed}" if passed else reason)
    find_models(options.model or name_best(options))
    if options.backup is not None:
        note_sources(plan.jobs, options.backup)
    if plan.results and rank == 0:
        names = str(plan.results[0]) if len(plan.results) == 1 else f"{len(plan.results)} paths"
        print(f"left out {printable(names)}: written by this command", file=sys.stderr)
    jobs = plan.jobs[rank::ranks]
    is_done = is_restored if options.in_place else Job.is_done
    left = [job for job in jobs if options.overwrite or not is_done(job)]
    outcomes = [*plan.failed] if rank == 0 else []
    outcomes += [Outcome(*job.names, "skipped") for job in {*jobs}.difference(left)]
    count = len(outcomes) + len(left)
    if options.adapt is not None and (still := sum(not job.moves for job in left)):
        print(f"not adapted to {still} pictures: --adapt is for videos", file=sys.stderr)
    stop: BaseException | None = None
    try:
        for each, part in choose_models(left, options):
            _restore(part, each, count_processes(options, ranks), local, outcomes.append)
    except KeyboardInterrupt as error:
        stop = error
    except (ValueError, OSError, ImportError) as error:
        if not outcomes:
            raise
        stop = error  # what was done before is reported
    places = {job.names: place for place, job in enumerate(jobs)}
    outcomes.sort(key=lambda outcome: places.get((outcome.source, outcome.target), -1))
    if options.json:
        print(json.dumps([outcome._asdict() for outcome in outcomes], indent=2))
    else:
        prefix = f"rank {rank} of {ranks}: " if ranks > 1 else ""
        _report(outcomes, prefix, count, passed if rank == 0 else "")
    if stop is not None:
        raise stop
    return int(any(outcome.status == "failed" for outcome in outcomes))


def choose_models(
    jobs: list[Job], options: argparse.Namespace
) -> list[tuple[argparse.Namespace, list[Job]]]:
    """Return the options with a model, and its jobs: the defaults of photos and videos differ."""
    if options.model not in (None, AUTO):
        return [(options, jobs)]
    best = name_best(options)
    # Of a video's many frames few are blurred, and adapting requires a network that trains fast;
    # only the best one has stages.
    slowly = options.only_blurred and options.adapt is None or options.stages is not None
    steady = DEFAULT if best == AUTO else best  # a video's frames are not restored by two models
    photos, videos = ([job for job in jobs if job.moves is moves] for moves in (False, True))
    return [
        (argparse.Namespace(**{**vars(options), "model": model}), part)
        for model, part in ((best, photos), (steady if slowly else FASTEST, videos))
        if part
    ]


def _report(outcomes: list[Outcome], prefix: str, count: int, passed: str) -> None:
    for outcome in outcomes:
        for note in outcome.notes:
            print(f"{printable(outcome.source)}: {printable(note)}")
        if outcome.sharpness is not None:
            before, after = outcome.sharpness
            print(f"{printable(outcome.source)}: sharpness {before:.2f}, restored {after:.2f}")
    reasons: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.status == "failed":
            reason = outcome.reason.removeprefix(f"{outcome.source}: ")
            reasons.setdefault(reason, []).append(printable(outcome.source))
    for reason, names in reasons.items():
        if len(names) == 1:
            print(f"failed: {names[0]}: {printable(reason)}", file=sys.stderr)
        else:
            print(f"failed: {printable(reason)} ({len(names)} files)", file=sys.stderr)
            print("\n".join(f"  {name}" for name in names), file=sys.stderr)
    left = f", {count - len(outcomes)} left to do" if len(outcomes) < count else ""
    print(f"{prefix}{summarize(outcomes)}{left}{f'; {passed}' if passed else ''}")


def _restore(
    jobs: list[Job],
    options: argparse.Namespace,
    processes: int,
    local: int,
    done: Callable[[Outcome], None],
) -> None:
    """Restore in this process, one by one, or in several processes; show the progress.

    local: this process' number on this machine, which chooses its CUDA device. done: called with
    each Outcome.
    """
    processes = min(processes, len(jobs))
    begin = partial(start, options, local * processes)
    with Bar(len(jobs), options.json) as bar:

        def tell(content: Any) -> None:
            if isinstance(content, Outcome):
                done(content)
                bar.advance()
            else:
                bar.watch(content)

        def give_up(job: Job, reason: str) -> None:
            for path in filter(None, (job.target, job.sheet)):
                discard_parts(path)
            tell(Outcome(*job.names, "failed", reason=reason))

        if processes > 1:
            share(jobs, processes, begin, tell=tell, give_up=give_up)
        elif jobs:
            restorer = load(options, local)
            if restorer.tiles.tiling:
                pace = restorer.tiles.measure_pace()
                if restorer.scale != "auto":
                    pace /= restorer.scale**2
                announce(options.model, pace, jobs, "at most" if options.only_blurred else "about")
            for job in jobs:
                restore_job(restorer, options, job, tell)


def announce(model: str, pace: float, jobs: list[Job], about: str = "about") -> None:
    """Print, before the work, how long the pictures will take if that is more than a minute.

    pace: seconds a megapixel. about: "about" or "at most".
    """
    pictures = [job.source for job in jobs if not job.moves]
    sample = pictures[:: math.ceil(len(pictures) / SAMPLE) or 1]
    pixels = sum(map(count_pixels, sample)) * len(pictures) / max(1, len(sample))
    minutes = pace * pixels / 60e6
    if minutes > 1:
        faster = "" if model in (FAST, FASTEST) else "; --fast takes a quarter of that"
        print(
            f"{pixels / 1e6:.0f} megapixels by {model}: {about} {minutes:.0f} min{faster}",
            file=sys.stderr,
        )


def count_pixels(source: Path) -> int:
    """Count the pixels of all frames of a picture; return 0 if it cannot be opened."""
    try:
        return open_photo(source).pixels
    except Exception:  # reported when the picture is restored
        return 0


def start(options: argparse.Namespace, first: int, number: int) -> Work:
    """Load the model in a process of the pool; return its work on one job.

    first: the number of this machine's first process. number: this process' own, from 0.
    """
    return partial(restore_job, load(options, first + number), options)
