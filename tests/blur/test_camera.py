from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deblur.blur.camera import Camera, jpeg
from deblur.blur.light import to_light, trim
from deblur.blur.trajectory import TrajectoryBlur
from deblur.data.photos import BUILT_IN
from deblur.media.images import read

ALL = {"linear": 1.0, "optics": 1.0, "highlights": 1.0, "noise": 1.0, "mosaic": 1.0, "jpeg": 1.0}


def camera(length: float = 0, **changes: Any) -> Camera:
    return Camera(motion=TrajectoryBlur(length=length, anxiety=0.005), **changes)


def photo(margin: int, side: int = 64) -> Tensor:
    pixels = read(BUILT_IN / "colosseum.webp")[200:, 300:]
    return torch.from_numpy(pixels[: side + 2 * margin, : side + 2 * margin]).permute(2, 0, 1)[None]


def rngs(count: int = 1) -> list[np.random.Generator]:
    return [np.random.default_rng(index) for index in range(count)]


@pytest.mark.parametrize("share", [None, "linear", "optics", "highlights", "mosaic"])
def test_a_still_camera_gives_two_equal_pictures(share: str | None) -> None:
    still = camera(shares={share: 1 - ALL[share] if share == "linear" else 1} if share else None)
    blurred, sharp = still(photo(still.margin), rngs())
    assert torch.equal(blurred, sharp)


def test_without_ingredients_the_sharp_picture_is_the_photograph() -> None:
    plain = camera(12)
    blurred, sharp = plain(photo(plain.margin), rngs())
    assert blurred.dtype == sharp.dtype == torch.uint8
    assert torch.equal(sharp, trim(photo(plain.margin), plain.margin))
    assert not torch.equal(blurred, sharp)


def test_exposures_add_up_light_or_pixels() -> None:
    half = torch.zeros(1, 3, 40, 40, dtype=torch.uint8)
    half[..., 20:] = 255
    levels = {}
    for linear in (0, 1):
        one = camera(9, shares={"linear": linear})
        blurred, _ = one(half, rngs())
        levels[linear] = blurred.float().mean()
    # In light the edge's middle is half of white, 188 as a pixel, not 128.
    assert levels[1] > levels[0] + 2


def test_highlights_smear_brighter_than_white() -> None:
    dots = torch.zeros(1, 3, 80, 80, dtype=torch.uint8)
    dots[..., 38:42, 38:42] = 255
    means = []
    for share in (0, 1):
        one = camera(20, shares={"highlights": share}, highlights=1.5)
        blurred, sharp = one(dots, rngs())
        assert torch.equal(sharp, trim(dots, one.margin))
        means.append(float(to_light(blurred).mean()))
    assert means[1] == pytest.approx(2.5 * means[0], rel=0.1)


def test_noise_has_the_variance_asked_for() -> None:
    grey = torch.full((1, 3, 200, 200), 188, dtype=torch.uint8)
    noisy = camera(shares={"noise": 1}, shot=1e-3, read=1e-4)
    blurred, sharp = noisy(grey, rngs())
    assert torch.equal(sharp, trim(grey, noisy.margin))
    light = to_light(blurred)
    expected = 1e-3 * float(to_light(grey)[0, 0, 0, 0]) + 1e-4
    assert float(light.var()) == pytest.approx(expected, rel=0.05)
    assert float(light.mean()) == pytest.approx(float(to_light(grey).mean()), rel=0.01)


def test_jpeg_costs_more_the_lower_its_quality() -> None:
    pixels = photo(0)[0]
    errors = [float((jpeg(pixels, q).float() - pixels).abs().mean()) for q in (98, 60, 10)]
    assert errors == sorted(errors)
    assert jpeg(pixels, 50).shape == pixels.shape


def test_a_sample_depends_on_its_generator_alone() -> None:
    full = camera(10, shares=ALL)
    pixels = photo(full.margin).repeat(3, 1, 1, 1)
    together = full(pixels, rngs(3))
    alone = full(pixels[2:], rngs(3)[2:])
    for batch, single in zip(together, alone):
        assert (batch[2:].int() - single.int()).abs().max() <= 1
    assert not torch.equal(together[0][0], together[0][1])


def test_an_ingredient_changes_no_motion() -> None:
    plain, soft = camera(10), camera(10, shares={"jpeg": 1}, quality=100)
    blurred = [one(photo(one.margin), rngs())[0].float() for one in (plain, soft)]
    assert float((blurred[0] - blurred[1]).abs().mean()) < 3


def test_a_seed_always_gives_the_same_picture() -> None:
    full = camera(10, shares=ALL)
    blurred, sharp = full(photo(full.margin), rngs())
    # Golden: they change when the camera draws otherwise, and with it every training set.
    assert (float(blurred.float().mean()), float(sharp.float().mean())) == pytest.approx(
        GOLDEN, abs=0.05
    )


GOLDEN = (147.0716, 136.6301)


@pytest.mark.parametrize("shares", [{"fog": 1}, {"noise": 1.5}, {"noise": -1}])
def test_unknown_ingredients_and_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="linear, optics"):
        camera(shares=shares)


@pytest.mark.parametrize(
    "bad",
    [
        *({"quality": 0}, {"quality": [60, 101]}, {"red": 0}, {"blue": [1, 1000]}, {"read": 2}),
        *({"shot": -1}, {"optics": [1, 0.5]}, {"highlights": [1]}, {"optics": float("nan")}),
    ],
)
def test_a_range_out_of_bounds_is_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(bad))}"):
        camera(**bad)


def test_a_batch_of_no_pictures_is_blurred_to_none() -> None:
    full = camera(10, shares=ALL)
    side = 64 + 2 * full.margin
    blurred, sharp = full(torch.zeros(0, 3, side, side, dtype=torch.uint8), [])
    assert blurred.shape == sharp.shape == (0, 3, 64, 64)
