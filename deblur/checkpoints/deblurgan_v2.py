"""DeblurGAN-v2's published generators: `fpn_inception.h5` and `fpn_mobilenet.h5`, torch pickles."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from deblur.checkpoints.contents import Contents, State

SOURCE = "DeblurGAN-v2 (VITA-Group/DeblurGANv2), its FPN"
BACKBONES = {"fpn.features.": "mobilenet", "fpn.inception.": "inception"}
TWINS = {
    "mobilenet": {
        f"fpn.enc{stage}.{feature - first}.": f"fpn.features.{feature}."
        for stage, (first, end) in enumerate(((0, 2), (2, 4), (4, 7), (7, 11), (11, 16)))
        for feature in range(first, end)
    },
    "inception": {
        **{"fpn.enc0.": "fpn.inception.conv2d_1a."},
        **{"fpn.enc1.0.": "fpn.inception.conv2d_2a.", "fpn.enc1.1.": "fpn.inception.conv2d_2b."},
        **{"fpn.enc2.0.": "fpn.inception.conv2d_3b.", "fpn.enc2.1.": "fpn.inception.conv2d_4a."},
        **{"fpn.enc3.0.": "fpn.inception.mixed_5b.", "fpn.enc3.1.": "fpn.inception.repeat."},
        "fpn.enc3.2.": "fpn.inception.mixed_6a.",
        **{"fpn.enc4.0.": "fpn.inception.repeat_1.", "fpn.enc4.1.": "fpn.inception.mixed_7a."},
    },
}
"""The second names under which the same tensors are in the file."""
UNUSED = {
    "mobilenet": ("fpn.features.16.", "fpn.features.17.", "fpn.features.18."),
    "inception": tuple(
        f"fpn.inception.{part}." for part in ("repeat_2", "block8", "conv2d_7b", "last_linear")
    ),
}
"""What the file holds and the network does not read."""
OWN_NORMS = re.compile(r"(fpn\.td\d|smooth2?)\.1\.(running_|num_batches)")
"""Statistics of instance norms, which are not read either."""
MOBILENET = {
    2: {"0": "0.0", "1": "0.1", "3": "1", "4": "2"},
    3: {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"},
}
"""Places in MobileNetV2's blocks, of two and three convolutions, and torchvision's for them."""


def recognizes(weights: Mapping[str, Tensor]) -> bool:
    """Say whether names are those of a DeblurGAN-v2 pyramid with one of our backbones."""
    return "fpn.lateral4.weight" in weights and "smooth2.0.weight" in weights


def convert(weights: Mapping[str, Tensor]) -> Contents:
    """Give such a file's network and weights, each tensor once and in our names.

    Raises ValueError where the two copies of a tensor differ.
    """
    width = len(weights["fpn.lateral4.weight"])
    backbone = {128: "mobilenet", 256: "inception"}.get(width, "inception")
    kept: State = {}
    for name, value in weights.items():
        if OWN_NORMS.match(name) or name.startswith(UNUSED[backbone]):
            continue
        if name.startswith(tuple(BACKBONES)):
            continue
        twin = next(
            (
                there + name.removeprefix(here)
                for here, there in TWINS[backbone].items()
                if name.startswith(here)
            ),
            None,
        )
        if twin is not None and twin in weights and not torch.equal(weights[twin], value):
            raise ValueError(f"{name} and {twin} are the same tensor and differ")
        kept[_rename(name) if backbone == "mobilenet" else name] = value
    config = {
        "_target_": "deblur.networks.FPN",
        "backbone": backbone,
        "statistics": "image",
        "padding": "gray",
    }
    return Contents(config, kept, about={"source": SOURCE, "license": "BSD, of the source"})


def _rename(name: str) -> str:
    """Give torchvision's name of a tensor in one of MobileNetV2's blocks."""
    found = re.fullmatch(r"(fpn\.enc(\d)\.(\d+)\.conv)\.(\d+)\.(.*)", name)
    if not found:
        return name
    first = found[2] == "0" and found[3] == "1"
    return f"{found[1]}.{MOBILENET[2 if first else 3].get(found[4], found[4])}.{found[5]}"
