"""How a run is put together from its config: what train.py and eval.py share."""

import inspect
import logging
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deblur import outcome
from deblur.mistakes import explain, find_elsewhere
from deblur.outcome import Fault
from deblur.ranks import is_first
from deblur.schema import find_typo, list_unknown

log = logging.getLogger(__name__)

PATHS = ("ckpt", "init", "data.root")
CHATTER = (
    ".*decompression bomb.*",  # deblur.images has a limit
    ".*does not have many workers.*",  # on a CPU none is best, see DeblurData
    ".*smaller than the logging interval.*",
    ".*treespec, LeafSpec.*",
    ".*Trying to infer the `batch_size`.*",
    ".*`srun` command is available.*",  # deblur.ranks checks how a run was started
    ".*It is recommended to use `self.log.*",  # metrics are summed over devices themselves
    ".*using 'checkpoint' in manual optimization.*",
    ".*resuming from a checkpoint that ended before the epoch ended.*",  # EpochSampler does
)


@dataclass
class TrainScalars:
    """The types of train.py's root scalars."""

    seed: int
    run_dir: str
    ckpt: str | None
    init: str | None
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
    return f"{key}={literal(value)}"


def literal(value: str) -> str:
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
        return [os.path.expanduser(path.strip()) for path in value[1:-1].split(",")]
    return [value]


def check_scalars(cfg: DictConfig, schema: type[Any]) -> None:
    """Check the root scalars against their types; the groups are checked by their classes.

    Raises ValueError with the key, what it was and what was expected.
    """
    from deblur.settings import GROUPS, check_value

    scalars: Any = OmegaConf.masked_copy(cfg, list(schema.__annotations__))
    scalars = OmegaConf.to_container(scalars, resolve=True)
    for key, hint in schema.__annotations__.items():
        check_value(key, scalars.get(key, "???"), hint)
    known = {*schema.__annotations__, *GROUPS}
    for key in map(str, cfg):
        if key in known or key in _list_referred(cfg):  # a user's own, to refer to
            continue
        meant = find_typo(key, known) or find_elsewhere(key, cfg)
        told = f"did you mean {meant}?" if meant else f"and no other refers to it by ${{{key}}}"
        raise ValueError(f"{key} is no setting, {told}")


def _list_referred(cfg: DictConfig) -> set[str]:
    """List the root keys to which values of a config, Hydra's among them, refer."""
    hydra = HydraConfig.instance().cfg
    texts = [repr(OmegaConf.to_container(node)) for node in (cfg, hydra) if node is not None]
    return {name for text in texts for name in re.findall(r"\$\{\.*(\w+)", text)}


def check_choices(cfg: DictConfig) -> None:
    """Raise ValueError for what is chosen by name but was given as a value, and the reverse.

    The reverse are settings that an experiment has for a class, where another class was chosen.
    """
    hydra = HydraConfig.get()
    typed = [override.partition("=")[0].lstrip("+~") for override in hydra.overrides.task]
    chosen = tuple(key.replace("/", ".") + "." for key in typed if key in hydra.runtime.choices)
    for group in (one for one in hydra.runtime.choices if re.fullmatch(r"\w+/\w+", one)):
        key = group.replace("/", ".")
        if isinstance(value := OmegaConf.select(cfg, key), str):
            raise ValueError(f"{key} is {value!r}, a name: {group}={value} chooses by it")
    unknown = [one for one in list_unknown(OmegaConf.to_container(cfg)) if one.startswith(chosen)]
    unknown = [one for one in unknown if one not in typed]
    if unknown and (experiment := hydra.runtime.choices.get("experiment")):
        without = " ".join(f"~{key}" for key in unknown)
        raise ValueError(
            f"{', '.join(unknown)}: set by experiment={experiment}, but what was chosen instead of "
            f"its own has no such setting: add {without}"
        )


def check_no_run(folder: Path) -> None:
    """Raise ValueError where a folder, into which something else would be written, holds a run."""
    if (folder / outcome.NAME).exists():
        raise ValueError(f"{folder}: holds a run: give another hydra.run.dir=FOLDER")


def check_experiment(cfg: DictConfig) -> None:
    """Raise ValueError, with the names to choose from, where no experiment was chosen."""
    trainer = cfg.get("trainer")
    if OmegaConf.is_dict(trainer) and OmegaConf.is_missing(trainer, "max_epochs"):
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
    logging.raiseExceptions = False  # a log that a full disk does not take is not told each time
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    if not is_first():  # of several processes one tells
        logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.strategies.launchers").setLevel(
        logging.INFO
    )  # of a killed one
    for message in CHATTER:
        warnings.filterwarnings("ignore", message)


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


def check_variant(cfg: DictConfig, protocols: Sequence[str]) -> None:
    """Raise ValueError where the protocol `gopro-gamma` would score another variant of GoPro."""
    variant = cfg.data.dataset.get("blur")
    if "gopro-gamma" in protocols and variant != "blur_gamma":
        raise ValueError(
            "the protocol gopro-gamma is of GoPro's folder blur_gamma: " "take data=gopro_gamma"
        )


class Mistake(Exception):
    """Something that a user can mend, in one line: for a sweep, which goes on to its next job."""


class Refusal(SystemExit):
    """The end of a command that cannot be run, with the line to print.

    fault: what is to blame for it, where that is known.
    """

    def __init__(self, line: str, fault: Fault = "") -> None:
        super().__init__(f"error: {line}")
        self.fault = fault


@contextmanager
def one_line_errors(hint: str = "", fault: Fault = "") -> Iterator[None]:
    """Turn what a user can get wrong into one line, with a hint, and exit status 1."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError, OSError, ImportError) as error:
        line = explain(error) + (f" ({hint})" if hint else "")
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise Mistake(line) from error
        raise Refusal(line, fault) from error


def launch(main: Callable[[], Any]) -> None:
    """Run a script's `hydra.main`; other errors of a user's are told in one line, too.

    They are Hydra's, which cannot compose a config, Lightning's of misuse, and the system's, such
    as a full disk. HYDRA_FULL_ERROR=1 in the environment shows where they come from.
    """
    if os.environ.setdefault("HYDRA_FULL_ERROR", "") == "1" and is_first():
        main()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints errors itself
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)  # as a shell says it
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        begun = any(frame.name == "run_job" for frame in frames)
        misuse = type(error).__name__ == "MisconfigurationException"  # Lightning's
        if begun and not misuse and not isinstance(error, Mistake | OSError):
            raise
        conf = Path(inspect.unwrap(main).__code__.co_filename).with_name("conf")
        with initialize_config_dir(str(conf), version_base="1.3"):  # for the names in it
            told = explain(error)
        keys = [argument.partition("=")[0].lstrip("+~") for argument in sys.argv[1:]]
        where = "" if begun or any(key in told for key in keys) else f" ({' '.join(sys.argv[1:])})"
        sys.exit(f"error: {told}{where}")
    finally:
        os.environ["HYDRA_FULL_ERROR"] = ""
