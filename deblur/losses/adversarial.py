"""Adversarial objectives: a class each, with the generator's and the discriminator's side."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.distributed import find_group_rank, gather

Discriminator = Callable[[Tensor], list[Tensor]]
"""Takes (N, 3, H, W) in [-1, 1] and returns a list of logit maps."""


class Verdict(NamedTuple):
    """The discriminator's loss, and its mean scores of both kinds of image."""

    loss: Tensor
    sharp: Tensor
    """The mean score of sharp images, a scalar: a probability if the objective has one."""
    restored: Tensor
    """The mean score of restored images, likewise."""


class Objective(Protocol):
    """The losses that the generator and the discriminator minimize in turn."""

    def generator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Tensor:
        """Return the generator's loss, a scalar."""

    def discriminator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Verdict:
        """Return the discriminator's loss; restored carries no gradient."""


class OnePass:
    """A discriminator that has computed its maps of some batches in one pass, for later calls.

    batches: (N, 3, H, W) each. For other images the discriminator runs when it is called.
    """

    def __init__(self, discriminator: Discriminator, *batches: Tensor) -> None:
        self.discriminator, self.batches = discriminator, batches
        maps = discriminator(torch.cat(batches))
        parts = [torch.split(each, [len(batch) for batch in batches]) for each in maps]
        self.judged = [[*of_one] for of_one in zip(*parts)]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the logit maps of images: one of the batches, or others."""
        for batch, maps in zip(self.batches, self.judged):
            if images is batch:
                return maps
        return self.discriminator(images)


class Minimax:
    """The minimax game of Goodfellow et al. (2014), Li's Equation 1, on logits.

    saturating: the generator minimizes the equation's own log(1 - D(G(z))), whose gradient
    vanishes while the discriminator wins, instead of -log D(G(z)).
    """

    def __init__(self, *, saturating: bool = False) -> None:
        self.saturating = saturating

    def generator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Tensor:
        """Return the generator's loss, a scalar; sharp is not used."""
        logits = discriminator(restored)
        if self.saturating:
            return -_cross_entropy(logits, 0.0)
        return _cross_entropy(logits, 1.0)

    def discriminator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Verdict:
        """Return minus the equation's value; scores are probabilities of being real."""
        real, fake = discriminator(sharp), discriminator(restored)
        loss = _cross_entropy(real, 1.0) + _cross_entropy(fake, 0.0)
        return Verdict(loss, _mean_probability(real), _mean_probability(fake))


class WassersteinGP:
    """The Wasserstein game with a gradient penalty, of Gulrajani et al. (NeurIPS 2017).

    The critic's score of an image is the mean of its map, or of its maps' means. The critic
    minimizes score(restored) - score(sharp) + slope * (|gradient| - 1)^2, where the gradient is
    that of the score in the image, at a random point between a restored and a sharp one. The
    generator minimizes -score(restored). The penalty is computed in float32.

    Args:
        slope: The gradient penalty weight, 0 to 1e6; 10 in the paper.
        mixing: "sample" draws a point for each image, as the paper does; "batch" draws one for all,
            as DeblurGAN's code does.
        norm: "image" takes the norm of an image's gradient; "pixel" that of each pixel over its
            channels, of the gradient of the map's sum, as in DeblurGAN's code (models/losses.py;
            see KupynOrest/DeblurGAN#185).

    Raises:
        ValueError: The slope is out of its range, or a choice is not listed.
    """

    def __init__(
        self,
        *,
        slope: float = 10.0,
        mixing: Literal["sample", "batch"] = "sample",
        norm: Literal["image", "pixel"] = "image",
    ) -> None:
        if mixing not in ("sample", "batch"):
            raise ValueError(f"mixing must be sample or batch, got {mixing}")
        if norm not in ("image", "pixel"):
            raise ValueError(f"norm must be image or pixel, got {norm}")
        if not 0 <= slope <= 1e6:
            raise ValueError(f"slope must be 0 to 1e6, got {slope}")
        self.slope = slope
        self.mixing = mixing
        self.norm = norm

    def generator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Tensor:
        """Return the generator's loss, a scalar; sharp is not used."""
        return -_scores(discriminator(restored)).mean()

    def discriminator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Verdict:
        """Return the critic's loss with the penalty; scores are unbounded."""
        real, fake = (_scores(discriminator(image)).mean() for image in (sharp, restored))
        loss = fake - real + self.slope * self.penalty(discriminator, restored, sharp)
        return Verdict(loss, real.detach(), fake.detach())

    def penalty(self, discriminator: Discriminator, restored: Tensor, sharp: Tensor) -> Tensor:
        """Return the mean of (|gradient| - 1)^2, a scalar."""
        rank, ranks = find_group_rank()
        count = ranks * len(sharp) if self.mixing == "sample" else 1
        share = torch.rand(count, 1, 1, 1, device=sharp.device)  # for the images of all devices
        share = share[rank::ranks] if self.mixing == "sample" else share
        between = (share * sharp + (1 - share) * restored).float().detach().requires_grad_()
        with _no_autocast(sharp.device.type):
            maps = discriminator(between)
            sums = torch.stack([each.sum() for each in maps])
            value = sums.sum() if self.norm == "pixel" else _scores(maps).sum()
            (gradient,) = torch.autograd.grad(value, between, create_graph=True)
            norms = torch.linalg.vector_norm(gradient, dim=1 if self.norm == "pixel" else (1, 2, 3))
        penalty: Tensor = (norms - 1).square().mean()
        return penalty


