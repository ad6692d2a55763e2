import numpy as np
import torch

from deblur.blur.light import trim
from deblur.blur.objects import ObjectBlur
from deblur.blur.shake import ShakeBlur

STILL = ShakeBlur(length=0, anxiety=0, roll=0)


def expose(length: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    blur = ObjectBlur(background=STILL, length=length, anxiety=0, radius=0.2)
    side = 64 + 2 * blur.margin
    # White above, black below: the object, turned upside down, is seen on both.
    light = torch.zeros(1, 3, side, side)
    light[..., : side // 2, :] = 1
    blurred, sharp = blur.expose(light, [blur.draw(np.random.default_rng(seed), (64, 64))])
    return blurred[0], sharp[0], trim(light, blur.margin)[0]


def test_only_the_object_is_blurred() -> None:
    blurred, sharp, before = expose(12)
    changed = (blurred - before).abs().amax(0) > 1e-4
    assert 0 < changed.float().mean() < 0.5


def test_the_sharp_picture_shows_the_object_sharp() -> None:
    _, sharp, before = expose(12)
    assert 0 < ((sharp - before).abs().amax(0) > 0.5).float().mean() < 0.3


def test_the_object_hides_what_is_behind_it() -> None:
    for seed in range(5):
        blurred, _, _ = expose(12, seed)
        # Black and white in any proportion, never more light than white: nothing is added up.
        assert float(blurred.min()) > -1e-5
        assert float(blurred.max()) < 1 + 1e-5


def test_where_the_object_stays_it_is_opaque() -> None:
    blurred, sharp, before = expose(2)
    inside = (sharp - before).abs().amax(0) > 0.999
    agree = (blurred - sharp).abs().amax(0)[inside] < 1e-3
    assert agree.float().mean() > 0.5
