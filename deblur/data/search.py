"""Finds the pairs of a data set on disk, in any layout of the table."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np

from deblur.data.bounds import check_links, check_name, leads_back
from deblur.data.layouts import LAYOUTS, SPLITS, Layout
from deblur.data.lists import read_lines, read_rows
from deblur.data.names import tell_apart
from deblur.data.renaming import suggest
from deblur.media.images import Pixels, is_picture, read, read_size

GOPRO_FRAME = re.compile(r"(GOPR\d+_\d+_\d+)[_-].+")


@dataclass(frozen=True)
class Found:
    """A pair on disk."""

    name: str
    """Unique within a split, unless files are listed twice."""
    scene: str
    split: str | None
    blur: tuple[Path, ...]
    """One file, or the frames that are averaged."""
    sharp: Path
    halves: bool = False
    """Whether one file holds both pictures, the blurred one on the left."""
    poses: tuple[Path, ...] = ()
    """All sharp frames of the exposure, if the data set has several."""

    def read(self) -> Pixels:
        """Read both pictures as (2, H, W, 3), the blurred one first."""
        sharp = read(self.sharp)
        if self.halves:
            return np.stack(np.split(sharp, 2, axis=1))
        blur = [sharp if file == self.sharp else read(file) for file in self.blur]
        mean = blur[0] if len(blur) == 1 else np.mean(blur, axis=0).round().astype(np.uint8)
        return np.stack([mean, sharp])

    def size(self) -> tuple[int, int]:
        """Read width and height from the files' headers; raise ValueError if they differ."""
        sizes = {file: read_size(file) for file in (*self.blur, self.sharp)}
        if len(set(sizes.values())) > 1:
            said = " but ".join(f"{file} is {w}x{h}" for file, (w, h) in sizes.items())
            raise ValueError(f"a pair's pictures differ in size: {said}")
        width, height = sizes[self.sharp]
        if self.halves and width % 2:
            raise ValueError(f"{self.sharp}: has an odd width, expected two pictures side by side")
        return (width // 2 if self.halves else width), height


def find_pairs(root: Path, layout: str, blur: str | None = None) -> tuple[list[Found], list[str]]:
    """Search a folder for a layout's pairs.

    blur: the variant of the blurred pictures, for layouts that have several. Returns the pairs,
    sorted by name, and the files without a partner, among them those whose name another one has
    with another extension.
    """
    if layout == "csv":
        return _rename(_read_table(root), _table(root).parent), []
    pictures = [*_list_pictures(root)]
    files = _name(root, pictures)
    found, unpaired = _search(root, files, LAYOUTS[layout], blur)
    if LAYOUTS[layout].lists:
        found = _by_lists(root, LAYOUTS[layout], found)
    hidden = {*pictures} - {*files.values()}
    unpaired += [path.relative_to(root).as_posix() for path in hidden]
    return _rename(found, root), sorted(unpaired)


def guess(root: Path) -> str | None:
    """Return the layout with the most pairs in a folder; None if no layout has any."""
    if _table(root).is_file():
        return "csv"
    files = _name(root, _list_pictures(root))
    pairs = {
        name: len(_search(root, files, kind, None)[0])
        for name, kind in LAYOUTS.items()
        if not kind.halves
    }
    best = max(pairs, key=lambda name: pairs[name])
    return best if pairs[best] else None


def choose_layout(root: Path) -> str:
    """Guess a folder's layout; if that fails, raise an error that says what to do."""
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder")
    if layout := guess(root):
        return layout
    below = guess_below(root)
    hint = f"did you mean {below}?" if below else suggest_renaming(root)
    hint = hint or "--layout NAME selects one"
    raise ValueError(f"{root}: matches no layout of docs/data.md; {hint}")


def suggest_renaming(root: Path, layout: str | None = None) -> str:
    """Return what to rename in a folder in which no pairs were found; "" if unknown.

    layout: the layout it was read with; if another one fits, that is named.
    """
    if kind := guess(root):
        return f"it has pairs in the layout {kind}" if kind != layout else ""
    return suggest(path.relative_to(root).as_posix() for path in _list_pictures(root))


def guess_below(root: Path) -> Path | None:
    """Return the first subfolder that has a layout: probably the one the user meant."""
    inside = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return next((folder for folder in inside if guess(folder)), None)


def _search(
    root: Path, files: Mapping[str, Path], kind: Layout, blur: str | None
) -> tuple[list[Found], list[str]]:
    found: list[Found] = []
    unpaired: set[Path] = set()
    for templates in kind.templates:
        blurred, sharp = (_compile(template, kind, blur or kind.blur) for template in templates)
        pairs, rest = _match(files, blurred, sharp, kind)
        found += pairs
        unpaired |= rest if pairs else set()
    if kind.average > 1:
        return _average(found, kind.average), []
    unpaired -= {file for pair in found for file in (*pair.blur, pair.sharp)}
    return found, [file.relative_to(root).as_posix() for file in unpaired]


def _name(root: Path, pictures: Iterable[Path]) -> dict[str, Path]:
    """Map relative paths without extensions to pictures: to the last one that has this path."""
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in pictures}


