"""Average the weights of a network before and after further training.

Training on other pictures makes a network forget. A point on the line between both sets of weights
can keep what it knew and most of what it has learned, at the price of one network (Wortsman et al.,
Robust fine-tuning of zero-shot models, CVPR 2022, arXiv 2109.01903).
"""

from collections.abc import Mapping

from torch import Tensor

from deblur.checkpoints.contents import describe_difference
from deblur.checkpoints.generator_file import Generator


def interpolate(base: Generator, tuned: Generator, share: float) -> Generator:
    """Return `tuned`, in place, with the weights (1 - share) * base + share * tuned.

    Args:
        base: The network before further training.
        tuned: The same network after it; it gives the config, the data and the metadata.
        share: That of `tuned`, from 0 to 1.

    Raises:
        ValueError: The share is outside of [0, 1], or the networks have other layers.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share={share} is outside of 0 to 1")
    before, after = base.network.state_dict(), tuned.network.state_dict()
    if difference := describe_difference(before, after):
        raise ValueError(f"weights of different networks cannot be averaged: {difference}")
    tuned.network.load_state_dict(mix(before, after, share))
    vars(tuned.network).pop("ranges", None)  # for 8-bit integers: they belong to the old weights
    about = {key: value for key, value in tuned.about.items() if key != "digest"}
    return tuned._replace(about=about)


def mix(
    before: Mapping[str, Tensor], after: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Return the weights (1 - share) * before + share * after; whole numbers are those of after."""
    return {
        key: before[key].lerp(value, share) if value.is_floating_point() else value
        for key, value in after.items()
    }
