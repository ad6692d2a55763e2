from math import exp, log

import pytest
import torch
from torch import Tensor, nn

from deblur.losses.adversarial import Minimax


def probability(logit: float) -> float:
    return 1 / (1 + exp(-logit))


def judge(image: Tensor) -> list[Tensor]:
    """Two maps of different sizes: the mean, and twice each pixel of the first row."""
    return [image.mean((1, 2, 3)), 2 * image[:, 0, 0]]


REAL, FAKE = torch.full((2, 3, 4, 4), 0.5), torch.full((2, 3, 4, 4), -0.25)


def test_the_discriminators_loss_is_minus_equation_1() -> None:
    verdict = Minimax().discriminator_loss(judge, FAKE, REAL)
    value = [
        log(probability(scale * 0.5)) + log(1 - probability(scale * -0.25)) for scale in (1, 2)
    ]
    assert verdict.loss.item() == pytest.approx(-sum(value) / 2, rel=1e-6)
    assert verdict.sharp.item() == pytest.approx((probability(0.5) + probability(1)) / 2, rel=1e-6)
    assert verdict.restored.item() == pytest.approx((probability(-0.25) + probability(-0.5)) / 2)


def test_the_generators_loss_by_hand() -> None:
    logits = (-0.25, -0.5)
    useful = Minimax().generator_loss(judge, FAKE, REAL).item()
    literal = Minimax(saturating=True).generator_loss(judge, FAKE, REAL).item()
    assert useful == pytest.approx(-sum(log(probability(x)) for x in logits) / 2, rel=1e-6)
    assert literal == pytest.approx(sum(log(1 - probability(x)) for x in logits) / 2, rel=1e-6)


def test_an_undecided_discriminator_loses_two_log_two() -> None:
    verdict = Minimax().discriminator_loss(lambda image: [torch.zeros(2, 1)], FAKE, REAL)
    assert verdict.loss.item() == pytest.approx(2 * log(2))


@pytest.mark.parametrize("saturating", [False, True])
def test_both_generator_losses_pull_the_same_way(saturating: bool) -> None:
    restored = FAKE.clone().requires_grad_()
    loss = Minimax(saturating=saturating).generator_loss(judge, restored, REAL)
    loss.backward()  # type: ignore[no-untyped-call]
    assert restored.grad is not None
    assert (restored.grad <= 0).all()  # a higher score is a lower loss


def test_a_saturated_discriminator_gives_finite_losses() -> None:
    critic = nn.Flatten()
    objective = Minimax()
    loud = 1e4 * torch.ones(1, 3, 2, 2)
    verdict = objective.discriminator_loss(lambda x: [critic(x)], loud, -loud)
    assert torch.isfinite(verdict.loss)
    assert torch.isfinite(objective.generator_loss(lambda x: [critic(x)], -loud, loud))
