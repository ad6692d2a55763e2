"""What a user got wrong, told in one line."""

import re

from hydra.errors import InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from deblur.schema import suggest


def explain(error: BaseException) -> str:
    """Say in one line what is wrong, beginning with the key where the error knows it."""
    cause = error.__cause__
    if isinstance(error, InstantiationException) and cause is not None:
        place = re.search(r"full_key: (\S+)", str(error))
        return f"{place[1]}: {_flat(cause)}" if place else _flat(cause)
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name} is no choice, {suggest(name, error.options)}"
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


def _flat(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(filter(None, lines)) or type(error).__name__


def _tell_unknown(error: OmegaConfBaseException) -> str:
    """Name a key that is not there, and the one that may have been meant."""
    key = str(error.full_key)
    mark = "/" if "/" in key else "."
    parent = key.rpartition(mark)[0].replace(mark, ".")
    root = error.parent_node._get_root()
    node = OmegaConf.select(root, parent) if parent else root
    names = list(map(str, node)) if OmegaConf.is_dict(node) else []
    told = suggest(key, names if parent else [*names, "experiment"])
    more = "" if told.startswith("did") else f" (+{key}=VALUE adds it)"
    return f"{key} is no setting, {told}{more}"
