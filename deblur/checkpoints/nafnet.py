"""NAFNet's published weights: .pth files of megvii-research/NAFNet, under `params`."""

from collections.abc import Mapping

from torch import Tensor

from deblur.checkpoints.contents import Contents, has_kernel

SOURCE = "NAFNet (megvii-research/NAFNet)"


def recognizes(weights: Mapping[str, Tensor]) -> bool:
    """Return whether the names are those of a NAFNet."""
    return all(has_kernel(weights, f"{name}.weight") for name in ("intro", "ending", "downs.0"))


def convert(weights: Mapping[str, Tensor]) -> Contents:
    """Convert such a file to our network, whose sizes follow from the names.

    Raises ValueError for the paper's "baseline", whose blocks have other parts.
    """
    if any(".se." in name for name in weights):
        raise ValueError("is the baseline of NAFNet's paper (se instead of sca), expected NAFNet")
    levels = len({name.split(".")[1] for name in weights if name.startswith("downs.")})
    config = {
        "_target_": "deblur.networks.NAFNet",
        "width": len(weights["intro.weight"]),
        "encoder": [_count(weights, f"encoders.{level}.") for level in range(levels)],
        "middle": _count(weights, "middle_blks."),
        "decoder": [_count(weights, f"decoders.{level}.") for level in range(levels)],
        "tlc": "off",
        "padding": "zeros",
    }
    about = {
        "source": SOURCE,
        "license": "MIT",
        "note": "published figures were measured with local statistics (eval.py tlc=256)",
    }
    return Contents(config, dict(weights), about=about)


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    """Count the blocks below a prefix."""
    return len({n.removeprefix(prefix).split(".")[0] for n in weights if n.startswith(prefix)})
