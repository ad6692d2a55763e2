"""Checks of networks' arguments.

Larger networks than these are a mistake, or a hostile file that would fill memory.
"""

from collections.abc import Sequence

WIDEST = 4096
"""The most channels of a layer that a config sets."""
LONGEST = 1000
"""The most blocks in a row."""
DEEPEST = 10
"""The most levels, each with half the size of the one before."""


def check_choice(name: str, value: object, *choices: object) -> None:
    """Raise ValueError if an argument is none of the choices."""
    if value not in choices:
        *others, last = map(str, choices)
        raise ValueError(f"{name} must be {', '.join(others)} or {last}, got {value}")


def check_range(name: str, value: float, least: float, most: float) -> None:
    """Raise ValueError if an argument is out of range."""
    if not least <= value <= most:
        raise ValueError(f"{name} must be {least:g} to {most:g}, got {value}")


def check_norm(eps: float, momentum: float) -> None:
    """Check the arguments of a batch norm."""
    check_range("norm_eps", eps, 1e-12, 1)
    check_range("norm_momentum", momentum, 0, 1)


def check_levels(encoder: Sequence[int], middle: int, decoder: Sequence[int]) -> None:
    """Check the numbers of blocks of a network's levels, and below them."""
    check_range("the number of levels of encoder", len(encoder), 1, DEEPEST)
    for name, blocks in (("encoder", encoder), ("middle", [middle]), ("decoder", decoder)):
        for count in blocks:
            check_range(f"each number of blocks of {name}", count, 0, LONGEST)
    if len(encoder) != len(decoder):
        raise ValueError(
            f"encoder and decoder must have the same number of levels, got {len(encoder)} and "
            f"{len(decoder)}"
        )
