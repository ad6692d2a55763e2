"""Names of classes and keys that have moved: older configs and command lines have the old ones.

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
GAN = "deblur.training.gan.DeblurGAN"
SCHEDULE = "deblur.training.schedule.Schedule"
SCHEDULED = ("decay_epochs", "decay", "decay_to", "freeze_epochs")
"""Settings of the model in version 0.1.0 that are its schedule's."""


def rename_moved(node: Any) -> None:
    """Replace old names of classes and keys in a config, in place; new ones stay."""
    if OmegaConf.is_dict(node) and isinstance(target := node.get("_target_"), str):
        module, _, name = target.rpartition(".")
        package, _, old = module.partition(".")
        if package == "deblur" and old in MOVED:
            node["_target_"] = f"{MOVED[old]}.{name}"
        old_keys = [key for key in SCHEDULED if key in node]
        if node["_target_"] == GAN and old_keys:
            node["schedule"] = {"_target_": SCHEDULE, **{key: node.pop(key) for key in old_keys}}
    if OmegaConf.is_config(node):
        for key in node if OmegaConf.is_dict(node) else range(len(node)):
            if not OmegaConf.is_interpolation(node, key) and not OmegaConf.is_missing(node, key):
                rename_moved(node[key])


def rename_override(override: str) -> str:
    """Replace the old key in an argument of a command line, such as model.decay_epochs=2."""
    key, equals, value = override.partition("=")
    mark = key[: len(key) - len(key.lstrip("+~"))]
    group, _, name = key.lstrip("+~").partition(".")
    if group == "model" and name in SCHEDULED:
        return f"{mark}model.schedule.{name}{equals}{value}"
    return override
