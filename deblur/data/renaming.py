"""Suggests how to rename a folder's pictures so that they are found as pairs."""

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from pathlib import PurePosixPath
from typing import NamedTuple

from deblur.data.layouts import SPLITS

BLURRED = {"blur", "blurred", "blurry", "degraded", "input", "inputs", "lq"}
SHARP = {"clean", "clear", "groundtruth", "gt", "hq", "sharp", "target", "targets", "truth"}
"""Words in paths that tell which picture of a pair a file is."""
FOLDERS = 20
"""The most folders whose file names are compared."""


class Sides(NamedTuple):
    """The candidates for the pictures of one pair."""

    blurred: list[PurePosixPath]
    sharp: list[PurePosixPath]


def suggest(names: Iterable[str]) -> str:
    """Return which pictures look like pairs, and what to rename; "" if none do.

    names: paths, relative to the data set's folder, of pictures that have no partner. Two look like
    a pair if their paths differ only in words such as blur and gt, and in leading zeros.
    """
    paths = [PurePosixPath(name) for name in sorted(names)]
    alike: dict[tuple[str, ...], Sides] = defaultdict(lambda: Sides([], []))
    for path in paths:
        words = _split(path)
        for own, others, side in ((BLURRED, SHARP, 0), (SHARP, BLURRED, 1)):
            if own & {*words} and not others & {*words}:
                alike[tuple(word for word in words if word not in own)][side].append(path)
    pairs = [
        (s.blurred[0], s.sharp[0]) for s in alike.values() if len(s.blurred) == len(s.sharp) == 1
    ]
    if not pairs or 4 * len(pairs) < len(paths):
        return _suggest_folders(paths)
    blurred, sharp = pairs[0]
    return (
        f"{blurred} and {sharp} look like a pair, one of {len(pairs)}: rename them to "
        f"{_place(sharp, 'blur', blurred.suffix)} and {_place(sharp, 'sharp', sharp.suffix)}, or "
        "list the pairs in a table, pairs.csv"
    )


def _split(path: PurePosixPath) -> list[str]:
    """Split a path into lower-case words, and numbers without leading zeros."""
    plain = path.with_suffix("").as_posix().lower()
    words = re.split(r"[/_\-. ]+", plain)
    return [re.sub(r"\d+", lambda number: str(int(number[0])), word) for word in words]


def _place(path: PurePosixPath, side: str, ending: str) -> PurePosixPath:
    """Return a picture's path in the layout blur_sharp: split, side and name."""
    folders = [part for part in path.parts[:-1] if part.lower() not in BLURRED | SHARP]
    words = [word for word in re.split(r"[_\-. ]+", path.stem) if word.lower() not in SHARP]
    splits = [folder for folder in folders if folder in SPLITS]
    scene = [folder for folder in folders if folder not in SPLITS]
    return PurePosixPath(*splits, side, "-".join([*scene, "_".join(words)]) + ending)


def _suggest_folders(paths: Iterable[PurePosixPath]) -> str:
    """Suggest two folders whose pictures have the same names, whatever the folders are called."""
    folders: dict[PurePosixPath, set[tuple[str, ...]]] = defaultdict(set)
    for path in paths:
        folders[path.parent].add(tuple(_split(PurePosixPath(path.name))))
    if len(folders) > FOLDERS:
        return ""
    shared = [(len(folders[one] & folders[two]), one, two) for one, two in combinations(folders, 2)]
    count, one, other = max(shared, default=(0, None, None))
    if one is None or 2 * count < len(folders[one]):
        return ""
    return (
        f"the folders {one} and {other} have {count} file names in common: rename the folder of "
        "the blurred pictures to blur and the other to sharp"
    )
