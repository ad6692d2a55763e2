"""Train, measure and use networks that remove motion blur from photographs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deblur.checkpoints import load_generator
    from deblur.gan import DeblurGAN
    from deblur.metrics.metric import ProtocolMetric
    from deblur.pair import Pair, decode, encode, quantize
    from deblur.restorer import Restorer

__version__ = "0.1.0"

_HOMES = {
    "DeblurGAN": "deblur.gan",
    "Pair": "deblur.pair",
    "ProtocolMetric": "deblur.metrics.metric",
    "Restorer": "deblur.restorer",
    "decode": "deblur.pair",
    "encode": "deblur.pair",
    "load_generator": "deblur.checkpoints",
    "quantize": "deblur.pair",
}

__all__ = [
    "DeblurGAN",
    "Pair",
    "ProtocolMetric",
    "Restorer",
    "decode",
    "encode",
    "load_generator",
    "quantize",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562): `import deblur` itself is quick."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