def _list_pictures(root: Path) -> Iterator[Path]:
    """List the pictures under a folder.

    Raises ValueError for links that lead out of the folder, see `deblur.data.bounds`.
    """
    for folder, inner, names in os.walk(root, followlinks=True):
        places = [Path(folder, name) for name in sorted(inner)]
        places = [one for one in places if not one.name.startswith((".", "__MACOSX"))]
        inner[:] = [one.name for one in places if not leads_back(one)]
        pictures = [
            path for path in (Path(folder, name) for name in sorted(names)) if is_picture(path)
        ]
        for path in filter(Path.is_symlink, (*places, *pictures)):
            check_links(path, root)
        yield from pictures


def _compile(template: str, kind: Layout, blur: str) -> re.Pattern[str]:
    """Convert a template to a regular expression; a repeated field must match the same text."""
    fields = {
        "split": "|".join(map(re.escape, kind.splits)),
        "scene": f"(?!(?:{'|'.join(SPLITS)})/)[^/]+",  # a split's folder is not a scene
        "frame": "[^/]+",
        "pose": r"\d+",
    }
    expression = ""
    seen: set[str] = set()
    for part in re.split(r"(\{\w+\})", template):
        name = part.strip("{}")
        if part == "{blur}":
            expression += re.escape(blur)
        elif part.startswith("{"):
            expression += f"(?P={name})" if name in seen else f"(?P<{name}>{fields[name]})"
            seen.add(name)
        else:
            expression += re.escape(part)
    return re.compile(expression)


