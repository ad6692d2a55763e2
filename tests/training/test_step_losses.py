from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deblur.losses.adversarial import LeastSquares
from deblur.losses.content import Charbonnier
from deblur.networks import DoubleDiscriminator, ResNet
from deblur.pair import Pair
from deblur.training.step_losses import StepLosses


class Counted(nn.Module):
    """A discriminator that counts its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.passes = DoubleDiscriminator(width=2), 0

    def forward(self, images: Tensor) -> list[Tensor]:
        self.passes += 1
        logits: list[Tensor] = self.network(images)
        return logits


def losses(**changes: Any) -> StepLosses:
    settings: dict[str, Any] = {
        "generator": ResNet(blocks=1, width=4, dropout=0.0),
        "discriminator": Counted(),
        "adversarial": LeastSquares(),
        "content": {"charbonnier": Charbonnier()},
        "weights": {"charbonnier": 1.0, "adversarial": 0.1},
        "every": {},
        "discriminator_steps": 1,
        "one_pass": False,
    }
    return StepLosses(**{**settings, **changes})


PAIR = Pair(torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16), "")


@pytest.mark.parametrize("one_pass, passes", [(False, 2), (True, 1)])
def test_a_turn_is_computed_as_the_settings_say(one_pass: bool, passes: int) -> None:
    opponent = Counted()
    step = losses(discriminator=opponent, one_pass=one_pass, discriminator_steps=3)
    turns = [*step.turns(PAIR, step.restore(PAIR.blur))]
    assert [turn.network for turn in turns] == [opponent] * 3 + [step.generator]
    judged = turns[0].compute()
    assert opponent.passes == passes
    assert judged.figures.keys() == {"score_sharp", "score_restored"} and not judged.parts
    compared = turns[-1].compute()
    assert compared.parts.keys() == {"charbonnier", "adversarial"}
    assert compared.total == compared.parts["charbonnier"] + 0.1 * compared.parts["adversarial"]


def test_content_losses_alone_make_one_turn() -> None:
    step = losses(discriminator=None, adversarial=None, weights={"charbonnier": 1.0})
    (turn,) = step.turns(PAIR, step.restore(PAIR.blur))
    assert turn.network is step.generator


def test_a_rare_loss_is_due_once_in_a_period() -> None:
    step = losses(every={"charbonnier": 4})
    assert step.period == 4 and step.is_rare("charbonnier") and not step.is_rare("adversarial")
    assert losses().period == 1


@pytest.mark.parametrize(
    "bad, key",
    [
        ({"discriminator_steps": 0}, "discriminator_steps"),
        ({"every": {"charbonnier": 0}}, "every.charbonnier"),
        ({"every": {"tv": 2}}, "every"),
        ({"weights": {"charbonnier": -1.0, "adversarial": 1.0}}, "weights.charbonnier"),
        ({"weights": {"charbonnier": 1.0}}, "weights"),
        ({"discriminator": None}, "discriminator"),
    ],
)
def test_a_bad_setting_is_named(bad: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        losses(**bad)
