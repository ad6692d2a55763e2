"""Many pictures: which are to be restored, where to, and what became of them."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from deblur.media.photo import format_of
from deblur.restoration.source_files import find_sources, lies_in, locate, walk
from deblur.restoration.video import VIDEO_ENDINGS


class Job(NamedTuple):
    """A picture or a video to restore."""

    source: Path
    target: Path
    sheet: Path | None = None
    """Where before and after are shown side by side, if anywhere."""
    backup: Path | None = None
    """Of a picture that is restored in its own place: where it is kept as it was."""

    @property
    def moves(self) -> bool:
        """Whether it is a video, by its name."""
        return is_video(self.source)

    @property
    def names(self) -> tuple[str, str]:
        """Source and target, as an Outcome has them."""
        return str(self.source), str(self.target)

    def is_done(self) -> bool:
        """Say whether its files exist already."""
        return all(os.path.exists(path) for path in (self.target, self.sheet) if path is not None)


class Outcome(NamedTuple):
    """What became of a job."""

    source: str
    target: str
    status: Literal["restored", "skipped", "failed", "kept"]
    """Kept: left out, since it is not blurred by motion."""
    seconds: float = 0.0
    reason: str = ""
    """Of a failure, a line."""
    notes: tuple[str, ...] = ()
    """What could not be kept as it was."""
    sharpness: tuple[float, float] | None = None
    """Before and after, if it was measured."""


class Plan(NamedTuple):
    """What paths ask for."""

    jobs: list[Job]
    failed: list[Outcome]
    """What cannot be looked at, or is neither a file nor a folder."""
    results: list[Path]
    """What was left out, since it lies where results are written."""


def find_jobs(
    paths: Sequence[str], out: Path, ending: str | None = None, *, sheets: bool = False
) -> Plan:
    """List what paths ask for, by name: files, globs, and folders with all that is below them.

    A folder's tree is kept under `out`. Left out are hidden files, those of other kinds, what is no
    regular file, and what lies in `out`, unless all paths do. A picture that is asked for twice is
    restored once.

    Args:
        out: a folder, or with a single file the name of the target.
        ending: of the targets of pictures (".png"); None for the sources'.
        sheets: whether before and after are to be shown, too.

    Raises FileNotFoundError for what does not exist, and ValueError where two sources would have
    the same target, a source would be overwritten, or a target's name does not fit.
    """
    failed: list[Outcome] = []

    def fail(path: str, reason: str) -> None:
        failed.append(Outcome(path, "", "failed", reason=f"{path}: {reason}"))

    sources, results = _part_results(find_sources(paths, fail), out)
    if is_known(out) and not out.is_dir():
        jobs = [_name_target(sources, out, ending)] if sources else []
    else:
        found: dict[Path, Job] = {}
        for source in sources:
            folder = out / _name_folder(source, alone=len(sources) == 1)
            for file, inside in walk(source, out, is_known, fail):
                place = locate(source) / inside if source != file else locate(source)
                found.setdefault(place, Job(file, _set_ending(folder / inside, ending)))
        jobs = [*found.values()]
    _check(jobs)
    return Plan(_name_sheets(jobs) if sheets else jobs, failed, results)


def _part_results(sources: list[Path], out: Path) -> tuple[list[Path], list[Path]]:
    """Part sources from results of before: what lies in `out`, unless all does, or we do."""
    inside = [lies_in(source, out) for source in sources]
    if all(inside) or lies_in(Path.cwd(), out):
        return sources, []
    parted = list(zip(sources, inside))
    return [path for path, is_in in parted if not is_in], [path for path, is_in in parted if is_in]


def _name_target(sources: list[Path], out: Path, ending: str | None) -> Job:
    """Plan for a single file, whose target has a name of its own."""
    if len(sources) > 1 or sources[0].is_dir():
        raise ValueError(f"{out}: the name of one file, which several cannot have; name a folder")
    job = Job(sources[0], out)
    if job.moves != is_video(out):
        kind = "video" if job.moves else "picture"
        raise ValueError(f"{out}: expected the ending of a {kind}, as {job.source} is one")
    check_ending(out, ending)
    return job


def check_ending(out: Path, ending: str | None) -> None:
    """Raise ValueError for a target whose name is that of another format than an ending."""
    if ending is not None and format_of(out) not in (None, format_of(Path(f"a{ending}"))):
        raise ValueError(f"{out}: its ending contradicts the format {ending[1:]}")


def _name_folder(source: Path, alone: bool) -> str:
    """Name the folder in which the files of a source go."""
    if alone or not source.is_dir():
        return ""
    return source.resolve().name if source.name == ".." else source.name


def _set_ending(target: Path, ending: str | None) -> Path:
    """Give a picture's target the ending of a format, unless it has one of the same format."""
    if ending is None or is_video(target) or format_of(target) == format_of(Path(f"a{ending}")):
        return target
    return target.with_suffix(ending)


def is_known(file: Path) -> bool:
    """Say whether a file's name is that of a picture or a video."""
    return format_of(file) is not None or is_video(file)


def is_video(file: Path) -> bool:
    """Say whether a file's name is that of a video."""
    return file.suffix.lower() in VIDEO_ENDINGS


def _check(jobs: Iterable[Job]) -> None:
    owners: dict[Path, Path] = {}
    for source, target, *_ in jobs:
        if target in owners:
            raise ValueError(f"{owners[target]} and {source} would both be written to {target}")
        with suppress(OSError):  # of what cannot be looked at, which fails when it is restored
            if target.samefile(source):
                raise ValueError(f"{source}: would be written over itself; choose another -o")
        owners[target] = source


def _name_sheets(jobs: list[Job]) -> list[Job]:
    """Name sheets NAME_compare.png, but NAME.ENDING_compare.png where others have that name."""
    short = [job.target.with_name(f"{job.target.stem}_compare.png") for job in jobs]
    counts = Counter(short + [path for job in jobs for path in (job.source, job.target)])
    long = [job.target.with_name(f"{job.target.name}_compare.png") for job in jobs]
    return [
        job._replace(sheet=name if counts[name] == 1 else other)
        for job, name, other in zip(jobs, short, long)
    ]


def summarize(outcomes: Iterable[Outcome]) -> str:
    """Count what was restored, skipped and failed, in a line."""
    counts = Counter(outcome.status for outcome in outcomes)
    parts = [f"{counts['restored']} restored"]
    if counts["skipped"]:
        parts.append(
            f"{counts['skipped']} skipped, there already (--overwrite restores them again)"
        )
    if counts["kept"]:
        parts.append(f"{counts['kept']} not blurred by motion")
    if counts["failed"]:
        parts.append(f"{counts['failed']} failed")
    return ", ".join(parts)