def _match(
    files: Mapping[str, Path], blur: re.Pattern[str], sharp: re.Pattern[str], kind: Layout
) -> tuple[list[Found], set[Path]]:
    """Pair the files of two expressions by their shared fields; return the unpaired ones, too."""
    shared = [name for name in sharp.groupindex if name in blur.groupindex]

    def look(expression: re.Pattern[str]) -> Iterator[tuple[tuple[str, ...], dict[str, str], Path]]:
        for path, file in files.items():
            if hit := expression.fullmatch(path):
                yield tuple(hit[name] for name in shared), hit.groupdict(), file

    sharps: dict[tuple[str, ...], list[Path]] = {}
    for key, _, file in look(sharp):
        sharps.setdefault(key, []).append(file)
    found, unpaired, met = [], set(), set()
    for key, fields, file in look(blur):
        if key in sharps:
            met.add(key)
            poses = sorted(sharps[key], key=lambda path: (len(path.name), path.name))
            pair = _found(fields, kind, (file,), poses[(len(poses) - 1) // 2])
            found.append(replace(pair, poses=tuple(poses)) if len(poses) > 1 else pair)
        else:
            unpaired.add(file)
    return found, unpaired.union(*(sharps[key] for key in set(sharps) - met))


def _found(fields: Mapping[str, str], kind: Layout, blur: tuple[Path, ...], sharp: Path) -> Found:
    frame = fields["frame"]
    prefix = GOPRO_FRAME.fullmatch(frame)
    scene = fields.get("scene", prefix[1] if prefix else "")
    split = kind.only or kind.splits.get(fields.get("split", ""))
    if kind.test_scenes:
        split = "test" if scene in kind.test_scenes else "train"
    name = f"{scene}-{frame}" if "scene" in fields else frame
    return Found(name, scene, split, blur, sharp, kind.halves)


def _average(frames: list[Found], count: int) -> list[Found]:
    """Make one pair from each `count` consecutive frames of a scene."""
    scenes: dict[str, list[Found]] = {}
    for frame in frames:
        scenes.setdefault(frame.scene, []).append(frame)
    pairs = []
    for own in scenes.values():
        for start in range(0, len(own) - count + 1, count):
            few = own[start : start + count]
            middle = few[count // 2]
            blur = tuple(frame.sharp for frame in few)
            pairs.append(replace(middle, blur=blur))
    return pairs


def _by_lists(root: Path, kind: Layout, found: list[Found]) -> list[Found]:
    """Assign splits by a set's text lists, in its folder or beside it; drop pairs not listed."""
    splits = {}
    for split in SPLITS.values():
        for folder in (root, root / "datalist", root.parent):
            file = folder / kind.lists.format(split=split)
            if file.is_file():
                for line in read_lines(file):
                    if line.split():
                        splits[line.split()[0]] = split
                break
    if not splits:
        return found

    def split_of(pair: Found) -> str | None:
        path = pair.sharp.as_posix()
        ends = (path[place + 1 :] for place in range(len(path)) if path[place] == "/")
        return next((splits[end] for end in ends if end in splits), None)

    named = [(pair, split_of(pair)) for pair in found]
    return [replace(pair, split=split) for pair, split in named if split]


def _table(root: Path) -> Path:
    return root if root.suffix.lower() == ".csv" else root / "pairs.csv"


def _read_table(root: Path) -> list[Found]:
    """Read a table's pairs; a table found in a data set's folder may not name files outside."""
    table = _table(root)
    pairs = []
    rows = read_rows(table, ("blur", "sharp"))
    lacking = [line for line, row in enumerate(rows, 2) if not row.get("split")]
    if 0 < len(lacking) < len(rows):
        told = f"line {lacking[0]} has no split, but others have one"
        raise ValueError(f"{table}: {told}; expected train, val or test in all lines, or in none")
    for row in rows:
        blur, sharp = (table.parent / row[side] for side in ("blur", "sharp"))
        for path in (blur, sharp) if table != root else ():
            check_name(path, root, table)
        if row.get("split") and row["split"] not in SPLITS:
            raise ValueError(f"{table}: split is {row['split']}, expected train, val or test")
        split = SPLITS.get(row.get("split") or "")
        scene = row.get("scene") or ""
        name = row.get("name") or (f"{scene}-{blur.stem}" if scene else blur.stem)
        pairs.append(Found(name, scene, split, (blur,), sharp))
    return pairs


def _rename(pairs: list[Found], top: Path) -> list[Found]:
    """Sort pairs by name; those of a split with equal names are named by their paths below `top`.

    The paths are those of the blurred pictures, without their endings if that suffices.
    """
    renamed = [*pairs]
    for split in {pair.split for pair in pairs}:
        places = [place for place, pair in enumerate(pairs) if pair.split == split]
        paths = [PurePath(os.path.relpath(pairs[place].blur[0], top)) for place in places]
        short = [path.with_suffix("").as_posix() for path in paths]
        names = [pairs[place].name for place in places]
        names = tell_apart(names, short, [path.as_posix() for path in paths])
        for place, name in zip(places, names):
            renamed[place] = replace(pairs[place], name=name)
    return sorted(renamed, key=lambda pair: pair.name)
