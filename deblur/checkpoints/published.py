"""Files of other projects, recognized by the names of their weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deblur.checkpoints import deblurgan, deblurgan_v2, nafnet
from deblur.checkpoints.contents import Contents

FORMATS = (deblurgan, deblurgan_v2, nafnet)
WRAPPERS = ("params_ema", "params", "state_dict", "model")
"""Keys under which projects store the weights, the preferred ones first."""
PREFIXES = ("module.", "netG.")
"""Prefixes that projects add to every name."""


def recognize(path: Path, loaded: Any) -> Contents:
    """Return the generator of a file of tensors without our config.

    loaded: the file's content. Raises ValueError, with some of the names, for unknown formats.
    """
    weights = _count_batches(_unwrap(loaded))
    for form in FORMATS:
        if weights and form.recognizes(weights):
            try:
                contents: Contents = form.convert(weights)
                return contents
            except (ValueError, LookupError, TypeError, RuntimeError) as error:
                raise ValueError(f"{path}: {form.SOURCE}: {error}") from error
    names = [*weights] or (list(map(str, loaded)) if isinstance(loaded, Mapping) else [])
    some = f" (it has {', '.join(names[:3])}, ...)" if names else ""
    raise ValueError(
        f"{path}: has no config of its generator, and is not a generator of DeblurGAN, "
        f"DeblurGAN-v2, NAFNet or deblur-gan{some}"
    )


def _unwrap(loaded: Any) -> dict[str, Tensor]:
    """Return the weights without the wrappers and prefixes that projects add."""
    for wrapper in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            return _unwrap(loaded[wrapper])
    if not isinstance(loaded, Mapping):
        return {}
    weights = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def _count_batches(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add the unused batch counts that norms lack in files of PyTorch before 0.4.1."""
    norms = [name.removesuffix("running_var") for name in weights if name.endswith("running_var")]
    return weights | {
        name: torch.tensor(0)
        for name in (f"{norm}num_batches_tracked" for norm in norms)
        if name not in weights
    }
