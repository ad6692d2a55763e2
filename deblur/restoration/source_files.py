"""Finds the files that paths, globs and folders stand for."""

import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

NOWHERE = Path(os.devnull)
"""The folder of the results where there is none."""
Fail = Callable[[str, str], None]
"""Called with a path that cannot be read, and the reason."""


def find_sources(patterns: Iterable[str], fail: Fail) -> list[Path]:
    """List the files and folders that names and globs stand for, each once.

    Raises FileNotFoundError for a pattern that matches nothing.
    """
    sources: dict[Path, Path] = {}
    for pattern in patterns:
        for path in _expand(pattern, fail):
            try:
                mode = os.stat(path).st_mode
            except OSError as error:
                fail(str(path), str(error.strerror))
                continue
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                sources.setdefault(locate(path), path)
            else:
                fail(str(path), "neither a file nor a folder; `deblur -` reads from a pipe")
    return [*sources.values()]


def _expand(pattern: str, fail: Fail) -> list[Path]:
    try:
        os.stat(pattern)
    except PermissionError:
        return [Path(pattern)]  # it may exist
    except OSError:  # some shells leave patterns to programs
        pass
    else:
        return [Path(pattern)]
    found = [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]
    # glob omits folders that it cannot list, without an error.
    closed = 0
    for folder in glob.glob(os.path.join(os.path.dirname(pattern), ""), recursive=True):
        try:
            os.scandir(folder).close()
        except OSError as error:
            fail(str(Path(folder)), str(error.strerror))
            closed += 1
    if not found and not closed:
        raise FileNotFoundError(f"{pattern}: no such file or folder (and no verb of deblur --help)")
    return found


def locate(path: Path) -> Path:
    """Return the absolute path, with links in its folders resolved, but not the last part."""
    return path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name


def lies_in(path: Path, folder: Path) -> bool:
    """Return whether a path is a folder or lies below it; links are followed."""
    resolved, place = path.resolve(), folder.resolve()
    return place == resolved or place in resolved.parents


def walk(
    source: Path, out: Path, is_wanted: Callable[[Path], bool], fail: Fail
) -> Iterator[tuple[Path, Path]]:
    """Yield the regular files of a folder, with their paths relative to it; or a single file.

    is_wanted: chooses files by name. Hidden files and the folder `out` are always left out.
    """
    if not source.is_dir():
        yield source, Path(source.name)
        return
    results = out.resolve()

    def skip(error: OSError) -> None:
        fail(str(Path(error.filename)), str(error.strerror))

    for folder, folders, files in os.walk(source, onerror=skip):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and Path(folder, name).resolve() != results
        )
        for name in sorted(files):
            file = Path(folder, name)
            if name.startswith(".") or not is_wanted(file):
                continue
            try:
                regular = stat.S_ISREG(os.stat(file).st_mode)
            except OSError as error:
                skip(error)
                continue
            if regular:
                yield file, file.relative_to(source)
