"""Files of other projects: opened safely, recognised by their names, and nothing left over."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from deblur.checkpoints import deblurgan, deblurgan_v2, nafnet
from deblur.checkpoints.contents import Contents

FORMATS = (deblurgan, deblurgan_v2, nafnet)
WRAPPERS = ("params_ema", "params", "state_dict", "model")
"""Under which projects keep the weights that are to be used."""


def recognize(path: Path, loaded: Any) -> Contents:
    """Give the generator of a file of tensors that has no config of ours.

    loaded: what is in it. Raises ValueError for files that are of no known format, with some of
    their names.
    """
    weights = _unwrap(loaded)
    for form in FORMATS:
        if weights and form.recognizes(weights):
            try:
                contents: Contents = form.convert(weights)
                return contents
            except ValueError as error:
                raise ValueError(f"{path}: {form.SOURCE}: {error}") from error
    some = f" (it has {', '.join([*weights][:3])}, ...)" if weights else ""
    raise ValueError(
        f"{path}: does not say what its generator is, and is no generator of DeblurGAN, "
        f"DeblurGAN-v2, NAFNet or deblur-gan{some}"
    )


def _unwrap(loaded: Any) -> dict[str, Tensor]:
    """Find the weights in what projects put around them, their names without `module.`."""
    for wrapper in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            return _unwrap(loaded[wrapper])
    if not isinstance(loaded, Mapping):
        return {}
    return {
        str(name).removeprefix("module.").removeprefix("netG."): value
        for name, value in loaded.items()
        if isinstance(value, Tensor)
    }
