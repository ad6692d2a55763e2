"""Restore blurred pictures and videos.

deblur photo.jpg                        # to restored/photo.jpg
deblur holiday/ -o sharp/               # a whole tree; started again, it does what is left
deblur "*.png" -o sharp/ --compare      # with a sheet of before and after for each
deblur clip.mp4 -o clip_sharp.mp4
cat photo.jpg | deblur - > sharp.jpg
torchrun --nproc-per-node 4 -m deblur holiday/ -o sharp/    # each process does its share

Format, size, depth, alpha, EXIF, ICC profile and other metadata stay as they are. Nothing is
written over. The exit status is 1 if any file failed.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deblur.batch import Job, Outcome, find_jobs, find_rank, summarize
from deblur.checkpoints.shipped import DEFAULT, find_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="pictures, videos, folders, globs, or - for stdin")
    add(
        *("-o", "--out"),
        type=Path,
        help="a folder, or a file's name for a single file (default restored/); - for stdout",
    )
    add(
        "--model",
        default=DEFAULT,
        metavar="NAME_OR_PATH",
        help="small, true to the photo; gan, with finer textures; or a .ckpt or .safetensors file "
        "(default %(default)s)",
    )
    add("--trust", metavar="MODULE", help="a module whose networks a model file may name")
    add("--overwrite", action="store_true", help="restore what is there already, too")
    add("--format", metavar="NAME", help="jpeg, png, webp, tiff, ... (default the picture's own)")
    add("--quality", type=int, metavar="1..100", help="of JPEG, WebP and video (default as it was)")
    add("--strength", type=float, default=1.0, help="share of the change, 0 to 1 (default 1)")
    add(
        "--self-ensemble",
        action="store_true",
        help="the mean of eight orientations: 8 times slower",
    )
    add("--no-guard", action="store_true", help="keep parts that the network has blown up")
    add("--compare", action="store_true", help="write NAME_compare.png beside each picture")
    add("--json", action="store_true", help="print what was done to each file as JSON")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default %(default)s)")
    add(
        "--precision",
        default="auto",
        help="auto, float32, bfloat16 or, on a CPU, int8: faster, not as exact "
        "(default %(default)s)",
    )
    add("--tile", type=int, metavar="PIXELS", help="side of the tiles (default as memory allows)")
    add("--processes", type=int, help="on this machine (default one for each CUDA device)")


def run(options: argparse.Namespace) -> int:
    """Restore; return 1 where a file failed, 130 where Ctrl-C ended it."""
    if "-" in options.paths:
        return _pipe(options)
    rank, ranks, local = find_rank()
    ending = f".{options.format.lower()}" if options.format else None
    jobs = find_jobs(options.paths, options.out or Path("restored"), ending)
    if not jobs:
        raise ValueError(f"found no pictures or videos in {', '.join(options.paths)}")
    find_model(options.model)
    if ranks > 1:
        jobs = jobs[rank::ranks]
    processes = min(_count_processes(options), len(jobs)) if ranks == 1 else 1
    outcomes: list[Outcome] = []
    status = 0
    try:
        for outcome in (
            _divide(jobs, processes) if processes > 1 else _restore(jobs, options, local)
        ):
            outcomes.append(outcome)
    except KeyboardInterrupt:
        status = 130
    if options.json:
        print(json.dumps([outcome._asdict() for outcome in outcomes], indent=2))
    else:
        _report(outcomes, f"rank {rank} of {ranks}: " if ranks > 1 else "", len(jobs))
    return status or int(any(outcome.status == "failed" for outcome in outcomes))


def _report(outcomes: list[Outcome], prefix: str, count: int) -> None:
    for outcome in outcomes:
        for note in outcome.notes:
            print(f"{outcome.source}: {note}")
    reasons = Counter(outcome.reason for outcome in outcomes if outcome.status == "failed")
    for reason, files in reasons.items():
        print(f"failed: {reason}{f' ({files} files)' if files > 1 else ''}", file=sys.stderr)
    left = f", {count - len(outcomes)} left to do" if len(outcomes) < count else ""
    print(f"{prefix}{summarize(outcomes)}{left}")


def _restore(jobs: list[Job], options: argparse.Namespace, local: int = 0) -> Iterator[Outcome]:
    """Restore one by one."""
    there = [not options.overwrite and job.target.exists() for job in jobs]
    restorer = None if all(there) else load(options, local)
    with _Bar(there.count(False), options.json) as bar:
        for job, done in zip(jobs, there):
            names = str(job.source), str(job.target)
            if done:
                yield Outcome(*names, "skipped")
                continue
            start = time.perf_counter()
            try:
                job.target.parent.mkdir(parents=True, exist_ok=True)
                notes = tuple(_restore_one(restorer, job, options, bar))
            except (ValueError, OSError, ImportError, MemoryError) as error:
                yield Outcome(*names, "failed", time.perf_counter() - start, _explain(error))
            else:
                yield Outcome(*names, "restored", time.perf_counter() - start, "", notes)
            bar.advance()


def _explain(error: Exception) -> str:
    """Give the reason in a line, with the file's name in front as all have it."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _restore_one(restorer: Any, job: Job, options: argparse.Namespace, bar: "_Bar") -> list[str]:
    if job.moves:
        from deblur.film import restore_film

        return restore_film(
            job.source, job.target, restorer.restore, quality=options.quality, watch=bar.watch
        )
    notes: list[str] = restorer.restore_file(
        job.source, job.target, quality=options.quality, overwrite=options.overwrite
    )
    if options.compare:
        _compare(job)
    return notes


