"""DeblurGAN-v2's published generators: `fpn_inception.h5` and `fpn_mobilenet.h5`, torch pickles."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from deblur.checkpoints.contents import Contents, State, describe_difference, has_kernel
from deblur.networks import backbones

SOURCE = "DeblurGAN-v2 (VITA-Group/DeblurGANv2), its FPN"
PREFIXES = {"mobilenet": "fpn.", "inception": "fpn.inception."}
"""The prefixes of a backbone's original names in the files."""
FIRST = {
    "fpn.features.0.0.weight": "mobilenet",
    "fpn.inception.conv2d_1a.conv.weight": "inception",
}
"""The first convolution of each backbone."""
TWINS = {
    "mobilenet": {
        f"fpn.enc{stage}.{feature - first}.": f"fpn.features.{feature}."
        for stage, (first, end) in enumerate(backbones.MOBILENET)
        for feature in range(first, end)
    },
    "inception": {
        f"fpn.{ours}.": f"fpn.inception.{theirs}." for theirs, ours in backbones.INCEPTION.items()
    },
}
"""The prefixes of a stage's tensors, and those of their second copies in the file."""
UNUSED = {
    name: tuple(f"{PREFIXES[name]}{part}." for part in parts)
    for name, parts in backbones.UNUSED.items()
}
"""Prefixes of tensors that the network does not use."""
OWN_NORMS = re.compile(r"(fpn\.td\d|smooth2?)\.1\.(running_|num_batches)")
"""Statistics of instance norms, which are not used either."""
MOBILENET = {
    2: {"0": "0.0", "1": "0.1", "3": "1", "4": "2"},
    3: {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"},
}
"""Indices of layers in MobileNetV2's blocks of two and three convolutions: torchvision's names."""


def recognizes(weights: Mapping[str, Tensor]) -> bool:
    """Return whether the names are those of a DeblurGAN-v2 pyramid, with any backbone."""
    return has_kernel(weights, "fpn.lateral4.weight") and has_kernel(weights, "smooth2.0.weight")


def convert(weights: Mapping[str, Tensor]) -> Contents:
    """Convert such a file to our network and names, with each tensor once.

    Raises ValueError for other backbones, and if the two copies of the backbone's tensors in the
    file differ.
    """
    backbone = next((FIRST[name] for name in weights if name in FIRST), None)
    if backbone is None:
        raise ValueError("has another backbone, expected MobileNetV2 or InceptionResNetV2")
    other: State = {}
    doubled: State = {}
    kept: State = {}
    for name, value in weights.items():
        if name.startswith(UNUSED[backbone]) or OWN_NORMS.match(name):
            continue
        if name.startswith(tuple(TWINS[backbone].values())):
            other[name] = value
            continue
        if twin := _find_twin(name, backbone):
            doubled[twin] = value
        kept[_rename(name) if backbone == "mobilenet" else name] = value
    if difference := describe_difference(other, doubled):
        raise ValueError(f"the two copies of its backbone differ: {difference}")
    for name, value in doubled.items():
        if not torch.equal(other[name], value):
            raise ValueError(f"{name} differs from its copy below fpn.enc")
    config = {
        "_target_": "deblur.networks.FPN",
        "backbone": backbone,
        "statistics": "image",
        "padding": "gray",
    }
    return Contents(config, kept, about={"source": SOURCE, "license": "BSD, of the source"})


def _find_twin(name: str, backbone: str) -> str | None:
    """Return the name of the second copy of a stage's tensor; None for other tensors."""
    for here, there in TWINS[backbone].items():
        if name.startswith(here):
            return there + name.removeprefix(here)
    return None


def _rename(name: str) -> str:
    """Return torchvision's name of a tensor in one of MobileNetV2's blocks."""
    found = re.fullmatch(r"(fpn\.enc(\d)\.(\d+)\.conv)\.(\d+)\.(.*)", name)
    if not found:
        return name
    first = found[2] == "0" and found[3] == "1"
    return f"{found[1]}.{MOBILENET[2 if first else 3].get(found[4], found[4])}.{found[5]}"
