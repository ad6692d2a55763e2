"""Opens a folder's pairs, and explains what is wrong if the requested ones are missing."""

from collections.abc import Mapping
from pathlib import Path

from deblur.data.crops import Split
from deblur.data.layouts import LAYOUTS, Layout
from deblur.data.lists import read_lines
from deblur.data.prepared import INDEX, Prepared
from deblur.data.renaming import suggest
from deblur.data.search import Found, find_pairs, guess, guess_below, suggest_renaming
from deblur.data.splits import choose_split

INSTEAD = "Type data=photos to use the built-in photos instead."


def open_pairs(
    root: Path, layout: str | None, blur: str | None
) -> tuple[str, list[Found], Prepared | None]:
    """Find the pairs of a folder, or of one written by `deblur prepare`.

    Returns the layout, the pairs, and the prepared arrays if there are any. Raises
    FileNotFoundError if there are no pairs, and ValueError if the folder holds something else.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout is {layout}, expected one of {', '.join(LAYOUTS)}")
    if (root / INDEX).is_file():
        prepared = Prepared(root)
        holds, asked = (prepared.layout, prepared.blur), (layout or prepared.layout, blur)
        if holds != asked:
            raise ValueError(f"{root}: holds {_named(*holds)}, expected {_named(*asked)}")
        return prepared.layout, prepared.pairs, prepared
    if not root.exists():
        raise FileNotFoundError(
            f"{root}: no such folder; {_wanted(root, layout, blur)} (set it by "
            f"data.root=FOLDER). {INSTEAD}"
        )
    layout = layout or guess(root)
    found, unpaired = find_pairs(root, layout, blur) if layout else ([], [])
    if unpaired:
        raise ValueError(
            f"{root}: {len(found)} pairs, and pictures without a partner of the same name: "
            f"{', '.join(unpaired[:3])}{', ...' * (len(unpaired) > 3)}; "
            f"{suggest(unpaired) or f'deblur check-data {root} lists the faults'}"
        )
    if layout is None or not found:
        inside = guess_below(root)
        hint = (
            f"{inside} has pairs: data.root={inside}" if inside else suggest_renaming(root, layout)
        )
        hint = f" {hint}." if hint else ""
        raise FileNotFoundError(
            f"{root}: found no pairs; {_wanted(root, layout, blur)}.{hint} {INSTEAD}"
        )
    return layout, found, None


def advise(found: list[Found], split: Split, val_scenes: list[str]) -> str:
    """Return how to get pairs of a missing split; never suggest using another split's pairs."""
    others = sorted({pair.split for pair in found if pair.split})
    if split in others:
        return f"its only {split} scene, or pair, is held out for validation; expected two or more"
    if others:
        return f"those are its {' and '.join(others)} pairs; expected a folder {split}/ beside them"
    if split == "test" and choose_split(found, "train", val_scenes):
        return (
            "data.dataset.val_scenes leaves all other scenes to training; "
            "data.dataset.val_scenes=null holds some out for testing"
        )
    if split == "test":
        return "data.dataset.whole=true measures all of them"
    return "splitting into train, val and test requires three scenes, or three pairs of one scene"


def _named(layout: str, blur: str | None) -> str:
    return f"{layout} ({blur})" if blur else layout


def check_use(root: str, kind: Layout, split: Split, found: list[Found]) -> None:
    """Raise ValueError if a data set would give wrong figures."""
    if not kind.benchmark and split == "test":
        raise ValueError(
            f"{root}: {kind.title}: not a benchmark: there are no published figures on the same "
            "pairs, and its scenes may be in the training set"
        )
    if kind.lists and found and not any(pair.split for pair in found):
        raise FileNotFoundError(
            f"{root}: found {len(found)} pairs, but not the lists that assign their splits: put "
            f"{kind.lists.format(split='train')} and the others from {kind.page} into it"
        )


def check_sizes(pairs: list[Found], sizes: Mapping[Found, tuple[int, int]], crop: int) -> None:
    """Raise ValueError if a picture is smaller than a crop."""
    for pair in pairs:
        width, height = sizes[pair]
        if min(width, height) < crop:
            raise ValueError(
                f"{pair.blur[0]}: is {width}x{height}, too small for a crop of {crop} pixels "
                "(lower data.crop)"
            )


def _wanted(root: Path, layout: str | None, blur: str | None) -> str:
    if layout is None or not LAYOUTS[layout].templates:
        return "expected pairs of blurred and sharp pictures, laid out as in docs/data.md"
    blurred, sharp = (
        template.replace("{blur}", blur or LAYOUTS[layout].blur)
        for template in LAYOUTS[layout].templates[0]
    )
    return f"expected {root}/{blurred}.png and {root}/{sharp}.png"


def only(own: list[Found], found: list[Found], names: str | list[str]) -> list[Found]:
    """Choose a split's pairs by names: a list, or the path of a text file.

    A name that several splits have, as in REDS, means the training split's pair, if that is among
    the split's own. Raises FileNotFoundError if a name is none of all pairs found, or if none of
    the names is one of the split's.
    """
    if isinstance(names, str):
        names = [name for line in read_lines(Path(names)) for name in line.split()]
    if missing := sorted(set(names) - {pair.name for pair in found}):
        raise FileNotFoundError(
            f"of the {len(set(names))} pairs named, {len(missing)} were not found: "
            f"{', '.join(missing[:3])}{', ...' * (len(missing) > 3)}"
        )
    chosen = [pair for pair in own if pair.name in set(names)]
    if not chosen:
        raise FileNotFoundError(
            f"data.dataset.names: none of the {len(set(names))} pairs named is in this split; "
            f"expected some of {', '.join(pair.name for pair in own[:3])}, ..."
        )
    trained = {pair.name for pair in chosen if pair.split == "train"}
    return [pair for pair in chosen if pair.split == "train" or pair.name not in trained]
