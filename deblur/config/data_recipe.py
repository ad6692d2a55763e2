"""The recipe of a run's data: recorded in its checkpoints, and composed again from one."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from deblur.config.overrides import literal

log = logging.getLogger(__name__)


def note_data(cfg: DictConfig) -> dict[str, Any]:
    """Return the recipe of a run's data: the names of its groups, and the scalars that differ."""
    choices = HydraConfig.get().runtime.choices
    recipe: dict[str, Any] = {"data": choices["data"], "blur": choices["blur"], "scalars": {}}
    plain = compose("config", overrides=[f"data={recipe['data']}", f"blur={recipe['blur']}"])
    for group in ("data", "blur"):
        default = _scalars(plain[group], group)
        for key, value in _scalars(cfg[group], group).items():
            if default.get(key) != value:
                recipe["scalars"][key] = value
    return recipe


def recall_data(cfg: DictConfig, recipes: Sequence[Mapping[str, Any]]) -> tuple[str, DictConfig]:
    """Return the data's name, and the config with the data of the first checkpoint's recipe.

    The config stays as it is if the command line chooses data, or if there is no recipe.
    """
    hydra = HydraConfig.get()
    task = list(hydra.overrides.task)
    recipe = recipes[0] if recipes else {}
    if not recipe or any(override.startswith("data=") for override in task):
        return hydra.runtime.choices["data"], cfg
    overrides = _replay(recipe)
    if any(other != recipe for other in recipes):
        log.warning(
            "the checkpoints were trained on different data; all are measured on the data of the "
            "first, %s (data=NAME selects other data)",
            recipe["data"],
        )
    return recipe["data"], compose("eval", overrides=[*overrides, *task])


def _replay(recipe: Mapping[str, Any]) -> list[str]:
    """Write a recipe, which may come from an untrusted checkpoint, as overrides of plain values."""
    overrides = []
    for group in ("data", "blur"):
        name = str(recipe.get(group))
        if not re.fullmatch(r"[\w-]+(/[\w-]+)*", name):
            raise ValueError(
                f"the checkpoint's {group} is {name!r}, expected a name in conf/{group}"
            )
        overrides.append(f"{group}={name}")
    scalars = recipe.get("scalars", {})
    if not isinstance(scalars, Mapping):
        raise ValueError(f"the checkpoint's scalars are {scalars!r}, expected a mapping")
    for key, value in scalars.items():
        # A key of Hydra's own, such as _target_, begins with an underscore.
        if not re.fullmatch(r"(data|blur)(\.[A-Za-z0-9][\w-]*)+", str(key), re.ASCII):
            raise ValueError(f"the checkpoint sets {key!r}, expected a setting of data or blur")
        if key != "data.download":  # only the user's own command may start a download
            # Two pluses also add what the run had added; settings.check_groups refuses the unknown.
            overrides.append(f"++{key}={_write(key, value)}")
    return overrides


def _write(key: str, value: Any) -> str:
    """Write a plain value in Hydra's grammar."""
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, list):
        return f"[{','.join(_write(key, one) for one in value)}]"
    if isinstance(value, bool | int | float | None):
        return json.dumps(value)
    raise ValueError(f"the checkpoint sets {key} to {value!r}, expected a plain value")


def _scalars(node: DictConfig, prefix: str) -> dict[str, Any]:
    """List the leaves of a config by dotted key, without interpolations and targets."""
    leaves: dict[str, Any] = {}
    for key in map(str, node):
        name = f"{prefix}.{key}"
        if key.startswith("_") or OmegaConf.is_interpolation(node, key):
            continue
        value = node[key]
        if isinstance(value, DictConfig):
            leaves |= _scalars(value, name)
        else:
            leaves[name] = OmegaConf.to_container(value) if OmegaConf.is_list(value) else value
    return leaves
