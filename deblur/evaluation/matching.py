"""Finds the sharp picture of each restored one, by its path in any of several forms."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deblur.data.search import find_pairs, guess
from deblur.media.images import is_picture

SHOWN = 3
KINDS = {
    "sharp",
    "blur",
    "blur_gamma",
    "gt",
    "target",
    "input",
    "lq",
    "hq",
    "restored",
    "deblurred",
    "train",
    "val",
    "test",
}
"""Folders that tell the kind of a picture, and do not identify it."""


@dataclass(frozen=True)
class Truth:
    """A sharp picture, and the names that a restored one may have."""

    file: Path
    scene: str
    names: tuple[str, ...]
    split: str | None = None
    """The split of its data set; None if that has none."""
    poses: tuple[Path, ...] = ()
    """All sharp frames of the exposure, if there are several."""


def match(restored: Path, sharp: Path) -> tuple[list[tuple[str, Path, Truth]], list[Truth]]:
    """Pair the pictures of two folders.

    A restored picture matches the sharp one with the same relative path, without file extension and
    without folders such as "sharp" and "test"; or with "-" or "_" instead of "/" in that path; or
    with the same file name, if that is unique.

    Args:
        restored: The folder of restored pictures.
        sharp: A folder of sharp pictures, or a data set as it is unpacked.

    Returns:
        The matches (name, restored file, truth), sorted by file; and the sharp pictures without a
        match, of those splits that have matches.

    Raises:
        OSError: A folder is missing or holds no pictures.
        ValueError: A restored picture has no sharp one, or several have the same.
    """
    for folder in (restored, sharp):
        if not folder.exists():
            raise FileNotFoundError(f"{folder}: no such folder")
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder}: not a folder; expected a folder of pictures")
    files, truths = _pictures(restored), _truths(sharp)
    for folder, count in ((restored, len(files)), (sharp, len(truths))):
        if not count:
            raise FileNotFoundError(f"{folder}: holds no pictures")
    called: dict[str, set[Truth]] = {}
    for truth in truths:
        for name in truth.names:
            called.setdefault(name, set()).add(truth)
    matched: list[tuple[str, Path, Truth]] = []
    unpaired: list[str] = []
    for file in files:
        hits = (called.get(name, set()) for name in _names(file.relative_to(restored)))
        found = next((hit for hit in hits if len(hit) == 1), None)
        if found is None:
            unpaired.append(file.relative_to(restored).as_posix())
        else:
            name = file.relative_to(restored).with_suffix("").as_posix()
            matched.append((name, file, next(iter(found))))
    if unpaired:
        raise ValueError(
            f"{restored}: of {len(files)} pictures {len(unpaired)} have no sharp picture of the "
            f"same name among the {len(truths)} in {sharp}: {_few(unpaired)}"
        )
    met = Counter(truth for *_, truth in matched)
    twice = [file for _, file, truth in matched if met[truth] > 1]
    if twice:
        raise ValueError(
            f"{restored}: several pictures match the same sharp picture: {_few(map(str, twice))}"
        )
    splits = {truth.split for truth in met}
    return matched, [truth for truth in truths if truth not in met and truth.split in splits]


def _truths(folder: Path) -> list[Truth]:
    layout = guess(folder)
    if layout is None:
        files = [(file, file.relative_to(folder)) for file in _pictures(folder)]
        return [Truth(file, _scene(path), tuple(_names(path))) for file, path in files]
    pairs, _ = find_pairs(folder, layout)
    return [
        Truth(
            pair.sharp,
            pair.scene or pair.name,
            tuple(
                dict.fromkeys(
                    name
                    for file in (*pair.blur, pair.sharp)
                    for name in (pair.name, *_names(file.relative_to(folder)))
                )
            ),
            pair.split,
            pair.poses,
        )
        for pair in pairs
    ]


def _names(path: Path) -> Iterator[str]:
    """Yield a picture's possible names, the most specific first."""
    parts = path.with_suffix("").parts
    yield "/".join(parts)
    short = [part for part in parts[:-1] if part.lower() not in KINDS] + [parts[-1]]
    for between in "/-_":
        yield between.join(short)
    yield parts[-1]


def _scene(path: Path) -> str:
    """Return a picture's scene: its folder, or its own name if there is none."""
    folders = [part for part in path.parts[:-1] if part.lower() not in KINDS]
    return "/".join(folders) or path.stem


def _pictures(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith((".", "__MACOSX"))]
        found += filter(is_picture, (Path(place, name) for name in names))
    return sorted(found)


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + ", ..." * (len(listed) > SHOWN)
