"""One-line messages for errors in settings and files."""

import difflib
import re
from collections.abc import Iterator
from traceback import walk_tb
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from deblur.config.typecheck import find_similar, find_typo, list_unknown, suggest
from deblur.extras import install_command
from deblur.terminal import describe

WORDS = {
    **dict.fromkeys(("epoch", "epochs", "num_epochs", "n_epochs"), "trainer.max_epochs"),
    **dict.fromkeys(("steps", "max_steps", "iterations"), "trainer.max_epochs"),
    **dict.fromkeys(("learning_rate", "rate"), "model.lr"),
    **dict.fromkeys(("batch", "bs", "batchsize"), "data.batch_size"),
    **dict.fromkeys(("data_root", "data_dir", "dataroot", "path"), "data.root"),
    **dict.fromkeys(("num_workers", "n_workers"), "data.workers"),
    **dict.fromkeys(("crop_size", "patch_size", "image_size"), "data.crop"),
    **dict.fromkeys(("device", "gpu"), "trainer.accelerator"),
    **dict.fromkeys(("gpus", "num_gpus"), "trainer.devices"),
    **dict.fromkeys(("resume", "checkpoint", "resume_from"), "ckpt"),
    **dict.fromkeys(("out", "output", "output_dir", "out_dir", "save_dir"), "hydra.run.dir"),
    **dict.fromkeys(("network", "arch", "net"), "model/generator"),
    **dict.fromkeys(("loss", "losses"), "model/content"),
    **{"lr": "model.lr", "batch_size": "data.batch_size", "crop": "data.crop"},
    **{"dataset": "data", "pretrained": "init", "config": "experiment"},
}
"""Names that other projects use for a setting, or short names without the group."""

LAUNCHERS = ("joblib", "submitit")
"""Hydra's launchers that are separate packages."""


def explain(error: BaseException) -> str:
    """Return one line that says what is wrong, starting with the key if the error has one."""
    cause = error.__cause__
    if isinstance(error, InstantiationException) and cause is not None:
        key = _find_key(error)
        return f"{key}: {_flat(cause)}" if key else _flat(cause)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if group == "hydra/launcher" and name.split("_")[0] in LAUNCHERS:
            return f"{group}={name} requires Hydra's plugin: {install_command('sweep')}"
        if options := error.options or list_options(group):
            return f"{group}={name} does not exist, {suggest(name, options)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: {_flat(error).partition(' See https://hydra.cc')[0]}"
    if isinstance(cause, ConfigAttributeError | ConfigKeyError):
        return _tell_unknown(cause)
    if isinstance(cause, OmegaConfBaseException):
        return f"{_flat(error)}: {explain(cause)}"
    if isinstance(error, OmegaConfBaseException):
        text = str(error).splitlines()[0]
        return f"{error.full_key}: {text}" if error.full_key else text
    return _flat(error)


def _find_key(error: InstantiationException) -> str:
    """Return the dotted key of the part that could not be built; "" for a whole config.

    Hydra's error has the key only in its text, so it is read from the failed function's variables.
    It writes a list's parts without a dot (trainer.callbacks0).
    """
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    found = (frame.f_locals.get("full_key") for frame in reversed(frames))
    key = next((key for key in found if isinstance(key, str)), "")
    return re.sub(r"(callbacks|logger)(\d+)$", r"\1.\2", key)


def _flat(error: BaseException) -> str:
    return " ".join(describe(error).split()) or type(error).__name__


def _tell_unknown(error: OmegaConfBaseException) -> str:
    """Return a line that names an unknown key and the one that was probably meant."""
    key = str(error.full_key)
    mark = "/" if "/" in key else "."
    parent = key.rpartition(mark)[0].replace(mark, ".")
    root = error.parent_node._get_root()
    node = OmegaConf.select(root, parent) if parent else root
    if _takes(node, key):
        return f"{key} is not in the config: +{key}=VALUE adds it"
    if meant := find_elsewhere(key, root):
        return f"{key} is not a setting, did you mean {meant}?"
    names = list(map(str, node)) if OmegaConf.is_dict(node) else []
    if not parent:
        names = [name for name in (*names, "experiment") if name not in ("hydra", "run_dir")]
    free = parent and OmegaConf.is_dict(node) and "_target_" not in node
    more = f" (+{key}=VALUE adds it)" if free and not find_similar(key, names) else ""
    return f"{key} is not a setting, {suggest(key, names)}{more}"


def _takes(node: Any, key: str) -> bool:
    """Return whether the class named in a config's part accepts a key that the part lacks."""
    name = key.rpartition(".")[2]
    if name in WORDS or not OmegaConf.is_dict(node) or "_target_" not in node:
        return False
    return not list_unknown({"_target_": node["_target_"], name: None})


def find_elsewhere(key: str, root: Any) -> str:
    """Return the full key of a setting that was given without its group, or in a wrong one.

    root: the config. Returns "" if there is none, and the form model/generator for a group.
    """
    *_, name = re.split("[./]", key)
    if "/" in key or not OmegaConf.is_dict(root):
        return ""
    parent = key.rpartition(".")[0]
    plain = OmegaConf.to_container(root, resolve=False)
    known = [one for one in _list_keys(plain) if not one.startswith("hydra.") and one != key]
    same = [one for one in known if one.rpartition(".")[2] == name]
    found = min(same, key=lambda one: one.count("."), default="") or WORDS.get(name, "")
    if not found and not any(_is_close(name, one, parent) for one in known):
        ends = {one.rpartition(".")[2]: one for one in reversed(known)}
        found = ends.get(find_typo(name, ends), "")
    group = found.replace(".", "/")
    return group if "." in found and list_options(group) else found


def list_options(group: str) -> list[str]:
    """List the names of the configs in a group, such as model/generator."""
    hydra = GlobalHydra.instance()
    return hydra.config_loader().get_group_options(group) if hydra.is_initialized() else []


def _is_close(name: str, known: str, parent: str) -> bool:
    """Return whether a known key of the same group is similar to a name."""
    place, _, end = known.rpartition(".")
    return place == parent and bool(difflib.get_close_matches(name, [end], 1))


def _list_keys(node: Any, at: str = "") -> Iterator[str]:
    """Yield the dotted keys of a config's mappings."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if not str(key).startswith("_"):
            yield f"{at}{key}"
            yield from _list_keys(value, f"{at}{key}.")
