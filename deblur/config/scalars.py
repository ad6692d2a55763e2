"""Types and checks of the settings at a config's root, and of the chosen groups."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from deblur.config.error_messages import find_elsewhere
from deblur.config.overrides import PATHS, read_key
from deblur.config.typecheck import SettingError, find_typo, list_unknown


@dataclass
class TrainScalars:
    """The types of train.py's root scalars."""

    seed: int
    run_dir: str
    ckpt: str | None
    init: str | dict[str, str] | None
    minutes: float | None
    save_minutes: float | None
    histograms: int


@dataclass
class EvalScalars:
    """The types of eval.py's root scalars."""

    seed: int
    run_dir: str
    ckpt: str | list[str] | None
    protocol: str | list[str]
    published: bool
    tlc: int | None
    stages: int | None
    trust: str | None
    check: bool
    device: str
    precision: str
    unsharp: bool
    sheets: int
    limit: int | None


def check_scalars(cfg: DictConfig, schema: type[Any]) -> None:
    """Check the root scalars against their types; raise SettingError for a wrong one.

    The groups are checked by `deblur.config.settings.check_groups`. What was added to Hydra's own
    settings is checked, too.
    """
    from deblur.config.settings import GROUPS, check_value

    hydra: Any = HydraConfig.instance().cfg
    if hydra is not None:
        typed = [read_key(one) for one in hydra.hydra.overrides.hydra]
        for key in _list_unknown(hydra.hydra, "hydra."):
            if key in typed:  # not of Hydra's own files, which have some
                raise SettingError(key, f"{key} is not a setting of Hydra")
    scalars: Any = OmegaConf.masked_copy(cfg, list(schema.__annotations__))
    scalars = OmegaConf.to_container(scalars, resolve=True)
    for key, hint in schema.__annotations__.items():
        check_value(key, scalars.get(key, "???"), hint)
    known = {*schema.__annotations__, *GROUPS}
    for key in map(str, cfg):
        if key in known or key in _list_referred(cfg):  # the user's own variable
            continue
        meant = find_typo(key, known) or find_elsewhere(key, cfg)
        told = f"did you mean {meant}?" if meant else f"and no other refers to it by ${{{key}}}"
        raise SettingError(key, f"{key} is not a setting, {told}")


def _list_unknown(node: Any, at: str) -> Iterator[str]:
    """List the keys that the classes of Hydra's config do not have: +hydra.KEY adds any."""
    fields = getattr(OmegaConf.get_type(node), "__dataclass_fields__", node)
    for key in map(str, node):
        if key not in fields:
            yield f"{at}{key}"
        elif not OmegaConf.is_missing(node, key) and OmegaConf.is_dict(node._get_node(key)):
            yield from _list_unknown(node._get_node(key), f"{at}{key}.")


def _list_referred(cfg: DictConfig) -> set[str]:
    """List the root keys to which values of a config, or of Hydra's own, refer."""
    hydra = HydraConfig.instance().cfg
    texts = [repr(OmegaConf.to_container(node)) for node in (cfg, hydra) if node is not None]
    return {name for text in texts for name in re.findall(r"\$\{\.*(\w+)", text)}


def check_choices(cfg: DictConfig) -> None:
    """Raise ValueError if a group was given as a value, or an experiment's settings do not apply.

    They do not apply if the command line chose another class, which does not accept them.
    """
    hydra = HydraConfig.get()
    typed = [read_key(override) for override in hydra.overrides.task]
    chosen = tuple(key.replace("/", ".") + "." for key in typed if key in hydra.runtime.choices)
    for group in (one for one in hydra.runtime.choices if re.fullmatch(r"\w+/\w+", one)):
        key = group.replace("/", ".")
        if isinstance(value := OmegaConf.select(cfg, key), str):
            raise ValueError(f"{key} is {value!r}, expected a mapping; type {group}={value}")
    unknown = [one for one in list_unknown(OmegaConf.to_container(cfg)) if one.startswith(chosen)]
    unknown = [one for one in unknown if one not in typed]
    if unknown and (experiment := hydra.runtime.choices.get("experiment")):
        without = " ".join(f"~{key}" for key in unknown)
        raise ValueError(
            f"{', '.join(unknown)}: set by experiment={experiment}, but the class chosen instead "
            f"of the experiment's own has no such setting: add {without}"
        )


def check_experiment(cfg: DictConfig) -> None:
    """Raise ValueError, with the names to choose from, if no experiment was chosen."""
    trainer = cfg.get("trainer")
    if OmegaConf.is_dict(trainer) and OmegaConf.is_missing(trainer, "max_epochs"):
        loader = GlobalHydra.instance().config_loader()
        names = ", ".join(loader.get_group_options("experiment"))
        if cfg.ckpt is not None:
            raise ValueError(
                f"ckpt={cfg.ckpt} is no checkpoint of a run in {cfg.run_dir}: type hydra.run.dir="
                f"FOLDER ckpt=last to resume a run, or experiment=NAME init={cfg.ckpt} to start "
                f"from its weights; experiments: {names}"
            )
        raise ValueError(f"no experiment was chosen: type experiment=NAME, one of {names}")


def hyperparameters(cfg: DictConfig) -> dict[str, bool | int | float | str]:
    """Return the settings that distinguish runs: groups, seed, learning rate, and overrides.

    Hardware and paths are left out; the whole config is logged as text.
    """
    hydra = HydraConfig.get()
    found = {group: hydra.runtime.choices[group] for group in ("experiment", "data", "blur")}
    typed = dict(override.lstrip("+~").partition("=")[::2] for override in hydra.overrides.task)
    for key in ("seed", "model.lr", *typed):
        # Hydra's choices lack groups of which several are chosen, or none.
        chosen = (typed[key] or None) if "/" in key else OmegaConf.select(cfg, key)
        value = hydra.runtime.choices.get(key, chosen)
        elsewhere = key.startswith(("trainer", "hydra", *PATHS)) or OmegaConf.is_config(value)
        if key not in found and not elsewhere:
            found[key] = value
    plain = (bool, int, float, str)
    return {key: value if isinstance(value, plain) else str(value) for key, value in found.items()}


def check_variant(cfg: DictConfig, protocols: Sequence[str]) -> None:
    """Raise ValueError if the protocol `gopro-gamma` would score another variant of GoPro."""
    variant = cfg.data.dataset.get("blur")
    if "gopro-gamma" in protocols and variant != "blur_gamma":
        raise ValueError(
            "the protocol gopro-gamma requires GoPro's folder blur_gamma: type data=gopro_gamma"
        )
