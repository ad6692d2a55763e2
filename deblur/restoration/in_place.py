"""Pictures restored in their own place, with a copy of each as it was."""

import errno
import filecmp
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from deblur.atomic import discard, hide, install, replacing, write_text
from deblur.restoration.batch import Job, Outcome, Plan, fold, is_known, is_video
from deblur.restoration.source_files import NOWHERE, find_sources, lies_in, walk

Restore = Callable[[Path, Path], list[str]]
"""Restores a source to a target, and returns what is to be noted."""
MARK = "~"
"""The suffix of a copy beside its picture."""
SOURCES = ".deblur-sources.json"
"""In the folder of the copies: the picture that each was made of."""


def plan_in_place(paths: Sequence[str], backup: Path | None) -> Plan:
    """List the pictures that paths ask for, and where the copy of each as it was is kept.

    backup: the folder of the copies, in which folders' trees are kept; None for beside the
    pictures, named NAME~. Copies of earlier runs are left out; videos are reported as failed.
    Raises FileNotFoundError for what does not exist, and ValueError where two pictures would have
    the same copy, whether of this or of an earlier run.
    """
    failed: list[Outcome] = []

    def fail(path: str, reason: str) -> None:
        failed.append(Outcome(path, "", "failed", reason=f"{path}: {reason}"))

    jobs: dict[Path, Job] = {}
    owners: dict[str, Path] = {}
    noted = _read_sources(backup) if backup is not None else {}
    earlier = {fold(copy): place for copy, place in noted.items()}
    sources = find_sources(paths, fail)
    copies = [source for source in sources if _is_copy(source, backup)]
    for source in [source for source in sources if source not in copies]:
        for file, inside in walk(source, backup or NOWHERE, is_known, fail):
            place = Path(os.path.realpath(file))
            if is_video(file):
                fail(str(file), "a video, which is not restored in place; name a folder with -o")
            elif place not in jobs:
                copy = place.with_name(place.name + MARK) if backup is None else backup / inside
                if Path(os.path.realpath(copy)) == place:
                    fail(str(file), f"its copy, {copy}, would be the picture itself")
                    continue
                owner = owners.setdefault(fold(copy), place)
                if owner == place and copy.exists():
                    owner = earlier.get(fold(copy), place)
                if owner != place and owner.exists():
                    raise ValueError(
                        f"{owner} and {place} would both be kept as {copy}; name another --backup"
                    )
                jobs[place] = Job(file, file, backup=copy)
    return Plan([*jobs.values()], failed, copies)


def note_sources(jobs: Sequence[Job], backup: Path) -> None:
    """Note of which pictures the copies in a folder are, for later runs."""
    own = {job.backup: Path(os.path.realpath(job.source)) for job in jobs if job.backup is not None}
    notes = {**_read_sources(backup), **own}
    backup.mkdir(parents=True, exist_ok=True)
    told = {copy.relative_to(backup).as_posix(): str(place) for copy, place in notes.items()}
    write_text(backup / SOURCES, json.dumps(told, indent=1))


def _read_sources(backup: Path) -> dict[Path, Path]:
    """Return the place of each picture of which a folder has a copy, as far as it is noted."""
    noted = backup / SOURCES
    try:
        told = json.loads(noted.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{noted}: {error}") from error
    return {backup / copy: Path(place) for copy, place in told.items()}


def _is_copy(path: Path, backup: Path | None) -> bool:
    """Return whether a path is a copy that an earlier run has kept, or the folder of the copies.

    Shells name them, too, where they are asked for everything.
    """
    if backup is not None and lies_in(path, backup):
        return True
    picture = path.with_name(path.name.removesuffix(MARK)) if path.name else path
    return picture != path and path.is_file() and picture.is_file()


def is_restored(job: Job) -> bool:
    """Return whether there is a copy of a picture that differs from it.

    One that is equal was made by a process that was killed before it wrote the picture.
    """
    copy = job.backup
    if copy is None or not copy.exists():
        return False
    with suppress(OSError):  # the restoration fails, and says why
        return not filecmp.cmp(job.source, copy, shallow=False)
    return False


def find_original(job: Job) -> Path:
    """Return the file that a job restores: the copy of a picture that was restored in its place."""
    return job.backup if job.backup is not None and is_restored(job) else job.source


def replace_restored(job: Job, restore: Restore) -> list[str]:
    """Restore a picture in its place; return what is to be noted.

    A picture that was restored before is restored from its copy, which stays as it is. What this
    replaces is kept, too, if it differs: it may be another picture of the same name. Until the
    restored file is complete the picture is untouched.
    """
    copy = job.backup
    assert copy is not None
    if is_restored(job):
        kept = _name_next(copy)
        notes = rewrite(job.target, lambda _, part: restore(copy, part), keep=kept)
        if filecmp.cmp(job.target, kept, shallow=False):
            kept.unlink()
        return notes
    return rewrite(job.target, restore, keep=copy)


def rewrite(picture: Path, restore: Restore, *, keep: Path | None = None) -> list[str]:
    """Restore a picture's file over itself, whole or not at all.

    keep: where it is kept as it was, if anywhere.
    """
    place = Path(os.path.realpath(picture))  # a link to a picture stays a link
    part = hide(place, place.suffix)
    try:
        notes = restore(place, part)
        if keep is not None:
            _keep(place, keep)
        install(part, place)
    except OSError as error:
        if error.filename != str(part):
            raise
        raise OSError(error.errno, error.strerror, str(picture)) from error
    finally:
        discard(part)
    return notes


def _name_next(copy: Path) -> Path:
    """Return the first free name behind a copy's: NAME~~, NAME~~~ ..."""
    while copy.exists():
        copy = copy.with_name(copy.name + MARK)
    return copy


def _keep(place: Path, copy: Path) -> None:
    """Keep a picture under a second name; its content stays there when the first is replaced.

    Raises FileExistsError if another process has kept another picture there since the work began.
    """
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not copy.exists():
            os.link(place, copy)
    except FileExistsError:
        pass
    except OSError:  # another file system, or one that has no links
        with open(place, "rb") as own, replacing(copy) as file:
            shutil.copyfileobj(own, file)
        shutil.copystat(place, copy)
    if not filecmp.cmp(place, copy, shallow=False):
        raise FileExistsError(errno.EEXIST, "another process has written it meanwhile", str(copy))
