"""The contents of a file of weights, in any format."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

State = dict[str, Tensor]
"""Weights, by their names in a network."""


@dataclass
class Contents:
    """A generator as read from a file."""

    config: dict[str, Any]
    """The network's class, under `_target_`, and its arguments."""
    weights: State
    data: dict[str, Any] = field(default_factory=dict)
    """The data it was trained on (`deblur.config.data_recipe`); empty if the file has no recipe."""
    about: dict[str, str] = field(default_factory=dict)
    """Other metadata: source, licence, digest."""


def has_kernel(weights: Mapping[str, Tensor], name: str) -> bool:
    """Return whether the weights include a convolution's kernel of this name."""
    return name in weights and weights[name].ndim == 4


def describe_difference(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Return which names are missing, unexpected, or of another shape or type; "" if none are."""
    both = [name for name in wanted if name in found]
    parts = [
        _list("missing", sorted(set(wanted) - set(found))),
        _list("unexpected", sorted(set(found) - set(wanted))),
        _list(
            "of another shape",
            [
                f"{name} {tuple(found[name].shape)}, expected {tuple(wanted[name].shape)}"
                for name in both
                if found[name].shape != wanted[name].shape
            ],
        ),
        _list(
            "of another kind",
            [
                f"{name} {found[name].dtype}, expected {wanted[name].dtype}"
                for name in both
                if found[name].is_floating_point() != wanted[name].is_floating_point()
            ],
        ),
    ]
    return "; ".join(part for part in parts if part)


def _list(what: str, names: Iterable[str]) -> str:
    named = list(names)
    if not named:
        return ""
    return f"{len(named)} {what}: {', '.join(named[:4])}{', ...' * (len(named) > 4)}"
