import pytest
import torch
from torch import Tensor

from deblur.restoration.tiling import blend, measure_reach, place_tiles, plan_tiles, weigh


@pytest.mark.parametrize("length", [64, 65, 200, 719, 1280])
@pytest.mark.parametrize(
    "count, overlap, stride", [(1, 0, 1), (2, 16, 4), (5, 8, 8), (3, 12, 1), (2, 0, 1)]
)
def test_tiles_cover_a_length_and_share_what_they_must(
    length: int, count: int, overlap: int, stride: int
) -> None:
    spans = place_tiles(length, count, overlap, stride)
    assert (spans[0].start, spans[-1].end, len(spans)) == (0, length, count)
    assert all(span.start % stride == 0 for span in spans)
    assert all(a.end - b.start == overlap for a, b in zip(spans, spans[1:]))
    sums = torch.zeros(length)
    for index, span in enumerate(spans):
        sums[span.start : span.end] += weigh(spans, index)
    torch.testing.assert_close(sums, torch.ones(length))


def test_the_ends_of_an_overlap_count_for_nothing() -> None:
    spans = place_tiles(100, 2, 16)
    weights = weigh(spans, 1)
    assert weights[:4].sum() == 0 and (weights[12:] == 1).all()
    assert (weights.diff() >= 0).all()


@pytest.mark.parametrize("size", [(720, 1280), (100, 4000), (4000, 100), (31, 33)])
def test_a_plan_stays_within_its_area(size: tuple[int, int]) -> None:
    rows, columns = plan_tiles(size, 128 * 128, 16, 8)
    assert max(r.end - r.start for r in rows) * max(c.end - c.start for c in columns) <= 128 * 128
    assert (rows[-1].end, columns[-1].end) == size


def test_a_picture_that_fits_is_one_tile() -> None:
    for size in ((720, 1280), (20_000, 40_000)):  # the largest, with all grids tried, takes hours
        rows, columns = plan_tiles(size, size[0] * size[1], 0)
        assert (len(rows), len(columns)) == (1, 1)


def test_tiles_without_room_for_their_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="100 pixels.*64"):
        plan_tiles((500, 500), 100, 64, 8)


def test_blending_equal_tiles_gives_the_picture_itself() -> None:
    image = torch.rand(3, 90, 130)
    rows, columns = plan_tiles((90, 130), 40 * 40, 8, 2)
    assert len(rows) > 2 and len(columns) > 2
    bands = list(blend(rows, columns, lambda r, c: image[:, r, c]))
    assert [band.start for band, _ in bands[1:]] == [band.stop for band, _ in bands[:-1]]
    torch.testing.assert_close(torch.cat([band for _, band in bands], 1), image)


def box(image: Tensor, side: int = 9) -> Tensor:
    return torch.nn.functional.avg_pool2d(image, side, 1, side // 2, count_include_pad=False)


def test_reach_is_half_a_filters_width() -> None:
    cpu = torch.device("cpu")
    assert measure_reach(box, 1, 1e-4, cpu) == 4
    assert measure_reach(box, 8, 1e-4, cpu) == 8
    assert measure_reach(lambda image: image, 1, 1e-4, cpu) == 0


def test_reach_is_what_pictures_show_where_that_is_farther() -> None:
    bright = torch.rand(1, 3, 64, 256, generator=torch.Generator().manual_seed(0))
    assert bright.amin() >= 0

    def restore(image: Tensor) -> Tensor:
        return box(image) if image.amin() >= 0 else image

    cpu = torch.device("cpu")
    assert measure_reach(restore, 1, 1e-4, cpu) == 0
    assert measure_reach(restore, 1, 1e-4, cpu, [bright]) == 4


def test_what_looks_at_the_whole_picture_has_no_reach() -> None:
    cpu = torch.device("cpu")
    assert measure_reach(lambda x: x - x.mean((-2, -1), keepdim=True), 8, 1e-4, cpu) is None
