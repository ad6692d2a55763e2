"""Checks of the signs of named numbers."""

from collections.abc import Mapping


def check_positive(numbers: Mapping[str, float | None]) -> None:
    """Raise ValueError, with the name, if a number is neither positive nor None."""
    for name, number in numbers.items():
        if number is not None and not number > 0:
            raise ValueError(f"{name} must be positive, got {number}")


def check_not_negative(numbers: Mapping[str, float | None]) -> None:
    """Raise ValueError, with the name, if a number is negative or NaN."""
    for name, number in numbers.items():
        if number is not None and not number >= 0:
            raise ValueError(f"{name} must not be negative, got {number}")
