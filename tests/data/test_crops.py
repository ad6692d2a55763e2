import numpy as np
import pytest

from deblur.data.crops import SHARP, EpochSampler, Key, Place, detail, locate, orient, spot

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


@pytest.mark.parametrize("ranks", [2, 3])
def test_in_order_ranks_share_the_places_out_and_none_comes_twice(ranks: int) -> None:
    shares = [[*EpochSampler(7, rank=rank, ranks=ranks)] for rank in range(ranks)]
    assert sorted(place for share in shares for place in share) == [(0, i) for i in range(7)]
    assert [len(EpochSampler(7, rank=r, ranks=ranks)) for r in range(ranks)] == [*map(len, shares)]


def test_shuffled_ranks_have_equally_many() -> None:
    samplers = [EpochSampler(7, shuffle=True, rank=rank, ranks=3) for rank in range(3)]
    shares = [[*sampler] for sampler in samplers]
    assert [len(share) for share in shares] == [len(sampler) for sampler in samplers] == [2, 2, 2]
    assert len({place for share in shares for place in share}) == 6


def test_both_pictures_of_a_stack_are_turned_alike() -> None:
    stack = np.stack([MARKED[0], MARKED[0] + 1])
    ways = set()
    for seed in range(60):
        first, second = orient(stack, np.random.default_rng(seed))
        assert np.array_equal(first + 1, second)
        ways.add(first.tobytes() + bytes(first.shape))
    assert len(ways) == 8


def test_detail_is_where_the_picture_changes() -> None:
    picture = np.full((96, 128, 3), 90, np.uint8)
    picture[:, 64:] = np.random.default_rng(0).integers(0, 256, (96, 64, 3))
    sharpness = detail(picture)
    assert sharpness.shape == (3, 4)
    assert sharpness[:, 0].max() == 0
    assert sharpness[:, 2:].min() > SHARP


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (20, 500)])
def test_small_pictures_have_a_map_too(size: tuple[int, int]) -> None:
    assert detail(np.zeros((*size, 3), np.uint8)).size >= 1


def test_a_spot_leaves_room_for_the_crop() -> None:
    sharpness = np.zeros((6, 8), np.float32)
    sharpness[3:, 5:] = 1000
    for seed in range(50):
        rng = np.random.default_rng(seed)
        top, left = spot(sharpness, (128, 192), 64, rng, 1.0)
        # At least half of the crop's tiles are sharp ones.
        assert 32 <= top <= 128 and 96 <= left <= 192


def test_without_detail_anywhere_every_spot_will_do() -> None:
    spots = {
        spot(np.zeros((6, 8), np.float32), (9, 9), 64, np.random.default_rng(seed), 1.0)
        for seed in range(40)
    }
    assert len(spots) > 25


def test_the_share_of_detail_does_not_move_the_other_crops() -> None:
    drawn = [
        [spot(sharpness, (99, 99), 32, np.random.default_rng(s), share) for s in range(20)]
        for sharpness, share in ((None, 0.0), (np.ones((4, 4), np.float32), 0.5))
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("key", "place"), [((3, 1), (3, 1)), (4, (0, 4)), (-1, (0, 4)), (np.int64(2), (0, 2))]
)
def test_an_index_alone_is_of_epoch_0(key: Key, place: Place) -> None:
    assert locate(key, 5) == place


@pytest.mark.parametrize("key", [5, -6])
def test_an_index_outside_ends_a_loop(key: int) -> None:
    with pytest.raises(IndexError, match=f"index {key} .* 5 samples"):
        locate(key, 5)
