"""The losses that training minimizes."""

from deblur.losses.adversarial import (
    LeastSquares,
    Minimax,
    Objective,
    OnePass,
    RelativisticLS,
    Verdict,
    WassersteinGP,
)
from deblur.losses.content import Charbonnier, FrequencyL1, MultiScale, Perceptual, PSNRLoss

__all__ = [
    "Charbonnier",
    "FrequencyL1",
    "LeastSquares",
    "Minimax",
    "MultiScale",
    "Objective",
    "OnePass",
    "PSNRLoss",
    "Perceptual",
    "RelativisticLS",
    "Verdict",
    "WassersteinGP",
]
