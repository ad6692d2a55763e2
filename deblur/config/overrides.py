"""Settings on the command line, written in Hydra's grammar."""

import os
import re
from pathlib import Path
from typing import Any

PATHS = ("ckpt", "init", "data.root")


def quote_paths(arguments: list[str]) -> list[str]:
    """Quote the values of path keys, so that they may contain =, spaces, commas and brackets.

    In sweeps (-m, --multirun) nothing is quoted: there commas separate values.
    """
    if {"-m", "--multirun"} & set(arguments):
        return arguments
    return [_quote(argument) for argument in arguments]


def read_key(argument: str) -> str:
    """Return the key of an argument, without the + or ~ before it and the value behind it."""
    return argument.partition("=")[0].lstrip("+~")


def _quote(argument: str) -> str:
    key, _, value = argument.partition("=")
    name = read_key(argument)
    parts = name == "init" and value.startswith("{") and value.endswith("}")
    if name not in PATHS or value in ("", "null") or value[0] in "'\"" or parts:
        return argument
    return f"{key}={literal(value)}"


def literal(value: str) -> str:
    """Quote and escape a string for Hydra's grammar."""
    value = re.sub(r"(\\+)(?='|$)", lambda slashes: slashes[1] * 2, value)
    return "'" + value.replace("'", r"\'").replace("${", r"\${") + "'"


def unquote(value: str) -> str:
    """Undo the quotes and escapes of a string in Hydra's grammar; return others as they are."""
    quote = value[:1]
    if quote not in ("'", '"') or len(value) < 2 or value[-1] != quote:
        return value
    inner = re.sub(
        rf"(\\+)(?={quote}|$)", lambda slashes: slashes[1][: len(slashes[1]) // 2], value[1:-1]
    )
    return inner.replace(r"\${", "${")


def split_paths(value: Any) -> list[str]:
    """List the files in the value of a path key: one, several ([a.ckpt,b.ckpt]), or none (null)."""
    if value is None:
        return []
    if not isinstance(value, str):
        return [str(path) for path in value]
    if value.startswith("[") and value.endswith("]") and not Path(value).exists():
        return [os.path.expanduser(path.strip()) for path in value[1:-1].split(",")]
    return [value]
