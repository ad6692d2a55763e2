"""Restore blurred pictures and videos.

deblur photo.jpg                        # to restored/photo.jpg
deblur holiday/ -o sharp/               # a whole tree; started again, it does what is left
deblur "*.png" -o sharp/ --compare      # with a sheet of before and after for each
deblur clip.mp4 -o clip_sharp.mp4
cat photo.jpg | deblur - > sharp.jpg
torchrun --nproc-per-node 4 -m deblur holiday/ -o sharp/    # each process does its share

Format, size, depth, alpha, EXIF, ICC profile and other metadata stay as they are. Nothing is
written over, and what lies in -o's folder is never restored again. A picture that fails is named
at the end, and the rest is done. The exit status is 1 if any file failed, 130 after Ctrl-C, 143
after SIGTERM, of which both leave whole files only.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from deblur.atomic import discard_parts
from deblur.checkpoints.shipped import DEFAULT, find_model
from deblur.distributed import find_rank
from deblur.media.photo import FORMATS, format_of, open_photo
from deblur.restoration.batch import (
    Job,
    Outcome,
    check_ending,
    find_jobs,
    is_known,
    is_video,
    summarize,
)
from deblur.restoration.batch_job import explain, restore_job
from deblur.restoration.progress import Bar
from deblur.restoration.skipped_files import describe_passed
from deblur.restoration.worker_pool import Work, share
from deblur.terminal import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="pictures, videos, folders, globs, or - for stdin")
    add(
        *("-o", "--out"),
        help="a folder, whose files are not restored again, or a file's name for a single file "
        "(default restored/); - for stdout",
    )
    add(
        "--model",
        default=DEFAULT,
        metavar="NAME_OR_PATH",
        help="small, true to the photo; gan, with finer textures; maxim-gopro, which restores the "
        "most of real motion blur but is slow; or a .ckpt or .safetensors file "
        "(default %(default)s)",
    )
    about = "of a network of several, such as maxim-gopro: 2 is better and takes over twice as long"
    add("--stages", type=_whole(1, 3), metavar="1..3", help=f"{about} (default as its file says)")
    add("--trust", metavar="MODULE", help="a module whose networks a model file may name")
    add("--overwrite", action="store_true", help="restore what is there already, too")
    names = ", ".join(FORMATS).lower()
    add("--format", type=_format, metavar="NAME", help=f"{names} (default the picture's own)")
    about = "of JPEG, WebP and video (default as it was)"
    add("--quality", type=_whole(1, 100), metavar="1..100", help=about)
    add("--strength", type=float, default=1.0, help="share of the change, 0 to 1 (default 1)")
    add(
        "--self-ensemble",
        action="store_true",
        help="the mean of eight orientations: 8 times slower",
    )
    add("--no-guard", action="store_true", help="keep parts that the network has blown up")
    about = "write NAME_compare.png beside each picture: its first frame before and after"
    add("--compare", action="store_true", help=about)
    add("--json", action="store_true", help="print what was done to each file as JSON")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default %(default)s)")
    add(
        "--precision",
        default="auto",
        help="auto, float32, bfloat16 or, on a CPU, int8: faster, not as exact "
        "(default %(default)s)",
    )
    add("--tile", type=int, metavar="PIXELS", help="side of the tiles (default as memory allows)")
    about = "on this machine (default one for each CUDA device)"
    add("--processes", type=_whole(1), metavar="COUNT", help=about)


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a reader of whole numbers in a range."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if number < low or (high is not None and number > high):
            top = "or more" if high is None else f"to {high}"
            raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number, {low} {top}")
        return number

    return read


def _format(text: str) -> str:
    """Read the name of a format, or its ending with a dot or without."""
    name = text.lower().removeprefix(".")
    if format_of(Path(f"a.{name}")) is None:
        names = ", ".join(FORMATS).lower()
        raise argparse.ArgumentTypeError(f"{text!r}, expected one of {names}")
    return name


def run(options: argparse.Namespace) -> int:
    """Restore; return 1 where a file failed. Ctrl-C is raised again after the report."""
    if "-" in (*options.paths, options.out):
        return _pipe(options)
    rank, ranks, local = find_rank()
    ending = f".{options.format}" if options.format else None
    out = Path(options.out or "restored")
    plan = find_jobs(options.paths, out, ending, sheets=options.compare)
    passed = printable(describe_passed(options.paths, out))
    if not plan.jobs and not plan.failed:
        reason = f"found no pictures or videos in {', '.join(options.paths)}"
        raise ValueError(f"{reason}; {passed}" if passed else reason)
    find_model(options.model)
    if plan.results and rank == 0:
        names = str(plan.results[0]) if len(plan.results) == 1 else f"{len(plan.results)} paths"
        print(f"left out {printable(names)}: results are written there", file=sys.stderr)
    jobs = plan.jobs[rank::ranks]
    left = [job for job in jobs if options.overwrite or not job.is_done()]
    outcomes = [*plan.failed] if rank == 0 else []
    outcomes += [Outcome(*job.names, "skipped") for job in {*jobs}.difference(left)]
    count = len(outcomes) + len(left)
    stop = None
    try:
        _restore(left, options, _count_processes(options, ranks), local, outcomes.append)
    except KeyboardInterrupt as error:
        stop = error
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


def _report(outcomes: list[Outcome], prefix: str, count: int, passed: str) -> None:
    for outcome in outcomes:
        for note in outcome.notes:
            print(f"{printable(outcome.source)}: {printable(note)}")
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
    """Restore here, one by one, or in several processes; show how far it is."""
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
            if restorer.tiling:
                announce(options.model, restorer.measure_pace(), jobs)
            for job in jobs:
                restore_job(restorer, options, job, tell)


def announce(model: str, pace: float, jobs: list[Job]) -> None:
    """Say before the work how long pictures will take by a slow network, where that is minutes.

    pace: seconds a megapixel.
    """
    pixels = sum(count_pixels(job.source) for job in jobs if not job.moves)
    minutes = pace * pixels / 60e6
    if minutes > 1:
        faster = "" if model == DEFAULT else f"; --model {DEFAULT} takes a small part of that"
        print(
            f"{pixels / 1e6:.0f} megapixels by {model}: about {minutes:.0f} min{faster}",
            file=sys.stderr,
        )


def count_pixels(source: Path) -> int:
    """Count the pixels of a picture's frames; none where it cannot be opened."""
    try:
        with open_photo(source) as photo:
            return math.prod((*photo.size, photo.count))
    except Exception:  # told when it is its turn
        return 0


