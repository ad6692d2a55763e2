"""Names of classes that have moved: configs and command lines of before the move have the old ones.

A run that is resumed repeats the command line that it was started with, and configs are copied.
"""

from typing import Any

from omegaconf import OmegaConf

MOVED = {
    "alarms": "deblur.training.failure_checks",
    "callbacks": "deblur.training.callbacks",
    "gan": "deblur.training.gan",
    "lars": "deblur.training.optimizers.lars",
    "logs": "deblur.training.loggers",
    "saving": "deblur.training.checkpointing",
    "tensorboard": "deblur.training.tensorboard",
}
"""Modules of `deblur` whose classes a config could name in version 0.1.0, and where those are."""


def rename_moved(node: Any) -> None:
    """Replace the old names of classes in a config, in place; new ones stay as they are."""
    if OmegaConf.is_dict(node) and isinstance(target := node.get("_target_"), str):
        module, _, name = target.rpartition(".")
        package, _, old = module.partition(".")
        if package == "deblur" and old in MOVED:
            node["_target_"] = f"{MOVED[old]}.{name}"
    if OmegaConf.is_config(node):
        for key in node if OmegaConf.is_dict(node) else range(len(node)):
            if not OmegaConf.is_interpolation(node, key) and not OmegaConf.is_missing(node, key):
                rename_moved(node[key])
