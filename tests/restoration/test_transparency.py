import numpy as np
import pytest

from deblur.restoration.transparency import STRIP, fill_hidden


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (17, 23), (STRIP + 3, 5), (2 * STRIP, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_visible_pixels_stay_and_hidden_ones_lie_between_them(
    shape: tuple[int, int], dtype: type
) -> None:
    generator = np.random.default_rng(0)
    for share in (0.0, 0.1, 0.9, 1.0):
        pixels = generator.uniform(40, 90, (*shape, 3)).astype(dtype)
        alpha = (generator.uniform(size=shape) < share).astype(dtype) * dtype(200)
        pixels[alpha == 0] = 200
        before = pixels.copy()
        filled = fill_hidden(pixels, alpha)
        assert np.array_equal(pixels, before) and filled.dtype == dtype
        seen = pixels[alpha > 0]
        assert np.array_equal(filled[alpha > 0], seen)
        if len(seen):
            assert (filled >= seen.min(0)).all() and (filled <= seen.max(0)).all()


def test_the_fill_is_of_what_is_near_and_continues_over_strips() -> None:
    height = 2 * STRIP + 40
    pixels = np.repeat(np.linspace(10, 240, height)[:, None, None], 64, 1).astype(np.uint8)
    alpha = np.full((height, 64), 255, np.uint8)
    alpha[:, 20:44] = 0
    filled = fill_hidden(np.where(alpha[..., None] > 0, pixels, 0), alpha)
    assert np.abs(filled.astype(int) - pixels).max() <= 4
    assert np.abs(np.diff(filled[..., 0].astype(int), axis=0)).max() <= 2


def test_colours_that_are_nearly_clear_count_for_little() -> None:
    pixels = np.full((9, 9, 3), 100, np.uint8)
    alpha = np.full((9, 9), 255, np.uint8)
    pixels[4], alpha[4] = 0, 1
    pixels[5], alpha[5] = 255, 0
    assert (np.abs(fill_hidden(pixels, alpha)[5].astype(int) - 100) <= 2).all()
