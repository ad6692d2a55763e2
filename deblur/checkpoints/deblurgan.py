"""DeblurGAN's published generators: `latest_net_G.pth` of KupynOrest/DeblurGAN."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from deblur.checkpoints.contents import Contents, State, has_kernel

SOURCE = "DeblurGAN (KupynOrest/DeblurGAN), its ResnetGenerator"
BLOCK = re.compile(r"model\.(\d+)\.conv_block\.(\d+)\.")
FIRST = 10
"""The index of the first residual block, after the stem and two downsamplings."""


def recognizes(weights: Mapping[str, Tensor]) -> bool:
    """Return whether the names are those of a DeblurGAN generator."""
    kernels = (name for name in weights if has_kernel(weights, name))
    return has_kernel(weights, "model.1.weight") and any(map(BLOCK.match, kernels))


def convert(weights: Mapping[str, Tensor]) -> Contents:
    """Convert such a file to our network and names.

    Running statistics of instance norms, which older versions of PyTorch saved, are left out, since
    the source normalizes each picture by its own. With batch norm the file's convolutions have no
    biases; ours become zero. Raises ValueError if residual blocks have a single convolution.
    """
    found = [BLOCK.match(name) for name, value in weights.items() if value.ndim == 4]
    inside = [(int(m[1]), int(m[2])) for m in found if m]
    blocks = 1 + max(block for block, _ in inside) - FIRST
    places = sorted({place for _, place in inside})
    if not {1, 6} <= set(places) and not {1, 5} <= set(places):
        raise ValueError(
            "its residual blocks have one convolution, by a mistake in the source's later versions "
            "(6,067,459 parameters instead of 11,378,179); expected two, as in all published "
            "figures"
        )
    second = 6 if 6 in places else 5  # without dropout the later layers move up by one
    batch = "model.2.weight" in weights
    renamed: State = {}
    for name, value in weights.items():
        new = name.replace("model.", "layers.", 1).replace("conv_block", "layers")
        if second == 5 and (part := BLOCK.match(name)) and int(part[2]) >= 5:
            head, place = f"layers.{part[1]}.layers.", int(part[2])
            new = new.replace(f"{head}{place}.", f"{head}{place + 1}.")
        if batch or not new.endswith(("running_mean", "running_var", "num_batches_tracked")):
            renamed[new] = value
    if batch:
        for name in [n for n, v in renamed.items() if n.endswith("weight") and v.ndim == 4]:
            bias = name.replace("weight", "bias")
            transposed = name in (f"layers.{FIRST + blocks + 3 * k}.weight" for k in (0, 1))
            renamed.setdefault(bias, torch.zeros(renamed[name].shape[1 if transposed else 0]))
    config = {
        "_target_": "deblur.networks.ResNet",
        "blocks": blocks,
        "width": len(weights["model.1.weight"]),
        "dropout": 0.5 if second == 6 else 0.0,
        "norm": "batch" if batch else "instance",
        "upsample": "transposed",
        "init": "normal",
    }
    about = {
        "source": SOURCE,
        "license": "BSD, of the source",
        "note": "the file does not say whether its output is added to the picture "
        "(--learn_residual, as DeblurGAN was published); here it is",
    }
    return Contents(config, renamed, about=about)
