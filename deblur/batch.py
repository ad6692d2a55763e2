"""Many pictures: which are to be restored, where to, and what became of them."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from deblur.film import VIDEO_ENDINGS
from deblur.photo import format_of


class Job(NamedTuple):
    """A picture or a video to restore."""

    source: Path
    target: Path

    @property
    def moves(self) -> bool:
        """Whether it is a video, by its name."""
        return self.source.suffix.lower() in VIDEO_ENDINGS


class Outcome(NamedTuple):
    """What became of a job."""

    source: str
    target: str
    status: Literal["restored", "skipped", "failed"]
    seconds: float = 0.0
    reason: str = ""
    """Of a failure, a line."""
    notes: tuple[str, ...] = ()
    """What could not be kept as it was."""


def find_jobs(paths: Sequence[str], out: Path, ending: str | None = None) -> list[Job]:
    """List what paths ask for, by name: files, globs, and folders with all that is below them.

    A folder's tree is kept under `out`; hidden files and those of other kinds are left out. With a
    single file `out` may be a file's name. ending: of the targets (".png"); None for the sources'.
    Raises FileNotFoundError for what is not there, and ValueError where two sources would have the
    same target or a source would be overwritten.
    """
    sources = [path for pattern in paths for path in _expand(pattern)]
    alone = len(sources) == 1
    if alone and sources[0].is_file() and _is_known(out):
        jobs = [Job(sources[0], out)]
    else:
        jobs = [
            Job(file, out / ("" if alone or source.is_file() else source.name) / inside)
            for source in sources
            for file, inside in _walk(source, out)
        ]
    if ending is not None:
        jobs = [
            job if job.moves else job._replace(target=job.target.with_suffix(ending))
            for job in jobs
        ]
    _check(jobs)
    return jobs


def _expand(pattern: str) -> list[Path]:
    if os.path.exists(pattern):
        return [Path(pattern)]
    # Some shells leave patterns to programs.
    found = [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]
    if not found:
        raise FileNotFoundError(f"{pattern}: no such file or folder (and no verb of deblur --help)")
    return found


def _walk(source: Path, out: Path) -> Iterator[tuple[Path, Path]]:
    """Give the files of a folder, or the file, and what they are called below it."""
    if not source.is_dir():
        yield source, Path(source.name)
        return
    results = out.resolve()
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and Path(folder, name).resolve() != results
        )
        for name in sorted(files):
            file = Path(folder, name)
            if _is_known(file) and not name.startswith("."):
                yield file, file.relative_to(source)


def _is_known(file: Path) -> bool:
    """Say whether a file's name is that of a picture or a video."""
    return format_of(file) is not None or file.suffix.lower() in VIDEO_ENDINGS


def _check(jobs: Iterable[Job]) -> None:
    owners: dict[Path, Path] = {}
    for source, target in jobs:
        if target in owners:
            raise ValueError(f"{owners[target]} and {source} would both be written to {target}")
        if target.exists() and target.samefile(source):
            raise ValueError(f"{source}: would be written over itself; choose another -o")
        owners[target] = source


def find_rank(environment: dict[str, str] | Any = os.environ) -> tuple[int, int, int]:
    """Tell which of how many processes this one is, and which on its machine.

    By what torchrun sets (RANK, WORLD_SIZE, LOCAL_RANK), or SLURM's srun; else 0 of 1.
    """
    for names in (
        ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    ):
        if names[0] in environment and names[1] in environment:
            rank, ranks = (int(environment[name]) for name in names[:2])
            return rank, ranks, int(environment.get(names[2], rank))
    return 0, 1, 0


def summarize(outcomes: Iterable[Outcome]) -> str:
    """Count what was restored, skipped and failed, in a line."""
    counts = Counter(outcome.status for outcome in outcomes)
    parts = [f"{counts['restored']} restored"]
    if counts["skipped"]:
        parts.append(
            f"{counts['skipped']} skipped, there already (--overwrite restores them again)"
        )
    if counts["failed"]:
        parts.append(f"{counts['failed']} failed")
    return ", ".join(parts)
