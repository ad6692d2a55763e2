"""Assigns pairs to training, validation and testing."""

import logging

from deblur.data.crops import Split
from deblur.data.search import Found

log = logging.getLogger(__name__)


def choose_split(found: list[Found], split: Split, val_scenes: list[str]) -> list[Found]:
    """Return the pairs of a split, by the rules of `deblur.data.folder.PairedFolder`."""
    official = {pair.split for pair in found} - {None}
    if official and (split == "test" or "val" in official):
        return [pair for pair in found if pair.split == split]
    rest = [pair for pair in found if pair.split == "train"] if official else found
    roles = _roles(rest, val_scenes, testing=not official)
    part = [pair for pair in rest if roles[pair] == split]
    if split == "val" and part:
        scenes = sorted({pair.scene for pair in part})
        whole = not {pair.scene for pair in rest if roles[pair] != split} & set(scenes)
        names = ", ".join(scenes) if whole else "every tenth pair"
        log.info("held out of the training pairs for validation: %s", names)
    return part


def _roles(pairs: list[Found], val_scenes: list[str], *, testing: bool) -> dict[Found, str]:
    """Split the pairs of a set without official splits, by scene, or by name if it has one scene.

    In each ten the last is for validation and the one before for testing; of fewer, the last ones.
    """
    scenes = sorted({pair.scene for pair in pairs})
    named = set(val_scenes) & set(scenes)
    # A subset of the data set may lack the named scenes, or have no others.
    if 0 < len(named) < len(scenes):
        return {pair: "val" if pair.scene in named else "train" for pair in pairs}
    units = {pair: pair.scene if len(scenes) > 1 else pair.name for pair in pairs}
    order = sorted(set(units.values()))
    every = min(10, len(order))
    last = {every - 1: "val", every - 2: "test" if testing else "train"}
    role = {unit: last.get(index % every, "train") for index, unit in enumerate(order)}
    return {pair: role[unit] for pair, unit in units.items()}
