"""The largest sizes of networks: more is a mistake, or a hostile file that would fill memory."""

WIDEST = 4096
"""Channels of a layer that a config sets."""
LONGEST = 1000
"""Blocks in a row."""
DEEPEST = 10
"""Levels, each with half the size of the one before."""


def check_range(name: str, value: float, least: float, most: float) -> None:
    """Raise ValueError if an argument is out of range."""
    if not least <= value <= most:
        raise ValueError(f"{name} must be {least:g} to {most:g}, got {value}")


def check_norm(eps: float, momentum: float) -> None:
    """Check the arguments of a batch norm."""
    check_range("norm_eps", eps, 1e-12, 1)
    check_range("norm_momentum", momentum, 0, 1)
