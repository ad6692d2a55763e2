"""A network learns from a film's own sharp frames, or stays as it is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from film_samples import make_film, pan
from torch import Tensor, nn

from deblur.blur.measured import Measured
from deblur.inference import name_arithmetic, precision
from deblur.networks import ResNet
from deblur.pair import encode
from deblur.restoration import adaptation
from deblur.restoration.adaptation import NotAdaptedError, adapt_restorer, adapt_to, hold_out
from deblur.restoration.progress import Adapting
from deblur.restoration.restorer import Restorer
from deblur.restoration.survey import Survey

CPU = torch.device("cpu")
FOREVER = 1e9
SMEARS = [Measured(15, 0)]


class Tiny(nn.Module):
    """One convolution, which changes nothing at first."""

    def __init__(self) -> None:
        super().__init__()
        self.change = nn.Conv2d(3, 3, (1, 15), padding=(0, 7), groups=3)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, blur: Tensor) -> Tensor:
        restored: Tensor = blur + self.change(blur)
        return restored


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"CROP": 32, "BATCH": 2, "CHECKS": 6, "RATE": 1e-2, "LEAST": 0.0}
    for name, value in small.items():
        monkeypatch.setattr(adaptation, name, value)


def make_survey(count: int = 3) -> Survey:
    _, sharp = pan("arlesAmphitheater.webp", count)
    return Survey(sharp, SMEARS, 1.0, count)


def test_blur_like_that_of_the_film_is_restored_better() -> None:
    filmed, sharp = (
        encode(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[..., :200])
        for frames in pan("arlesAmphitheater.webp", 5)
    )
    generator = Tiny()
    adapted = adapt_to(generator, make_survey(), CPU, seconds=FOREVER, most=30)
    assert adapted.steps == 30 and adapted.frames == 3 and adapted.gain > 0.01
    assert not generator.change.weight.any() and not adapted.network.training
    before, after = (
        (network(filmed[[1, 4]]) - sharp[[1, 4]]).square().mean().log10()
        for network in (generator, adapted.network)
    )
    assert 10 * (before - after) > 0.01
    again = adapt_to(generator, make_survey(), CPU, seconds=FOREVER, most=30)
    assert again.gain == adapted.gain
    assert f"{adapted.gain:+.2f} dB" in adapted.describe()


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (make_survey()._replace(smears=[]), "none of its frames is blurred"),
        (make_survey(2), "2 of its frames are sharp"),
        (make_survey()._replace(sharp=[np.zeros((40, 40, 3), np.uint8)] * 3), "too small"),
    ],
)
def test_where_nothing_can_be_learned_it_says_why(found: Survey, reason: str) -> None:
    with pytest.raises(NotAdaptedError, match=reason):
        adapt_to(Tiny(), found, CPU, seconds=FOREVER, most=1)


def test_weights_that_are_not_better_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation, "LEAST", 9.0)
    with pytest.raises(NotAdaptedError, match="gained less"):
        adapt_to(Tiny(), make_survey(), CPU, seconds=FOREVER, most=adaptation.FEWEST)


def test_time_ends_it_and_a_few_steps_do_not_count() -> None:
    ticks = iter(range(1000))
    seen: list[Adapting] = []
    with pytest.raises(NotAdaptedError, match="steps only"):
        adapt_to(
            *(Tiny(), make_survey(), CPU),
            seconds=6,
            watch=seen.append,
            clock=lambda: next(ticks),
        )
    assert seen[0] == Adapting(0, 6) and seen[-1] == Adapting(6, 6) and 2 < len(seen) < 8


def test_ctrl_c_ends_it() -> None:
    def stop(progress: Adapting) -> None:
        if progress.seconds:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt_to(Tiny(), make_survey(), CPU, seconds=FOREVER, watch=stop)


def test_one_in_three_frames_is_held_out() -> None:
    frames = [np.full((6, 9, 3), value, np.uint8) for value in range(6)]
    learned, held_out = hold_out(frames)
    assert [int(frame[0, 0, 0]) for frame in learned] == [0, 2, 3, 5]
    assert [int(frame[0, 0, 0]) for frame in held_out] == [1, 4]


def test_another_generator_is_restored_with_in_the_same_arithmetic_without_a_race(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Restorer(ResNet(blocks=1, width=4), device="cpu", precision="auto")
    monkeypatch.setattr(precision, "settle", None)
    after = before.renew(ResNet(blocks=1, width=4))
    assert name_arithmetic(after.network) == name_arithmetic(before.network)
    assert after.tiles.reach is None and after.network is not before.network


def test_a_restorer_keeps_its_settings(tmp_path: Path) -> None:
    filmed, _ = pan("arlesAmphitheater.webp")
    source = make_film(tmp_path / "a.mkv", "ffv1", "yuv444p", frames=filmed)
    generator = Tiny()
    restorer = Restorer(generator, device="cpu", precision="float32", strength=0.5, guard=False)
    adapted, notes = adapt_restorer(restorer, generator, source, seconds=FOREVER, most=30)
    assert len(notes) == 1 and "adapted to 6 sharp frames" in notes[0]
    assert adapted.strength == 0.5 and adapted.tiles.guard is False
    picture = filmed[1]
    assert np.array_equal(restorer.restore(picture), picture)
    assert not np.array_equal(adapted.restore(picture), picture)
