import numpy as np
import pytest

from deblur.data.crops import EpochSampler, cut, orient

MARKED = np.arange(2 * 6 * 8 * 3).reshape(2, 6, 8, 3).astype(np.uint8)


def test_an_epoch_has_every_index_once_and_names_the_epoch() -> None:
    sampler = EpochSampler(10, seed=3, shuffle=True)
    sampler.set_epoch(4)
    places = list(sampler)
    assert {epoch for epoch, _ in places} == {4}
    assert sorted(index for _, index in places) == list(range(10))


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[tuple[int, int]]:
        sampler = EpochSampler(50, seed=seed, shuffle=True)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 1) == order(0, 1)
    assert [i for _, i in order(0, 1)] != [i for _, i in order(0, 2)]
    assert [i for _, i in order(0, 1)] != [i for _, i in order(1, 1)]


def test_both_pictures_of_a_stack_are_turned_alike() -> None:
    stack = np.stack([MARKED[0], MARKED[0] + 1])
    ways = set()
    for seed in range(60):
        first, second = orient(stack, np.random.default_rng(seed))
        assert np.array_equal(first + 1, second)
        ways.add(first.tobytes() + bytes(first.shape))
    assert len(ways) == 8


def test_both_pictures_of_a_stack_are_cut_alike() -> None:
    stack = np.stack([MARKED[0], MARKED[0] + 1])
    first, second = cut(stack, 4, np.random.default_rng(0))
    assert first.shape == (4, 4, 3)
    assert np.array_equal(first + 1, second)


def test_without_a_generator_the_centre_is_cut() -> None:
    assert np.array_equal(cut(MARKED, 4, None), MARKED[:, 1:5, 2:6])


def test_a_crop_larger_than_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="crop of 7 pixels does not fit a picture of 8x6"):
        cut(MARKED, 7, None)
