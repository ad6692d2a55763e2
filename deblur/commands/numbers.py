"""Numbers of a range, as the arguments of a command."""

from argparse import ArgumentTypeError
from collections.abc import Callable


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a function that reads a whole number of a range."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if number < low or (high is not None and number > high):
            top = "or more" if high is None else f"to {high}"
            raise ArgumentTypeError(f"{text!r}, expected a whole number, {low} {top}")
        return number

    return read


def above_zero(text: str) -> float:
    """Read a finite number above 0."""
    number = _read_number(text)
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"{text!r}, expected a number above 0")
    return number


def from_zero(text: str) -> float:
    """Read a finite number of 0 or more."""
    number = _read_number(text)
    if not 0 <= number < float("inf"):
        raise ArgumentTypeError(f"{text!r}, expected a number, 0 or more")
    return number


def _read_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
