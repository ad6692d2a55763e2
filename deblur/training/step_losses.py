"""The losses of one training step: training, its rehearsal and the check of settings share them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deblur.losses.adversarial import Objective, OnePass
from deblur.losses.content import halve
from deblur.pair import Pair
from deblur.training.number_checks import check_not_negative, check_positive


class TurnLoss(NamedTuple):
    """What a network minimizes in its turn."""

    total: Tensor
    """The loss, a scalar with a graph."""
    parts: dict[str, Tensor]
    """The unweighted losses that it is made of, by their names, scalars."""
    figures: dict[str, Tensor]
    """What else is worth logging, by name, scalars without a graph."""


class Turn(NamedTuple):
    """One network's turn in a training step."""

    network: nn.Module
    """The one that is to learn."""
    compute: Callable[[], TurnLoss]
    """Computes its loss; what was trained in the turns before is taken into account."""


class StepLosses:
    """Computes the losses of training steps.

    Args:
        generator: The network that restores. One with a method `pyramid` has the mean of each
            content loss over its scales and stages.
        discriminator: Its opponent; None trains the generator on the content losses alone.
        adversarial: The objective; None where there is no discriminator.
        content: The generator's content losses, by name.
        weights: The weight of each content loss and of "adversarial", by name.
        every: Compute a content loss in every so many batches alone, times that number.
        discriminator_steps: Turns of the discriminator for each of the generator.
        one_pass: Let the discriminator judge sharp and restored images as one batch.

    Raises:
        ValueError: For what does not go together, and for numbers of the wrong sign.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module | None,
        adversarial: Objective | None,
        content: Mapping[str, nn.Module],
        weights: Mapping[str, float],
        every: Mapping[str, int],
        discriminator_steps: int,
        one_pass: bool,
    ) -> None:
        if (adversarial is None) != (discriminator is None):
            raise ValueError("adversarial and discriminator must both be set, or both be null")
        names = sorted([*content, "adversarial"] if adversarial else content)
        if sorted(weights) != names:
            raise ValueError(
                f"weights are for {sorted(weights)}, expected {names}: add missing ones by "
                "model.weights.NAME=1, take others out by ~model.weights.NAME"
            )
        if unknown := set(every) - set(content):
            raise ValueError(f"every names {sorted(unknown)}, expected some of {sorted(content)}")
        if adversarial is None and all(every.get(name, 1) > 1 for name in content):
            raise ValueError(
                "every: without an adversarial objective one content loss must be in every batch"
            )
        counts = {f"every.{name}": count for name, count in every.items()}
        check_positive({"discriminator_steps": discriminator_steps, **counts})
        check_not_negative({f"weights.{name}": weight for name, weight in weights.items()})
        self.generator = generator
        self.adversary: tuple[Objective, nn.Module] | None = None
        """The objective and the discriminator, where there are any."""
        if adversarial is not None and discriminator is not None:
            self.adversary = adversarial, discriminator
        self.content = dict(content)
        self.weights = dict(weights)
        self.every = {name: every.get(name, 1) for name in content}
        self.discriminator_steps = discriminator_steps
        self.one_pass = one_pass

    @property
    def period(self) -> int:
        """The number of batches in which each of the losses is due once or more."""
        return max(self.every.values(), default=1)

    def is_rare(self, name: str) -> bool:
        """Say whether a loss is not computed in every batch."""
        return self.every.get(name, 1) > 1

    def restore(self, blur: Tensor) -> list[Tensor]:
        """Restore (N, 3, H, W) at each scale and stage that the generator has, the result last."""
        pyramid = getattr(self.generator, "pyramid", None)
        images: list[Tensor] = pyramid(blur) if pyramid else [self.generator(blur)]
        return images

    def turns(self, batch: Pair, scales: Sequence[Tensor], batch_idx: int = 0) -> Iterator[Turn]:
        """Yield the turns of a step in their order: the discriminator's, then the generator's.

        scales: what `restore` has made of the batch.
        """
        if self.adversary:
            objective, discriminator = self.adversary
            restored = scales[-1].detach()

            def judge() -> TurnLoss:
                sharp = batch.sharp
                judges = OnePass(discriminator, sharp, restored) if self.one_pass else discriminator
                verdict = objective.discriminator_loss(judges, restored, sharp)
                figures = {"score_sharp": verdict.sharp, "score_restored": verdict.restored}
                return TurnLoss(verdict.loss, {}, figures)

            for _ in range(self.discriminator_steps):
                yield Turn(discriminator, judge)

        def compare() -> TurnLoss:
            losses = self.generator_losses(batch, scales, batch_idx)
            return TurnLoss(self.total(losses), losses, {})

        yield Turn(self.generator, compare)

    def generator_losses(
        self, batch: Pair, scales: Sequence[Tensor], batch_idx: int = 0
    ) -> dict[str, Tensor]:
        """Return the generator's losses that are due in this batch, unweighted, by name.

        scales: what it restored; the last has the sharp images' size, the others that of halvings.
        """
        truths = [_shrink(batch.sharp, image) for image in scales[:-1]]
        truths.append(batch.sharp)
        losses = {
            name: torch.stack([loss(*images) for images in zip(scales, truths)]).mean()
            for name, loss in self.content.items()
            if batch_idx % self.every[name] == 0
        }
        if self.adversary:
            objective, discriminator = self.adversary
            losses["adversarial"] = objective.generator_loss(discriminator, scales[-1], batch.sharp)
        return losses

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Weigh and add losses."""
        parts = [
            self.weights[name] * self.every.get(name, 1) * loss for name, loss in losses.items()
        ]
        return torch.stack(parts).sum()


def _shrink(sharp: Tensor, image: Tensor) -> Tensor:
    """Halve sharp images until they are no larger than those that a scale restored."""
    while sharp.shape[-1] > image.shape[-1]:
        sharp = halve(sharp)
    return sharp