class LeastSquares:
    """The least-squares game of Mao et al. (ICCV 2017): sharp images score 1, restored ones 0."""

    def generator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Tensor:
        """Return half the mean of (D(restored) - 1)^2; sharp is not used."""
        return _half_squares(discriminator(restored), 1.0)

    def discriminator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Verdict:
        """Return half the sum of the means of (D(sharp) - 1)^2 and D(restored)^2."""
        real, fake = discriminator(sharp), discriminator(restored)
        loss = _half_squares(real, 1.0) + _half_squares(fake, 0.0)
        return Verdict(loss, _mean_score(real), _mean_score(fake))


class RelativisticLS(nn.Module):
    """The relativistic average least-squares game of DeblurGAN-v2 (arXiv 1908.03826, section 3.2).

    The discriminator's target for a sharp image's logits is one above those of the average restored
    image, and for a restored image's one below those of the average sharp image; the generator's
    targets are the reverse. The averages are over the discriminator's last `history` scores, as in
    the authors' code (50), or over the batch (0; with several devices, over each one's part of it).

    maps: the number of maps that the discriminator returns; each has its own history, which is part
    of the state_dict.
    """

    recent: Tensor

    def __init__(self, *, history: int = 50, maps: int = 1) -> None:
        super().__init__()
        if not 0 <= history <= 1_000_000 or not 1 <= maps <= 10:
            raise ValueError(
                f"history must be 0 to 1,000,000 and maps 1 to 10, got {history} and {maps}"
            )
        self.history = history
        # The newest score is last; NaN stands for scores that do not exist yet.
        self.register_buffer("recent", torch.full((2, maps, history), torch.nan))

    def generator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Tensor:
        """Return the generator's loss, a scalar."""
        with torch.no_grad():
            real = self._checked(discriminator(sharp))
        fake = self._checked(discriminator(restored))
        return self._loss(fake, real, self._averages(real, fake))

    def discriminator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Verdict:
        """Return the discriminator's loss, and add its scores to the history."""
        real, fake = (self._checked(discriminator(image)) for image in (sharp, restored))
        if self.history:
            for kind, maps in enumerate((real, fake)):
                for index, each in enumerate(maps):
                    means = gather(each.detach().reshape(len(each), -1).mean(1))
                    kept = torch.cat([self.recent[kind, index], means])
                    self.recent[kind, index] = kept[-self.history :]
        loss = self._loss(real, fake, self._averages(real, fake)[::-1])
        return Verdict(loss, _mean_score(real), _mean_score(fake))

    def _loss(
        self, up: list[Tensor], down: list[Tensor], averages: Sequence[Sequence[Tensor]]
    ) -> Tensor:
        """Return (mean (up - other - 1)^2 + mean (down - other + 1)^2) / 2, averaged over maps.

        averages: `other` for `up` and for `down`, a scalar per map.
        """
        each = [
            ((u - below - 1).square().mean() + (d - above + 1).square().mean()) / 2
            for u, d, below, above in zip(up, down, *averages)
        ]
        return torch.stack(each).mean()

    def _averages(
        self, real: list[Tensor], fake: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the average logit of sharp and of restored images, a scalar per map."""
        averages = [[each.mean() for each in maps] for maps in (real, fake)]
        if self.history:  # the mean of an empty history is NaN
            averages = [
                [torch.where(old.isnan(), new, old) for old, new in zip(kept, own)]
                for kept, own in zip(self.recent.nanmean(2), averages)
            ]
        sharp, restored = averages
        return sharp, restored

    def _checked(self, maps: list[Tensor]) -> list[Tensor]:
        if len(maps) != self.recent.shape[1]:
            raise ValueError(
                f"the discriminator returns {len(maps)} maps, but relativistic_ls was built for "
                f"maps={self.recent.shape[1]}"
            )
        return [each.float() for each in maps]


def _no_autocast(device: str) -> AbstractContextManager[Any]:
    """Disable autocast on a device, if it supports it."""
    known = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if known else nullcontext()


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


def _scores(maps: list[Tensor]) -> Tensor:
    """Return each image's score: the mean over its maps' means, (N,)."""
    return torch.stack([each.float().reshape(len(each), -1).mean(1) for each in maps]).mean(0)


def _mean_score(maps: list[Tensor]) -> Tensor:
    return _scores(maps).mean().detach()


def _half_squares(maps: list[Tensor], target: float) -> Tensor:
    each = [(logits.float() - target).square().mean() for logits in maps]
    return torch.stack(each).mean() / 2
