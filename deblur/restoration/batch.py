"""Which files are restored, to which targets, and the outcome of each."""

import os
import platform
import unicodedata
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
    """The file for before and after side by side, if requested."""
    backup: Path | None = None
    """The file for the original of a picture that is restored in place."""

    @property
    def moves(self) -> bool:
        """Whether the source is a video, by its name."""
        return is_video(self.source)

    @property
    def names(self) -> tuple[str, str]:
        """Source and target as strings, as in an Outcome."""
        return str(self.source), str(self.target)

    def is_done(self) -> bool:
        """Return whether its files already exist."""
        return all(os.path.exists(path) for path in (self.target, self.sheet) if path is not None)


class Outcome(NamedTuple):
    """The outcome of a job."""

    source: str
    target: str
    status: Literal["restored", "skipped", "failed", "kept"]
    """What became of the file; "kept" is one left out, since motion has not blurred it."""
    seconds: float = 0.0
    reason: str = ""
    """Why it failed or was kept, in one line."""
    notes: tuple[str, ...] = ()
    """What could not be kept as it was, and other remarks."""
    sharpness: tuple[float, float] | None = None
    """The sharpness before and after, if it was measured."""


class Plan(NamedTuple):
    """The jobs for the given paths, and what was left out."""

    jobs: list[Job]
    failed: list[Outcome]
    """Paths that cannot be read, or are neither file nor folder; for work in place, also videos."""
    results: list[Path]
    """Paths that were left out: they lie where results are written, or are earlier runs' copies."""


def find_jobs(
    paths: Sequence[str], out: Path, ending: str | None = None, *, sheets: bool = False
) -> Plan:
    """List the jobs for paths: files, globs, and folders with everything below them.

    A folder's tree is kept under `out`. Hidden files, files of other kinds, files that are not
    regular and files in `out` (unless all paths lie there) are left out. A picture that is named
    twice is restored once.

    Args:
        paths: Names of files and folders, and globs.
        out: A folder, or for a single file the name of the target.
        ending: The ending of pictures' targets (".png"); None keeps the sources'.
        sheets: Whether to show before and after side by side, too.

    Raises:
        FileNotFoundError: A path does not exist.
        ValueError: Two sources would have the same target, a source would be overwritten, or a
            target's name does not fit.
    """
    failed: list[Outcome] = []

    def fail(path: str, reason: str) -> None:
        failed.append(Outcome(path, "", "failed", reason=f"{path}: {reason}"))

    sources, results = _split_off_results(find_sources(paths, fail), out)
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
    _check_targets(jobs)
    return Plan(_name_sheets(jobs) if sheets else jobs, failed, results)


def _split_off_results(sources: list[Path], out: Path) -> tuple[list[Path], list[Path]]:
    """Separate sources from earlier results, which lie in `out` (unless all do, or we do)."""
    inside = [lies_in(source, out) for source in sources]
    if all(inside) or lies_in(Path.cwd(), out):
        return sources, []
    parted = list(zip(sources, inside))
    return [path for path, is_in in parted if not is_in], [path for path, is_in in parted if is_in]


def _name_target(sources: list[Path], out: Path, ending: str | None) -> Job:
    """Return the job of a single file, whose target is named."""
    if len(sources) > 1 or sources[0].is_dir():
        raise ValueError(f"{out}: the name of one file, which several cannot have; name a folder")
    job = Job(sources[0], out)
    if job.moves != is_video(out):
        kind = "video" if job.moves else "picture"
        raise ValueError(f"{out}: expected the ending of a {kind}, as {job.source} is one")
    check_ending(out, ending)
    return job


def check_ending(out: Path, ending: str | None) -> None:
    """Raise ValueError if a target's name contradicts an ending."""
    if ending is not None and format_of(out) not in (None, format_of(Path(f"a{ending}"))):
        raise ValueError(f"{out}: its ending contradicts the format {ending[1:]}")


def _name_folder(source: Path, alone: bool) -> str:
    """Return the name of the folder for a source's files."""
    if alone or not source.is_dir():
        return ""
    return source.resolve().name if source.name == ".." else source.name


def _set_ending(target: Path, ending: str | None) -> Path:
    """Set the ending of a picture's target, unless it has one of the same format."""
    if ending is None or is_video(target) or format_of(target) == format_of(Path(f"a{ending}")):
        return target
    return target.with_suffix(ending)


def is_known(file: Path) -> bool:
    """Return whether a file is a picture or a video, by its name."""
    return format_of(file) is not None or is_video(file)


def is_video(file: Path) -> bool:
    """Return whether a file is a video, by its name."""
    return file.suffix.lower() in VIDEO_ENDINGS


def _check_targets(jobs: Iterable[Job]) -> None:
    """Raise ValueError for a target of two sources, or one that is its own source."""
    owners: dict[str, Path] = {}
    for source, target, *_ in jobs:
        if (name := fold(target)) in owners:
            raise ValueError(f"{owners[name]} and {source} would both be written to {target}")
        with suppress(OSError):  # a file that cannot be read fails when it is restored
            if target.samefile(source):
                raise ValueError(f"{source}: would be written over itself; choose another -o")
        owners[name] = source


def fold(path: Path) -> str:
    """Return the same text for the names that a usual file system here takes for one file's."""
    if platform.system() not in ("Windows", "Darwin"):
        return str(path)
    return unicodedata.normalize("NFC", str(path)).casefold()


def _name_sheets(jobs: list[Job]) -> list[Job]:
    """Name sheets NAME_compare.png, or NAME.ENDING_compare.png if another file has that name."""
    short = [job.target.with_name(f"{job.target.stem}_compare.png") for job in jobs]
    taken = {fold(path) for job in jobs for path in (job.source, job.target)}
    counts = Counter([*map(fold, short), *taken])
    named = []
    for job, sheet in zip(jobs, short):
        if counts[fold(sheet)] > 1:
            sheet = job.target.with_name(f"{job.target.name}_compare.png")
        while fold(sheet) in taken:
            sheet = sheet.with_name(f"{sheet.stem}_compare.png")
        taken.add(fold(sheet))
        named.append(job._replace(sheet=sheet))
    return named


def summarize(outcomes: Iterable[Outcome]) -> str:
    """Return the numbers of restored, skipped and failed files, in a line."""
    counts = Counter(outcome.status for outcome in outcomes)
    parts = [f"{counts['restored']} restored"]
    if counts["skipped"]:
        parts.append(
            f"{counts['skipped']} skipped, already restored (--overwrite restores them again)"
        )
    if counts["kept"]:
        parts.append(f"{counts['kept']} not blurred by motion")
    if counts["failed"]:
        parts.append(f"{counts['failed']} failed")
    return ", ".join(parts)
