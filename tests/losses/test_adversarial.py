from math import exp, log
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deblur.losses.adversarial import (
    LeastSquares,
    Minimax,
    OnePass,
    RelativisticLS,
    WassersteinGP,
)


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


def two(image: Tensor) -> list[Tensor]:
    """Score 0.5 for REAL and -0.25 for FAKE on the first map, twice that on the second."""
    return [image[:, 0, 0], 2 * image[:, :1]]


def test_the_wasserstein_losses_by_hand() -> None:
    objective = WassersteinGP(slope=0.0)
    verdict = objective.discriminator_loss(two, FAKE, REAL)
    assert verdict.loss.item() == pytest.approx(1.5 * (-0.25 - 0.5))
    assert (verdict.sharp.item(), verdict.restored.item()) == (0.75, -0.375)
    assert objective.generator_loss(two, FAKE, REAL).item() == pytest.approx(0.375)


@pytest.mark.parametrize("mixing", ["sample", "batch"])
def test_the_penalty_of_a_linear_critic_is_closed(mixing: str) -> None:
    """Its gradient is its weights, wherever it is taken."""
    weights = torch.randn(3, 4, 4, dtype=torch.float64).float()

    def critic(image: Tensor) -> list[Tensor]:
        return [(image * weights).sum((1, 2, 3)).view(-1, 1)]

    objective = WassersteinGP(mixing=mixing)  # type: ignore[arg-type]
    expected = (weights.norm() - 1).square()
    assert objective.penalty(critic, FAKE, REAL).item() == pytest.approx(expected.item(), rel=1e-5)
    verdict = objective.discriminator_loss(critic, FAKE, REAL)
    plain = (critic(FAKE)[0] - critic(REAL)[0]).mean() + 10 * expected
    assert verdict.loss.item() == pytest.approx(plain.item(), rel=1e-5)


def test_the_penalty_is_of_each_image_by_itself() -> None:
    """One image's critic is flat, the other's is steep: the mean of both, not of the mean."""
    slopes = torch.tensor([0.0, 3.0]).view(2, 1, 1, 1)

    def critic(image: Tensor) -> list[Tensor]:
        return [(image * slopes)[:, :1, :1, :1].flatten(1)]

    expected = ((0 - 1) ** 2 + (3 - 1) ** 2) / 2
    assert WassersteinGP().penalty(critic, FAKE, REAL).item() == pytest.approx(expected)


def test_the_codes_penalty_is_of_each_pixel() -> None:
    def critic(image: Tensor) -> list[Tensor]:
        return [2 * image[:, :1]]

    objective = WassersteinGP(norm="pixel")
    assert objective.penalty(critic, FAKE, REAL).item() == pytest.approx((2 - 1) ** 2)


def test_the_penalty_is_float32_under_autocast_and_can_be_descended() -> None:
    network = nn.Conv2d(3, 1, 3)

    def critic(image: Tensor) -> list[Tensor]:
        return [network(image)]

    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        inside = WassersteinGP().penalty(critic, FAKE, REAL)
    torch.manual_seed(1)
    assert torch.equal(inside, WassersteinGP().penalty(critic, FAKE, REAL))
    inside.backward()  # type: ignore[no-untyped-call]
    assert network.weight.grad is not None and network.weight.grad.abs().sum() > 0


def test_the_least_squares_losses_by_hand() -> None:
    verdict = LeastSquares().discriminator_loss(two, FAKE, REAL)
    real, fake = (0.5**2 + 0.0**2) / 2, (0.25**2 + 0.5**2) / 2
    assert verdict.loss.item() == pytest.approx((real + fake) / 2)
    expected = (1.25**2 + 1.5**2) / 2 / 2
    assert LeastSquares().generator_loss(two, FAKE, REAL).item() == pytest.approx(expected)


@pytest.mark.parametrize("history", [0, 50])
def test_the_relativistic_losses_by_hand(history: int) -> None:
    objective = RelativisticLS(history=history, maps=2)
    verdict = objective.discriminator_loss(two, FAKE, REAL)
    maps = [(0.5, -0.25), (1.0, -0.5)]
    each = [((real - fake - 1) ** 2 + (fake - real + 1) ** 2) / 2 for real, fake in maps]
    assert verdict.loss.item() == pytest.approx(sum(each) / 2)
    each = [((fake - real - 1) ** 2 + (real - fake + 1) ** 2) / 2 for real, fake in maps]
    assert objective.generator_loss(two, FAKE, REAL).item() == pytest.approx(sum(each) / 2)


def test_verdicts_are_measured_against_the_last_ones() -> None:
    objective = RelativisticLS(history=4)

    def critic(image: Tensor) -> list[Tensor]:
        return [image.mean((1, 2, 3))]

    objective.discriminator_loss(critic, FAKE, REAL)
    objective.discriminator_loss(critic, FAKE + 1, REAL + 1)
    sharp, restored = 0.5 + 0.5, -0.25 + 0.5  # the means of two old and two new verdicts
    verdict = objective.discriminator_loss(critic, FAKE + 1, REAL + 1)
    sharp, restored = 1.5, 0.75  # by now the first ones are forgotten
    expected = ((1.5 - restored - 1) ** 2 + (0.75 - sharp + 1) ** 2) / 2
    assert verdict.loss.item() == pytest.approx(expected)
    fresh = RelativisticLS(history=4)
    fresh.load_state_dict(objective.state_dict())
    loss = [one.generator_loss(critic, FAKE, REAL).item() for one in (objective, fresh)]
    assert loss[0] == loss[1] != RelativisticLS().generator_loss(critic, FAKE, REAL).item()


def test_the_number_of_maps_must_fit() -> None:
    with pytest.raises(ValueError, match="gives 2 maps, but .* maps=1"):
        RelativisticLS().discriminator_loss(two, FAKE, REAL)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="mixing"):
        WassersteinGP(mixing="none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="norm"):
        WassersteinGP(norm="map")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="history"):
        RelativisticLS(history=-1)


@pytest.mark.parametrize(
    "objective", [Minimax(), WassersteinGP(), LeastSquares(), RelativisticLS(history=0, maps=2)]
)
def test_one_pass_gives_the_same_verdict(objective: Any) -> None:
    asked = []

    def counted(images: Tensor) -> list[Tensor]:
        asked.append(len(images))
        return judge(images)

    torch.manual_seed(0)
    expected = objective.discriminator_loss(judge, FAKE, REAL)
    torch.manual_seed(0)
    verdict = objective.discriminator_loss(OnePass(counted, REAL, FAKE), FAKE, REAL)
    assert [float(each) for each in verdict] == pytest.approx([float(each) for each in expected])
    penalty = [2] if isinstance(objective, WassersteinGP) else []
    assert asked == [4, *penalty]
