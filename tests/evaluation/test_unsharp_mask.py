import pytest
import torch

from deblur.evaluation.unsharp_mask import UnsharpMask, tune_unsharp_mask
from deblur.pair import Pair

GENERATOR = torch.Generator().manual_seed(0)
BLUR = (torch.rand(1, 3, 32, 32, generator=GENERATOR) * 2 - 1) * 0.3


def test_a_constant_picture_stays_as_it_is() -> None:
    grey = torch.full((1, 3, 16, 16), 0.4)
    assert torch.allclose(UnsharpMask(sigma=2.0, amount=1.5)(grey), grey, atol=1e-6)


def test_tuning_finds_the_mask_that_made_the_sharp_picture() -> None:
    made = UnsharpMask(sigma=1.5, amount=0.75)
    found = tune_unsharp_mask([Pair(BLUR, made(BLUR), "")])
    assert (found.sigma, found.amount) == (1.5, 0.75)
    assert found.label == "unsharp mask (sigma 1.5, amount 0.75)"


def test_the_output_stays_in_range() -> None:
    assert UnsharpMask(sigma=1.0, amount=1.5)(BLUR * 3.3).abs().max() == pytest.approx(1)
