"""Records the arguments that a network was built with, for its files."""

import inspect
from collections.abc import Mapping
from functools import wraps
from typing import Any, TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def keep_arguments(kind: type[Network]) -> type[Network]:
    """Decorate a class of `deblur.networks` so that its networks keep their arguments as `config`.

    `config` has the class's name under `_target_`, and the arguments by name, in plain containers;
    `deblur.checkpoints.build_generator` builds the network from it. Networks of a subclass, whose
    arguments may differ, have none.
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
    """Return the `config` of a network of `deblur.networks`; None for other networks."""
    config = getattr(network, "config", None)
    return dict(config) if isinstance(config, Mapping) else None


def _plain(value: Any) -> Any:
    """Return a plain value for files: sequences, such as OmegaConf's, become lists."""
    if isinstance(value, (str, int, float, type(None))):
        return value
    return [_plain(one) for one in value]
