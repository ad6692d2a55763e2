"""What a user can get wrong, as errors of one line."""

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
"""What is to blame for a failure, where that is known."""


class Mistake(Exception):
    """Something that a user can mend, in one line: for a sweep, which goes on to its next job."""


class Refusal(SystemExit):
    """The end of a command that cannot be run, with the line to print.

    fault: what is to blame for it, where that is known.
    """

    def __init__(self, line: str, fault: Fault = "") -> None:
        super().__init__(f"error: {printable(line)}")
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
