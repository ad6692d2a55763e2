"""Checks of the signs of numbers, which name the number."""

from collections.abc import Mapping


def check_positive(numbers: Mapping[str, float | None]) -> None:
    """Raise ValueError for a number, by its name, that is neither positive nor None."""
    for name, number in numbers.items():
        if number is not None and not number > 0:
            raise ValueError(f"{name} must be positive, got {number}")


def check_not_negative(numbers: Mapping[str, float]) -> None:
    """Raise ValueError for a number, by its name, that is negative or NaN."""
    for name, number in numbers.items():
        if not number >= 0:
            raise ValueError(f"{name} must not be negative, got {number}")
