"""How a run is put together from its config: what train.py and eval.py share."""

import json
import logging
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

log = logging.getLogger(__name__)

PATHS = ("ckpt", "init", "data.root")
CHATTER = (
    ".*does not have many workers.*",  # on a CPU none is best, see DeblurData
    ".*smaller than the logging interval.*",
    ".*treespec, LeafSpec.*",
    ".*Trying to infer the `batch_size`.*",
    ".*using 'checkpoint' in manual optimization.*",
)


@dataclass
class TrainScalars:
    """The types of train.py's root scalars."""

    seed: int
    run_dir: str
    ckpt: str | None
    init: str | None
    histograms: int


@dataclass
class EvalScalars:
    """The types of eval.py's root scalars."""

    seed: int
    run_dir: str
    ckpt: Any
    protocol: Any
    published: bool
    tlc: int | None
    trust: str | None
    check: bool
    device: str
    unsharp: bool
    sheets: int
    limit: int | None


def quote_paths(arguments: list[str]) -> list[str]:
    """Quote the values of path keys, so that Hydra's grammar takes =, spaces, commas, brackets.

    Sweeps (-m, --multirun) are left alone: there commas separate values.
    """
    if {"-m", "--multirun"} & set(arguments):
        return arguments
    return [_quote(argument) for argument in arguments]


def _quote(argument: str) -> str:
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+~") not in PATHS or value in ("", "null") or value[0] in "'\"":
        return argument
    return f"{key}={_literal(value)}"


def _literal(value: str) -> str:
    """Write any string as Hydra's grammar wants it: in quotes, with what has a meaning escaped."""
    value = re.sub(r"(\\+)(?='|$)", lambda slashes: slashes[1] * 2, value)
    return "'" + value.replace("'", r"\'").replace("${", r"\${") + "'"


def split_paths(value: Any) -> list[str]:
    """List the files that a path key names: one, several as in [a.ckpt,b.ckpt], or none (null)."""
    if value is None:
        return []
    if not isinstance(value, str):
        return [str(path) for path in value]
    if value.startswith("[") and value.endswith("]") and not Path(value).exists():
        return [path.strip() for path in value[1:-1].split(",")]
    return [value]


def check_scalars(cfg: DictConfig, schema: type[Any]) -> None:
    """Check the root scalars against their types; the groups are checked by their classes.

    Raises ValueError with the key, what it was and what was expected.
    """
    scalars = OmegaConf.masked_copy(cfg, list(schema.__annotations__))
    try:
        OmegaConf.merge(OmegaConf.structured(schema), scalars)
    except OmegaConfBaseException as error:
        raise ValueError(str(error).splitlines()[0]) from error


def check_experiment(cfg: DictConfig) -> None:
    """Raise ValueError, with the names to choose from, where no experiment was chosen."""
    if OmegaConf.is_missing(cfg.trainer, "max_epochs"):
        loader = GlobalHydra.instance().config_loader()
        names = ", ".join(loader.get_group_options("experiment"))
        raise ValueError(f"choose what to train by experiment=NAME, one of {names}")


def reset_loggers() -> None:
    """Let Lightning's warnings reach Hydra's log file, once each; its chatter goes."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    for message in CHATTER:
        warnings.filterwarnings("ignore", message)


def data_recipe(cfg: DictConfig) -> dict[str, Any]:
    """Note which data a run uses: the groups' names and the scalars that differ from them."""
    choices = HydraConfig.get().runtime.choices
    recipe: dict[str, Any] = {"data": choices["data"], "blur": choices["blur"], "scalars": {}}
    plain = compose("config", overrides=[f"data={recipe['data']}", f"blur={recipe['blur']}"])
    for group in ("data", "blur"):
        default = _scalars(plain[group], group)
        for key, value in _scalars(cfg[group], group).items():
            if default.get(key) != value:
                recipe["scalars"][key] = value
    return recipe


def hyperparameters(cfg: DictConfig) -> dict[str, bool | int | float | str]:
    """List what tells runs apart: the groups' names, the seed, the rate, and what was overridden.

    Hardware and places are left out; the whole config is logged as text.
    """
    hydra = HydraConfig.get()
    found = {group: hydra.runtime.choices[group] for group in ("experiment", "data", "blur")}
    keys = [override.partition("=")[0].lstrip("+~") for override in hydra.overrides.task]
    for key in ("seed", "model.lr", *keys):
        value = OmegaConf.select(cfg, key)
        elsewhere = key.startswith(("trainer", "hydra", *PATHS)) or OmegaConf.is_config(value)
        if key not in found and not elsewhere:
            found[key] = value
    plain = (bool, int, float, str)
    return {key: value if isinstance(value, plain) else str(value) for key, value in found.items()}


def recall_data(cfg: DictConfig, recipes: Sequence[Mapping[str, Any]]) -> tuple[str, DictConfig]:
    """Give the data's name and the config with the data of the first of some checkpoints.

    It is composed anew, unless the command line chose other data or the checkpoint knows none.
    """
    hydra = HydraConfig.get()
    task = list(hydra.overrides.task)
    recipe = recipes[0] if recipes else {}
    if not recipe or any(override.startswith("data=") for override in task):
        return hydra.runtime.choices["data"], cfg
    if any(other != recipe for other in recipes):
        log.warning(
            "the checkpoints were trained on different data; all are measured on that of the "
            "first, %s (data=NAME chooses)",
            recipe["data"],
        )
    overrides = [f"{group}={recipe[group]}" for group in ("data", "blur")]
    for key, value in recipe["scalars"].items():
        if not re.fullmatch(r"(data|blur)(\.[a-z][a-z0-9_]*)+", key):
            raise ValueError(f"the checkpoint sets {key!r}, expected a setting of data or blur")
        overrides.append(
            f"{key}={_literal(value) if isinstance(value, str) else json.dumps(value)}"
        )
    return recipe["data"], compose("eval", overrides=[*overrides, *task])


def check_variant(cfg: DictConfig, protocols: Sequence[str]) -> None:
    """Raise ValueError where the protocol `gopro-gamma` would score another variant of GoPro."""
    variant = cfg.data.dataset.get("blur")
    if "gopro-gamma" in protocols and variant != "blur_gamma":
        raise ValueError(
            "the protocol gopro-gamma is of GoPro's folder blur_gamma: " "take data=gopro_gamma"
        )


def _scalars(node: DictConfig, prefix: str) -> dict[str, Any]:
    """List the leaves of a config by their dotted keys, interpolations and targets left out."""
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


@contextmanager
def one_line_errors(hint: str = "") -> Iterator[None]:
    """Turn what a user can get wrong into one line, with a hint, and exit status 1.

    In a sweep the error is raised instead: Hydra records it and goes on to the next job.
    """
    try:
        yield
    except (HydraException, ValueError, FileNotFoundError, ImportError) as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        sys.exit(f"error: {error.__cause__ or error}" + (f" ({hint})" if hint else ""))