def start(options: argparse.Namespace, first: int, number: int) -> Work:
    """Load the model on the device of a process, by its number and that of the first one here."""
    return partial(restore_job, load(options, first + number), options)


def _pipe(options: argparse.Namespace) -> int:
    """Restore one picture from stdin, or to stdout, or both."""
    if len(options.paths) > 1:
        raise ValueError("- is stdin or stdout, which is a single picture; expected a single PATH")
    if options.compare or options.json:
        raise ValueError("--compare and --json require files; - is stdin or stdout")
    source, target = _open_source(options), _open_target(options)
    restorer = load(options)
    try:
        notes = restorer.restore_file(
            source,
            target,
            format=options.format,
            quality=options.quality,
            overwrite=options.overwrite,
        )
    except RuntimeError as error:
        raise ValueError(explain(error)) from error
    for note in notes:
        print(printable(note), file=sys.stderr)
    if isinstance(target, BytesIO):
        sys.stdout.buffer.write(target.getvalue())
    return 0


def _open_source(options: argparse.Namespace) -> Path | BytesIO:
    """Read stdin, or return the picture's path."""
    (name,) = options.paths
    if name == "-":
        return BytesIO(sys.stdin.buffer.read())
    path = Path(name)
    if is_video(path) or not path.is_file():
        raise ValueError(f"{name}: expected a picture's file, to be written to stdout")
    return path


def _open_target(options: argparse.Namespace) -> Path | BytesIO:
    """Check the target's path and return it, or what will be written to stdout."""
    if options.out in (None, "-"):
        return BytesIO()
    path = Path(options.out)
    if not is_known(path) or is_video(path) or path.is_dir():
        raise ValueError(f"{path}: expected the name of a picture's file, such as photo.jpg")
    check_ending(path, f".{options.format}" if options.format else None)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def load(options: argparse.Namespace, local: int = 0) -> Any:
    """Load the model with a command's options, on the device of this process."""
    from deblur.hardware import keep_memory
    from deblur.restoration.restorer import Restorer

    keep_memory()
    devices = _count_devices()
    several = options.device in ("auto", "cuda") and devices > 1
    return Restorer.load(
        options.model,
        trust=options.trust,
        stages=options.stages,
        device=f"cuda:{local % devices}" if several else options.device,
        precision=options.precision,
        tile=options.tile,
        strength=options.strength,
        self_ensemble=options.self_ensemble,
        guard=not options.no_guard,
    )


def _count_devices() -> int:
    import torch

    return torch.cuda.device_count()


def _count_processes(options: argparse.Namespace, ranks: int) -> int:
    if options.processes is not None:
        return int(options.processes)
    return max(1, _count_devices()) if ranks == 1 and options.device in ("auto", "cuda") else 1
