"""What a batch passes over in folders, counted: nobody should take it for restored."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from deblur.media.formats.raw import is_raw_name
from deblur.restoration.source_files import locate

MOST = 4
"""The most endings that are named."""


def describe_passed(paths: Sequence[str], out: Path, is_wanted: Callable[[Path], bool]) -> str:
    """Count what is passed over in the folders that paths name, in a line; "" for nothing.

    is_wanted: whether a file is processed, by its name; others are counted.

    These are raw files of cameras, files of other kinds, by their endings, and links to folders.
    Hidden files and folders, and the folder of the results, do not count.
    """
    raw, links, endings = 0, 0, Counter[str]()
    for place in dict.fromkeys(map(locate, _walk(paths, out, is_wanted))):
        if place.is_dir():
            links += 1
        elif is_raw_name(place):
            raw += 1
        else:
            endings[place.suffix.lower()] += 1
    parts = []
    if raw:
        parts.append(f"{_number(raw, 'raw file')} of cameras (develop them first)")
    if endings:
        named = [ending or "none" for ending, _ in endings.most_common(MOST)]
        more = ", ..." if len(endings) > MOST else ""
        other = f"{_number(endings.total(), 'file')} of other kinds"
        parts.append(f"{other} ({', '.join(named)}{more})")
    if links:
        parts.append(f"{_number(links, 'linked folder')} (name them to have them restored)")
    return f"passed over: {', '.join(parts)}" if parts else ""


def _number(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)


def _walk(paths: Sequence[str], out: Path, is_wanted: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield the files that are passed over."""
    results = out.resolve()
    for path in paths:
        for start in [path] if os.path.exists(path) else glob.glob(path, recursive=True):
            for folder, folders, files in os.walk(start):
                inner = [Path(folder, name) for name in folders if not name.startswith(".")]
                inner = [place for place in inner if place.resolve() != results]
                folders[:] = [place.name for place in inner]
                yield from filter(Path.is_symlink, inner)
                own = (Path(folder, name) for name in files if _counts(name))
                yield from (file for file in own if not is_wanted(file))


def _counts(name: str) -> bool:
    """Return whether a file is neither hidden nor a copy by `--in-place` or an editor."""
    return not name.startswith(".") and not name.endswith("~")
