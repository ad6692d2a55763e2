"""What a network was built with, kept so that its files can tell."""

import inspect
from collections.abc import Mapping
from functools import wraps
from typing import Any, TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def keep_arguments(kind: type[Network]) -> type[Network]:
    """Let the networks of a class of `deblur.networks` keep their arguments, as `config`.

    config: the class's name under `_target_`, and its arguments by name, plain containers: what
    `deblur.checkpoints.build_generator` builds the network from. A subclass, whose arguments may
    be others, has none.
    """
    build = kind.__init__
    signature = inspect.signature(build)

    @wraps(build)
    def build_and_keep(self: Network, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        if type(self) is kind:
            given = signature.bind(self, *args, **kwargs)
            given.apply_defaults()
            _, *named = given.arguments.items()
            config = {name: _plain(value) for name, value in named}
            setattr(self, "config", {"_target_": f"deblur.networks.{kind.__name__}", **config})

    setattr(kind, "__init__", build_and_keep)
    return kind


def find_config(network: nn.Module) -> dict[str, Any] | None:
    """Return what a network of `deblur.networks` was built with; None for other networks."""
    config = getattr(network, "config", None)
    return dict(config) if isinstance(config, Mapping) else None


def _plain(value: Any) -> Any:
    """Return a value as files hold it: sequences, such as OmegaConf's, as lists."""
    if isinstance(value, (str, int, float, type(None))):
        return value
    return [_plain(one) for one in value]