def _compare(job: Job) -> None:
    """Write before and after side by side."""
    import torch

    from deblur.images import read
    from deblur.sheets import sheet

    before, after = (torch.from_numpy(read(path)).permute(2, 0, 1) for path in job)
    path = job.target.with_name(f"{job.target.stem}_compare.png")
    sheet(path, [{"before": before, "after": after}])


def _pipe(options: argparse.Namespace) -> int:
    """Restore a picture from stdin to stdout, or to a file."""
    if options.paths != ["-"]:
        raise ValueError("- is stdin and stands alone")
    restorer = load(options)
    out = options.out if options.out and str(options.out) != "-" else None
    source, target = BytesIO(sys.stdin.buffer.read()), out or BytesIO()
    settings = {"quality": options.quality, "overwrite": options.overwrite}
    notes = restorer.restore_file(source, target, format=options.format, **settings)
    for note in notes:
        print(note, file=sys.stderr)
    if isinstance(target, BytesIO):
        sys.stdout.buffer.write(target.getvalue())
    return 0


def load(options: argparse.Namespace, local: int = 0) -> Any:
    """Load the model with a command's options, on the device of this process."""
    from deblur.hardware import keep_memory
    from deblur.restorer import Restorer

    keep_memory()
    devices = _count_devices()
    several = options.device in ("auto", "cuda") and devices > 1
    return Restorer.load(
        options.model,
        trust=options.trust,
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


def _count_processes(options: argparse.Namespace) -> int:
    if options.processes is not None:
        return max(1, int(options.processes))
    return max(1, _count_devices()) if options.device in ("auto", "cuda") else 1


def _divide(jobs: list[Job], processes: int) -> Iterator[Outcome]:
    """Let processes like this one restore a share each, and gather what they say."""
    there = {job for job in jobs if job.target.exists()}
    command = [sys.executable, "-m", "deblur", *sys.argv[1:], "--json"]
    names = {"WORLD_SIZE": str(processes)}
    running = [
        subprocess.Popen(
            command,
            env={**os.environ, **names, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
        )
        for rank in range(processes)
    ]
    for rank, process in enumerate(running):
        said, _ = process.communicate()
        share = jobs[rank::processes]
        try:
            told = [Outcome(**outcome) for outcome in json.loads(said)]
        except ValueError:
            reason = f"process {rank} ended with status {process.returncode}"
            told = [_find_out(job, job in there, reason) for job in share]
        yield from told


def _find_out(job: Job, before: bool, reason: str) -> Outcome:
    """Tell by its target what became of a job, after the process that had it ended for a reason."""
    names = str(job.source), str(job.target)
    if not job.target.exists():
        return Outcome(*names, "failed", reason=reason)
    return Outcome(*names, "skipped" if before else "restored")


class _Bar:
    """Shows how many are done, how many a minute, and the time left; nothing without a terminal."""

    def __init__(self, count: int, quiet: bool) -> None:
        self.start = self.began = time.perf_counter()
        self.progress = Progress(
            TextColumn("restoring"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=quiet or not sys.stderr.isatty(),
        )
        self.task = self.progress.add_task("", total=count, pace="")

    def __enter__(self) -> "_Bar":
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def advance(self) -> None:
        """Count one more picture."""
        self.progress.advance(self.task)
        done = self.progress.tasks[0].completed
        pace = 60 * done / (time.perf_counter() - self.start)
        self.progress.update(self.task, pace=f"{pace:.1f} a minute")
        self.began = time.perf_counter()

    def watch(self, film: Any) -> None:
        """Show how far a video is."""
        pace = film.done / max(1e-6, time.perf_counter() - self.began)
        of = f" of {film.total}" if film.total else ""
        self.progress.update(self.task, pace=f"frame {film.done}{of}, {pace:.1f} a second")
