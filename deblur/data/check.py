"""Checks that find the faults of a data set before hours are spent on it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deblur.data.layouts import LAYOUTS, Layout
from deblur.data.renaming import suggest
from deblur.data.search import Found, find_pairs, suggest_renaming
from deblur.media.images import Pixels
from deblur.media.registration import offset

EXCHANGED = 1.1
"""Median ratio of the detail of blurred to sharp pictures from which they count as exchanged."""
NEARLY_ALL = 0.9
SHIFT = 1.0
"""Median offset in pixels between the pictures of a scene's pairs that counts as a fault."""
GAMMA = 1.0
"""Levels by which blurred pictures are at least brighter if light was averaged, not pixels."""


@dataclass
class Checked:
    """What a check found."""

    layout: str
    counts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Problems that make a training or its figures wrong."""
    notes: list[str] = field(default_factory=list)
    """Remarks that the user should know."""


@dataclass(frozen=True)
class Look:
    """What was measured in the pixels of one pair."""

    shift: tuple[float, float]
    """How far the blurred picture lies from the sharp one: down and right, in pixels."""
    brighter: float
    """How many levels the blurred picture is brighter than the sharp one, on average."""
    detail: float
    """The blurred picture's detail as a share of the sharp one's; below 1 in a sound pair."""
    same: bool
    """Whether both pictures have the same pixels."""
    thumbnail: bytes
    """The sharp picture in 16x16 coarse levels: equal for two copies of one picture."""


def check(
    root: Path,
    layout: str,
    *,
    blur: str | None = None,
    sample: int = 20,
    progress: Callable[[list[Found]], Iterable[Found]] = iter,
) -> Checked:
    """Check a data set: pairing, sizes, counts, and the pixels of a sample of each scene's pairs.

    Args:
        root: The data set's folder or table.
        layout: Its name in `deblur.data.layouts`.
        blur: The variant of the blurred pictures, for layouts that have several.
        sample: How many pairs of each scene are decoded, spread evenly; 0 for all.
        progress: Wraps the list of these pairs while they are decoded, as a progress bar does.

    Raises:
        ValueError: A table or list cannot be read.
    """
    found, unpaired = find_pairs(root, layout, blur)
    result = Checked(layout)
    if not found:
        hint = suggest_renaming(root, layout) if root.is_dir() else ""
        result.faults.append(f"no pairs: it is not laid out as {layout}{hint and f'; {hint}'}")
    result.faults += _tell_unpaired(unpaired)
    usable = _check_sizes(found, result)
    looks = {}
    for pair in progress(_sample(usable, sample)):
        try:
            looks[pair] = _look(pair)
        except ValueError as error:
            result.faults.append(str(error))
    _count(found, LAYOUTS[layout], result)
    _check_copies(found, looks, result)
    _check_sides(looks, LAYOUTS[layout], result)
    _check_shifts(looks, result)
    if LAYOUTS[layout].average == 1:
        _tell_variant(looks, result)
    if len(looks) < len(usable):
        result.notes.append(f"pixels were compared in {len(looks)} of {len(usable)} pairs")
    return result


def _tell_unpaired(names: list[str]) -> list[str]:
    hint = suggest(names)
    told = f"without a partner of the same name: {_few(names)}{hint and f'; {hint}'}"
    return [told] if names else []


def _few(names: Iterable[object], most: int = 3) -> str:
    listed = [str(name) for name in names]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _check_sizes(found: list[Found], result: Checked) -> list[Found]:
    """Record the sizes; return the pairs whose pictures can be opened and have the same size."""
    usable, sizes = [], Counter[tuple[int, int]]()
    for pair in found:
        try:
            sizes[pair.size()] += 1
            usable.append(pair)
        except (ValueError, FileNotFoundError) as error:
            result.faults.append(str(error))
    if sizes:
        listed = [f"{w}x{h}" + f" ({n})" * (len(sizes) > 1) for (w, h), n in sizes.most_common()]
        result.counts.append(f"sizes: {_few(listed, 5)}")
    return usable


def _count(found: list[Found], kind: Layout, result: Checked) -> None:
    """Compare the numbers of pairs and scenes of each split with the official ones."""
    official = {kind.splits.get(name, ""): count for name, count in kind.counts.items()}
    if kind.only:
        official = {kind.only: count for count in kind.counts.values()}
    for split in [*dict.fromkeys(pair.split for pair in found)]:
        own = [pair for pair in found if pair.split == split]
        scenes = len({pair.scene for pair in own})
        line = f"{_many(len(own), 'pair')}, {_many(scenes, 'scene')}"
        pairs, of_scenes = official.pop(split or "", (0, 0))
        if pairs:
            line += f" (official: {pairs} pairs" + f", {of_scenes} scenes" * bool(of_scenes) + ")"
        result.counts.append(f"{split}: {line}" if split else line)
        if pairs and len(own) > pairs:
            result.faults.append(f"{split or 'all'}: more than the official {pairs} pairs")
        elif pairs and len(own) < pairs:
            result.notes.append(
                f"{split or 'all'}: a subset; figures on it are not the benchmark's"
            )
    if missing := [split for split in official if split]:
        result.notes.append(f"no pairs of the split {' and '.join(missing)}")
    if not any(pair.split for pair in found):
        hint = f" (the lists {kind.lists} are missing)" if kind.lists else ""
        result.notes.append(
            "no splits: one scene in ten (or pair, if there is one scene) is held out for "
            f"validation and one for testing{hint}"
        )
        units = {pair.scene for pair in found}
        units = units if len(units) > 1 else {pair.name for pair in found}
        if 0 < len(units) < 3:
            result.notes.append("too few to train on: a split needs three scenes, or pairs of one")
    elif not any(pair.split == "val" for pair in found):
        result.notes.append("no validation split: train scenes are held out for it")
    if not kind.benchmark:
        result.notes.append("not a benchmark: its scenes are not known")
    names = Counter((pair.split, pair.name) for pair in found)
    if twice := [name for (_, name), count in names.items() if count > 1]:
        result.faults.append(f"names that occur more than once: {_few(twice)}")


def _sample(pairs: list[Found], most: int) -> list[Found]:
    scenes: dict[tuple[str | None, str], list[Found]] = defaultdict(list)
    for pair in pairs:
        scenes[pair.split, pair.scene].append(pair)
    chosen = []
    for own in scenes.values():
        count = min(most or len(own), len(own))
        chosen += [own[index] for index in np.linspace(0, len(own) - 1, count).astype(int)]
    return chosen


def _look(pair: Found) -> Look:
    blurred, sharp = pair.read()
    same = np.array_equal(blurred, sharp)
    shift = (0.0, 0.0) if same else offset(blurred, sharp)
    detail = 1.0 if same else _detail(blurred) / max(_detail(sharp), 1e-6)
    return Look(shift, float(blurred.mean() - sharp.mean()), detail, same, _thumbnail(sharp))


def _detail(pixels: Pixels) -> float:
    """Return the mean squared slope at half the size, where noise counts for less."""
    height, width = (2 * (side // 2) for side in pixels.shape[:2])
    green: NDArray[np.float64] = pixels[:height, :width, 1].astype(float)
    half = green.reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    slopes = [np.diff(half, axis=axis) for axis in (0, 1)]
    return float(sum((slope**2).mean() for slope in slopes if slope.size))


def _thumbnail(pixels: Pixels) -> bytes:
    green: NDArray[np.float64] = pixels[..., 1].astype(float)
    tiles = [np.array_split(strip, 16, axis=1) for strip in np.array_split(green, 16)]
    means = np.array([[tile.mean() if tile.size else 0 for tile in row] for row in tiles])
    return (means / 2).round().astype(np.uint8).tobytes()


def _check_copies(found: list[Found], looks: dict[Found, Look], result: Checked) -> None:
    """Find pairs whose pictures are identical, and sharp pictures that are in two splits."""
    digests = _digests(file for pair in found for file in (pair.blur[0], pair.sharp))
    copies = {p.name for p in found if not p.halves and _equal(p.blur[0], p.sharp, digests)}
    copies |= {pair.name for pair, look in looks.items() if look.same}
    if copies:
        result.faults.append(f"blurred and sharp are the same picture: {_few(sorted(copies))}")
    marks: dict[object, dict[str, str]] = defaultdict(dict)
    for pair in found:
        for mark in (digests.get(pair.sharp), looks[pair].thumbnail if pair in looks else None):
            if mark is not None:
                marks[mark][pair.split or ""] = pair.name
    leaks = {min(names.values()) for names in marks.values() if len(names) > 1}
    if leaks:
        result.faults.append(f"sharp pictures that are in two splits: {_few(sorted(leaks))}")


def _digests(files: Iterable[Path]) -> dict[Path, bytes]:
    """Hash the files that share their size with another file; the others cannot be copies."""
    sizes: dict[int, set[Path]] = defaultdict(set)
    for file in files:
        if file.is_file():
            sizes[file.stat().st_size].add(file)
    alike = [file for own in sizes.values() if len(own) > 1 for file in own]
    return {file: hashlib.sha256(file.read_bytes()).digest() for file in alike}


def _equal(first: Path, second: Path, digests: dict[Path, bytes]) -> bool:
    return first != second and first in digests and digests[first] == digests.get(second)


def _check_sides(looks: dict[Found, Look], kind: Layout, result: Checked) -> None:
    """Find blurred pictures that are sharper than their sharp ones: nearly all, or single ones."""
    shares = {pair: look.detail for pair, look in looks.items() if not look.same}
    sharper = [pair.name for pair, share in shares.items() if share > 1]
    if not sharper:
        return
    nearly_all = len(sharper) >= NEARLY_ALL * len(shares)
    if nearly_all and np.median([*shares.values()]) >= EXCHANGED:
        remedy = "exchange the names of their folders"
        if kind.halves:
            remedy = "the blurred one must be the left half"
        elif not kind.templates:
            remedy = "exchange the columns of the table"
        result.faults.append(
            f"blurred and sharp look exchanged: in {len(sharper)} of {_many(len(shares), 'pair')} "
            f"the blurred picture is sharper than the sharp one; {remedy}"
        )
    elif single := [pair.name for pair, share in shares.items() if share >= 2 * EXCHANGED]:
        result.notes.append(f"single pairs whose blurred picture is sharper: {_few(single)}")


def _check_shifts(looks: dict[Found, Look], result: Checked) -> None:
    """Check that a pair's pictures are aligned; single blurred frames may be a pixel off."""
    scenes: dict[str, list[tuple[Found, Look]]] = defaultdict(list)
    for pair, look in looks.items():
        scenes[pair.scene].append((pair, look))
    single = []
    for scene, own in scenes.items():
        down, right = np.median([look.shift for _, look in own], axis=0)
        if np.hypot(down, right) >= SHIFT:
            result.faults.append(
                f"scene {scene or 'of all pairs'}: the blurred pictures lie {down:+.1f} pixels "
                f"down and {right:+.1f} right of the sharp ones (median of {len(own)})"
            )
        else:
            single += [pair.name for pair, look in own if np.hypot(*look.shift) >= SHIFT]
    if single:
        result.notes.append(f"single pairs misaligned by a pixel or more: {_few(single)}")


def _tell_variant(looks: dict[Found, Look], result: Checked) -> None:
    """Report how the blurred pictures were averaged, by their brightness."""
    if looks:
        brighter = float(np.median([look.brighter for look in looks.values()]))
        kind = (
            "light was averaged, as in blur_gamma (an inverse response curve)"
            if brighter >= GAMMA
            else "pixels were averaged, as in GoPro's blur"
        )
        result.counts.append(f"blur: {brighter:+.1f} levels brighter than sharp: {kind}")
