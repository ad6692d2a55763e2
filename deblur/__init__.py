"""Train, measure and use networks that remove motion blur from photographs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deblur import blur, checkpoints, data, losses, metrics, networks
    from deblur.checkpoints import load_generator, save_generator
    from deblur.data.crops import EpochSampler
    from deblur.data.datamodule import DeblurData
    from deblur.data.folder import PairedFolder
    from deblur.data.photos import Photos
    from deblur.metrics.metric import ProtocolMetric
    from deblur.pair import Pair, decode, encode, quantize
    from deblur.restoration.restorer import Restorer
    from deblur.training.gan import DeblurGAN

__version__ = "0.2.0"

_HOMES = {
    "DeblurData": "deblur.data.datamodule",
    "DeblurGAN": "deblur.training.gan",
    "EpochSampler": "deblur.data.crops",
    "Pair": "deblur.pair",
    "PairedFolder": "deblur.data.folder",
    "Photos": "deblur.data.photos",
    "ProtocolMetric": "deblur.metrics.metric",
    "Restorer": "deblur.restoration.restorer",
    "decode": "deblur.pair",
    "encode": "deblur.pair",
    "load_generator": "deblur.checkpoints",
    "quantize": "deblur.pair",
    "save_generator": "deblur.checkpoints",
}
_PACKAGES = {"blur", "checkpoints", "data", "losses", "metrics", "networks"}

__all__ = [
    "DeblurData",
    "DeblurGAN",
    "EpochSampler",
    "Pair",
    "PairedFolder",
    "Photos",
    "ProtocolMetric",
    "Restorer",
    "blur",
    "checkpoints",
    "data",
    "decode",
    "encode",
    "load_generator",
    "losses",
    "metrics",
    "networks",
    "quantize",
    "save_generator",
]


def __getattr__(name: str) -> Any:
    """Import a public name on its first use (PEP 562), so that `import deblur` is fast."""
    if name in _PACKAGES:
        return import_module(f"deblur.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the names already imported, and those that can be."""
    return sorted({*globals(), *__all__})
