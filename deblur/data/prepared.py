"""Pairs unpacked into arrays on disk: a crop can be read without decoding the whole frame.

A folder written by `deblur prepare` holds index.json and for each pair an array (2, H, W, 3) of
8-bit pixels, the blurred picture first. The index records the size and time of change of each
source file.
"""

import json
import logging
import os
import shlex
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deblur.atomic import replacing, write_text
from deblur.data.bounds import check_name
from deblur.data.search import Found, find_pairs
from deblur.media.images import Pixels

log = logging.getLogger(__name__)

INDEX = "index.json"
FORMAT = 1


class Prepared:
    """The arrays of a prepared folder.

    Raises ValueError if the index is damaged or names arrays outside of the folder, or if the
    source files have changed since. If the source does not exist, as on another machine, the arrays
    are used as they are.
    """

    def __init__(self, root: Path) -> None:
        self.layout = ""
        self.blur: str | None = None
        self.sizes: dict[Found, tuple[int, int]] = {}
        self._arrays: dict[Found, Path] = {}
        index = _read_index(root / INDEX)
        if index.get("format") != FORMAT:
            raise ValueError(f"{root}: has index format {index.get('format')}, expected {FORMAT}")
        try:
            source = self._take(root, index)
            files, blur = index["files"], index["blur"]
            splits = [f"--split={split}" for split in index["splits"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{root / INDEX}: damaged ({error!r})") from error
        self.pairs = list(self._arrays)
        if not files:
            return  # written by `keep`, from no files
        if not source.exists():
            log.info("%s: made from %s, which no longer exists", root, source)
        elif files != _stamps(source, _pairs(source, index)):
            variant = [f"--blur={blur}"] if blur else []
            options = [f"--layout={self.layout}", *variant, *splits]
            raise ValueError(
                f"{root}: the files in {source} have changed since it was prepared: "
                f"{shlex.join(['deblur', 'prepare', str(source), str(root), *options])}"
            )

    def _take(self, root: Path, index: dict[str, Any]) -> Path:
        """Read the pairs of an index; return the folder of its source files."""
        self.layout, self.blur = index["layout"], index["blur"]
        source = Path(index["source"])
        for row in index["pairs"]:
            *blur, sharp = (source / file for file in row["files"])
            pair = Found(row["name"], row["scene"], row["split"], tuple(blur), sharp)
            self.sizes[pair] = (row["width"], row["height"])
            self._arrays[pair] = root / row["array"]
            check_name(self._arrays[pair], root, root / INDEX)
        return source

    def frames(self, pair: Found) -> Pixels:
        """Map a pair's array (2, H, W, 3) into memory: only the part that is used is read.

        Raises ValueError if the file does not hold such an array.
        """
        path, (width, height) = self._arrays[pair], self.sizes[pair]
        try:
            array: Pixels = np.lib.format.open_memmap(path, mode="r")
        except ValueError as error:
            raise ValueError(f"{path}: cannot be read as an array ({error})") from error
        wanted = (2, height, width, 3)
        if array.dtype != np.uint8 or array.shape != wanted:
            found = f"{array.shape} of {array.dtype}"
            raise ValueError(f"{path}: holds {found}, expected {wanted} of uint8")
        return array


def prepare(
    source: Path, out: Path, *, layout: str, blur: str | None, splits: list[str], workers: int
) -> Iterator[tuple[int, int]]:
    """Write the arrays of a data set; yield (arrays done, arrays in all) after each one.

    Arrays that an earlier call has written from the same files are kept.

    Args:
        source: The data set's folder.
        out: The folder to write.
        layout: The source's layout, a name in `deblur.data.layouts`.
        blur: The variant of the blurred pictures, if the layout has several.
        splits: The splits to unpack; empty for all.
        workers: The number of threads that decode.

    Raises:
        FileNotFoundError: There are no pairs.
        ValueError: A picture has no partner, a pair's pictures differ in size, or out is source.
    """
    if out.resolve() == source.resolve():
        raise ValueError(f"{out}: is the data set itself, expected another folder for the arrays")
    plan = {"format": FORMAT, "layout": layout, "blur": blur, "splits": splits}
    pairs = _pairs(source, plan)
    if not pairs:
        raise FileNotFoundError(f"{source}: found no pairs in the layout {layout}")
    plan |= {"source": str(source.resolve()), "files": _stamps(source, pairs)}
    out.mkdir(parents=True, exist_ok=True)
    unfinished, index = out / "unfinished.json", out / INDEX
    if _holds(index, plan):
        yield len(pairs), len(pairs)
        return
    index.unlink(missing_ok=True)
    if not _holds(unfinished, plan):
        for array in out.glob("*.npy"):
            array.unlink()
        _write(unfinished, plan)
    rows: list[dict[str, Any]] = []
    pool = ThreadPoolExecutor(workers)
    try:
        jobs = [pool.submit(_unpack, pair, out / f"{i:06}.npy") for i, pair in enumerate(pairs)]
        for pair, job in zip(pairs, jobs):
            path, width, height = job.result()
            files = [_relative(file, source) for file in (*pair.blur, pair.sharp)]
            own = {"name": pair.name, "scene": pair.scene, "split": pair.split, "files": files}
            rows.append({**own, "array": path.name, "width": width, "height": height})
            yield len(rows), len(pairs)
    finally:
        pool.shutdown(cancel_futures=True)  # at Ctrl-C, finish only the pairs already begun
    _write(index, {**plan, "pairs": rows})
    unfinished.unlink()


def keep(
    out: Path, split: Literal["train", "val", "test"], pairs: Iterable[tuple[str, Pixels]]
) -> Iterator[int]:
    """Write pairs that are not read from files as arrays; yield the number done after each one.

    pairs: unique names, and 8-bit arrays (2, H, W, 3). Other splits in the folder are kept. Raises
    FileExistsError if the folder already holds this split, and ValueError for a name that is not
    unique.
    """
    out.mkdir(parents=True, exist_ok=True)
    old = _read_index(out / INDEX) if (out / INDEX).is_file() else {}
    rows = old.get("pairs", [])
    if old.get("files") or any(row["split"] == split for row in rows):
        raise FileExistsError(f"{out}: already holds {split} pairs")
    (out / split).mkdir(exist_ok=True)
    names: set[str] = set()
    for count, (name, both) in enumerate(pairs, 1):
        if name in names:
            raise ValueError(f"{name}: the name of two pairs")
        names.add(name)
        path = out / split / f"{name}.npy"
        _save(path, both)
        files = [f"{split}/{side}/{name}.png" for side in ("blur", "sharp")]
        own = {"name": name, "scene": "", "split": split, "files": files}
        place = {"array": f"{split}/{name}.npy", "width": both.shape[2], "height": both.shape[1]}
        rows.append({**own, **place})
        yield count
    plan = {"format": FORMAT, "layout": "blur_sharp", "blur": None, "splits": []}
    _write(out / INDEX, {**plan, "source": str(out.resolve()), "files": {}, "pairs": rows})


def _unpack(pair: Found, path: Path) -> tuple[Path, int, int]:
    width, height = pair.size()
    if not path.is_file():
        _save(path, pair.read())
    return path, width, height


def _pairs(source: Path, plan: dict[str, Any]) -> list[Found]:
    """Find the pairs of a plan; raise ValueError for pictures without a partner."""
    found, unpaired = find_pairs(source, plan["layout"], plan["blur"])
    if unpaired:
        raise ValueError(
            f"{source}: {len(unpaired)} pictures have no partner: {', '.join(unpaired[:3])} "
            f"(deblur check-data {source} lists the faults)"
        )
    return [pair for pair in found if not plan["splits"] or pair.split in plan["splits"]]


def _stamps(source: Path, pairs: list[Found]) -> dict[str, list[int]]:
    """Return the size and time of change, in nanoseconds, of each file of the pairs."""
    files = sorted({file for pair in pairs for file in (*pair.blur, pair.sharp)})
    known = ((_relative(file, source), file.stat()) for file in files)
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in known}


def _relative(file: Path, source: Path) -> str:
    """Return a file's path relative to the source; a table may name files outside of it."""
    return os.path.relpath(file, source).replace(os.sep, "/")


def _holds(path: Path, plan: dict[str, Any]) -> bool:
    """Return whether an index, finished or not, belongs to a plan."""
    return path.is_file() and plan.items() <= _read_index(path).items()


def _read_index(path: Path) -> dict[str, Any]:
    """Read an index, finished or not; raise ValueError if it is damaged."""
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged ({error})") from error
    if not isinstance(index, dict):
        raise ValueError(f"{path}: damaged (it holds no mapping)")
    return index


def _save(path: Path, both: Pixels) -> None:
    with replacing(path) as file:
        np.save(file, both)


def _write(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=1))
