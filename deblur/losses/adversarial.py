"""Adversarial objectives: a class each, with the generator's and the discriminator's side."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.distributed import find_group_rank, gather

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


class OnePass:
    """A discriminator that has judged some batches of images together.

    discriminator: as for `Objective`. batches: (N, 3, H, W) each; of others it is asked when they
    come.
    """

    def __init__(self, discriminator: Discriminator, *batches: Tensor) -> None:
        self.discriminator, self.batches = discriminator, batches
        maps = discriminator(torch.cat(batches))
        parts = [torch.split(each, [len(batch) for batch in batches]) for each in maps]
        self.judged = [[*of_one] for of_one in zip(*parts)]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Give the logit maps of images, one of the batches or others."""
        for batch, maps in zip(self.batches, self.judged):
            if images is batch:
                return maps
        return self.discriminator(images)


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


class WassersteinGP:
    """The Wasserstein game with a gradient penalty, of Gulrajani et al. (NeurIPS 2017).

    The critic's score of an image is the mean of its map, or of its maps' means. It minimises
    score(restored) - score(sharp) + slope * (|gradient| - 1)^2, the gradient of the score by the
    image at a random point between a restored and a sharp one; the generator minimises
    -score(restored). Everything of the penalty is float32.

    slope: of the penalty, 10 in the paper. mixing: "sample" draws the point for each image, as the
    paper does; "batch" one for all, as DeblurGAN's code does. norm: of the gradient, of a whole
    "image", or of each "pixel" over its channels, and of the map's sum, as in DeblurGAN's code
    (models/losses.py; see KupynOrest/DeblurGAN#185).
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
        """Give the generator's loss, a scalar; sharp is not used."""
        return -_scores(discriminator(restored)).mean()

    def discriminator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Verdict:
        """Give the critic's loss with the penalty; scores are unbounded."""
        real, fake = (_scores(discriminator(image)).mean() for image in (sharp, restored))
        loss = fake - real + self.slope * self.penalty(discriminator, restored, sharp)
        return Verdict(loss, real.detach(), fake.detach())

    def penalty(self, discriminator: Discriminator, restored: Tensor, sharp: Tensor) -> Tensor:
        """Give the mean of (|gradient| - 1)^2, a scalar."""
        rank, ranks = find_group_rank()
        count = ranks * len(sharp) if self.mixing == "sample" else 1
        share = torch.rand(count, 1, 1, 1, device=sharp.device)  # for all devices' images
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
        """Give half the mean of (D(restored) - 1)^2; sharp is not used."""
        return _half_squares(discriminator(restored), 1.0)

    def discriminator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Verdict:
        """Give half the means of (D(sharp) - 1)^2 and D(restored)^2, added."""
        real, fake = discriminator(sharp), discriminator(restored)
        loss = _half_squares(real, 1.0) + _half_squares(fake, 0.0)
        return Verdict(loss, _mean_score(real), _mean_score(fake))


class RelativisticLS(nn.Module):
    """The relativistic average least-squares game of DeblurGAN-v2 (arXiv 1908.03826, section 3.2).

    A sharp image's logits shall be one above the average restored image's, and a restored one's
    one below the average sharp image's; the generator wants the reverse. The averages are over the
    discriminator's last `history` verdicts, as in the authors' code (50), or over the batch (0; of
    several devices each takes its own part of it).

    maps: how many maps the discriminator gives; each has a history of its own, which is part of
    the state_dict.
    """

    recent: Tensor

    def __init__(self, *, history: int = 50, maps: int = 1) -> None:
        super().__init__()
        if not 0 <= history <= 1_000_000 or not 1 <= maps <= 10:
            raise ValueError(
                f"history must be 0 to 1,000,000 and maps 1 to 10, got {history} and {maps}"
            )
        self.history = history
        # The newest last; NaN where there is none yet.
        self.register_buffer("recent", torch.full((2, maps, history), torch.nan))

    def generator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Tensor:
        """Give the generator's loss, a scalar."""
        with torch.no_grad():
            real = self._checked(discriminator(sharp))
        fake = self._checked(discriminator(restored))
        return self._loss(fake, real, self._averages(real, fake))

    def discriminator_loss(
        self, discriminator: Discriminator, restored: Tensor, sharp: Tensor
    ) -> Verdict:
        """Give the discriminator's loss, and note its verdicts."""
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
        """Give (mean (up - other - 1)^2 + mean (down - other + 1)^2) / 2, averaged over maps.

        averages: what `up` and what `down` is measured against, a scalar a map each.
        """
        each = [
            ((u - below - 1).square().mean() + (d - above + 1).square().mean()) / 2
            for u, d, below, above in zip(up, down, *averages)
        ]
        return torch.stack(each).mean()

    def _averages(
        self, real: list[Tensor], fake: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Give the average logit of sharp and of restored images, a scalar a map."""
        averages = [[each.mean() for each in maps] for maps in (real, fake)]
        if self.history:  # of none yet the mean is NaN
            averages = [
                [torch.where(old.isnan(), new, old) for old, new in zip(kept, own)]
                for kept, own in zip(self.recent.nanmean(2), averages)
            ]
        sharp, restored = averages
        return sharp, restored

    def _checked(self, maps: list[Tensor]) -> list[Tensor]:
        if len(maps) != self.recent.shape[1]:
            raise ValueError(
                f"the discriminator gives {len(maps)} maps, but relativistic_ls was built for "
                f"maps={self.recent.shape[1]}"
            )
        return [each.float() for each in maps]


def _no_autocast(device: str) -> AbstractContextManager[Any]:
    """Keep float32 on a device; where it has no other precision there is nothing to do."""
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
    """Give each image's score: the mean over its maps' means, (N,)."""
    return torch.stack([each.float().reshape(len(each), -1).mean(1) for each in maps]).mean(0)


def _mean_score(maps: list[Tensor]) -> Tensor:
    return _scores(maps).mean().detach()


def _half_squares(maps: list[Tensor], target: float) -> Tensor:
    each = [(logits.float() - target).square().mean() for logits in maps]
    return torch.stack(each).mean() / 2
