"""Adversarial objectives: a class each, with the generator's and the discriminator's side."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Discriminator = Callable[[Tensor], list[Tensor]]
"""Takes (N, 3, H, W) in [-1, 1], gives a list of logit maps."""


class Verdict(NamedTuple):
    """The discriminator's loss, and what it made of both kinds of image."""

    loss: Tensor
    sharp: Tensor
    """Its mean score of sharp images, a scalar: a probability where the objective has one."""
    restored: Tensor
    """Its mean score of restored images."""


class Objective(Protocol):
    """What the generator and the discriminator minimise in turn."""

    def generator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Tensor:
        """Give the generator's loss, a scalar."""

    def discriminator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Verdict:
        """Give the discriminator's loss; restored carries no gradient."""


class Minimax:
    """The minimax game of Goodfellow et al. (2014), Li's Equation 1, on logits.

    saturating: let the generator minimise the equation's own log(1 - D(G(z))), whose gradient
    vanishes while the discriminator wins, instead of -log D(G(z)).
    """

    def __init__(self, *, saturating: bool = False) -> None:
        self.saturating = saturating

    def generator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Tensor:
        """Give the generator's loss, a scalar; sharp is not used."""
        logits = discriminator(restored)
        if self.saturating:
            return -_cross_entropy(logits, 0.0)
        return _cross_entropy(logits, 1.0)

    def discriminator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Verdict:
        """Give minus the equation's value; scores are probabilities of being real."""
        real, fake = discriminator(sharp), discriminator(restored)
        loss = _cross_entropy(real, 1.0) + _cross_entropy(fake, 0.0)
        return Verdict(loss, _mean_probability(real), _mean_probability(fake))


def _cross_entropy(maps: list[Tensor], target: float) -> Tensor:
    """Average the binary cross-entropy over each map, then over the maps."""
    each = [
        F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, target).float())
        for logits in maps
    ]
    return torch.stack(each).mean()


def _mean_probability(maps: list[Tensor]) -> Tensor:
    with torch.no_grad():
        return torch.stack([logits.float().sigmoid().mean() for logits in maps]).mean()
