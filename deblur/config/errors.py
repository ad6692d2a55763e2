"""Errors of one line, for mistakes that a user can correct."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from deblur.config.error_messages import explain
from deblur.terminal import printable

Fault = Literal["", "data"]
"""The cause of a failure: "data" if its data cannot be used, "" if unknown."""


class Mistake(Exception):
    """A mistake in a sweep's job that the user can correct; the sweep continues."""


class Refusal(SystemExit):
    """Ends a command that cannot be run, with the line to print.

    fault: the cause of the failure, if known.
    """

    def __init__(self, line: str, fault: Fault = "") -> None:
        super().__init__(f"error: {printable(line)}")
        self.fault = fault


@contextmanager
def one_line_errors(fault: Fault = "") -> Iterator[None]:
    """Turn errors that a user can correct into one line, and exit with status 1."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError, OSError, ImportError) as error:
        line = explain(error)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise Mistake(line) from error
        raise Refusal(line, fault) from error
