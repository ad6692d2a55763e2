"""Finds the sharp picture of each restored one, whoever named the files."""

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
"""Folders that tell what a picture is, and not which."""


@dataclass(frozen=True)
class Truth:
    """A sharp picture, and the names by which a restored one may call it."""

    file: Path
    scene: str
    names: tuple[str, ...]
    split: str | None = None
    """Of a data set; None where it has none."""
    poses: tuple[Path, ...] = ()
    """All sharp frames of the exposure, where there are several."""


def match(restored: Path, sharp: Path) -> tuple[list[tuple[str, Path, Truth]], list[Truth]]:
    """Pair the pictures of two folders: give (name, restored file, truth) by name, and the rest.

    sharp: a folder of sharp pictures, or a data set as it is unpacked, whose sharp pictures are
    taken. A restored picture belongs to the sharp one of the same relative path, endings and
    folders such as "sharp" and "test" left out; of the path with "-" or "_" between the scene and
    the frame; or of the same file name, where that is clear. The rest are the sharp ones that no
    restored picture belongs to, of the splits that any belongs to. Raises OSError where either
    folder is missing or holds no pictures, and ValueError where a restored one has no sharp one.
    """
    for folder in (restored, sharp):
        if not folder.exists():
            raise FileNotFoundError(f"{folder}: no such folder")
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder}: not a folder; expected one that holds pictures")
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
            f"{restored}: of {len(files)} pictures {len(unpaired)} have no sharp one of the same "
            f"name among the {len(truths)} in {sharp}: {_few(unpaired)}"
        )
    met = Counter(truth for *_, truth in matched)
    twice = [file for _, file, truth in matched if met[truth] > 1]
    if twice:
        raise ValueError(
            f"{restored}: several pictures for one sharp picture: {_few(map(str, twice))}"
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
    """Give a picture's names, the most certain first."""
    parts = path.with_suffix("").parts
    yield "/".join(parts)
    short = [part for part in parts[:-1] if part.lower() not in KINDS] + [parts[-1]]
    for between in "/-_":
        yield between.join(short)
    yield parts[-1]


def _scene(path: Path) -> str:
    """Name a picture's scene: its folder, or itself where there are no scenes."""
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
