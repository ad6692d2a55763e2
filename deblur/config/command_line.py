"""The arguments of train.py and eval.py, checked and expanded before Hydra reads them."""

import os
import re
import sys
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deblur.config.error_messages import WORDS

OPTIONS = (
    *("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run"),
    *("--multirun", "--shell-completion", "--config-path", "--config-name", "--config-dir"),
    *("--experimental-rerun", "--info"),
)
"""Hydra's long options."""
LETTERS = "hcprmsi"
"""The letters of Hydra's short options."""
HOME = re.compile(r"~[\w.-]*(?=/|$)")


def read(arguments: list[str]) -> list[str]:
    """Expand ~ in the values of arguments; exit with one line if one is not a setting or option.

    A shell expands ~ at the beginning of a word only, and Hydra never does.
    """
    for place, argument in enumerate(arguments):
        if argument.startswith("-") and not _is_option(argument):
            sys.exit(f"error: {argument} is not an option: {_suggest(arguments[place:])}")
    return [_expand(argument) for argument in arguments]


def expand_home(node: Any) -> None:
    """Expand ~ at the beginning of a config's values, including those of files."""
    for key in node if OmegaConf.is_dict(node) else range(len(node)):
        try:
            value = node[key]
        except OmegaConfBaseException:  # an unresolvable value is reported elsewhere
            continue
        if isinstance(value, str) and HOME.match(value):
            node[key] = os.path.expanduser(value)
        elif OmegaConf.is_config(value) and not OmegaConf.is_interpolation(node, key):
            expand_home(value)


def _expand(argument: str) -> str:
    key, equals, value = argument.partition("=")
    quote = value[:1] if value[:1] in ("'", '"') else ""
    return f"{key}{equals}{quote}{os.path.expanduser(value[len(quote):])}"


def _is_option(argument: str) -> bool:
    name = argument.partition("=")[0]
    return name in OPTIONS if name.startswith("--") else name[1:2] in LETTERS


def _suggest(arguments: list[str]) -> str:
    """Return how to write an option and its value as a setting."""
    name, equals, value = arguments[0].lstrip("-").partition("=")
    following = arguments[1] if len(arguments) > 1 and not equals else value
    value = following if re.fullmatch(r"[^-=][^=]*", following) else "VALUE"
    key = name.replace("-", "_")
    return f"settings are written KEY=VALUE, such as {WORDS.get(key, key)}={value}"
