import pytest
import torch

from deblur.restoration.flat_regions import find_detail, keep_flat


def shares(image: torch.Tensor, low: float = -1, high: float = 1) -> torch.Tensor:
    """Find how much of a change is kept at each pixel."""
    ones = torch.ones(image.shape[-2:])[None]
    detail = find_detail(image, low, high)
    assert detail is not None
    return keep_flat(torch.zeros_like(ones), ones, detail, slice(0, ones.shape[1]))[0]


@pytest.mark.parametrize("place", [40, 44, 47])
def test_change_fades_away_from_detail(place: int) -> None:
    image = torch.zeros(3, 90, 101)
    image[1, :, place:] = 0.3
    (row,) = shares(image).unique(dim=0)
    assert (row[place - 4 : place + 4] == 1).all()
    assert (row[: place - 36] == 0).all() and (row[place + 36 :] == 0).all()
    assert row.diff().abs().max() < 0.06


@pytest.mark.parametrize("length", [5, 31, 61])
def test_a_blurred_edge_is_no_flat_part(length: int) -> None:
    ramp = torch.linspace(-0.2, 0.2, length)
    row = torch.cat([ramp[:1].expand(80), ramp, ramp[-1:].expand(80)])
    kept = shares(row.expand(3, 40, -1))[0]
    assert kept[82 : 78 + length].min() > 0.99 and kept[78 : 82 + length].min() > 0.9
    assert kept[0] == kept[-1] == 0


def test_the_range_of_values_does_not_matter() -> None:
    image = torch.rand(3, 40, 50).mul(0.03).round(decimals=2)
    for low, high in ((0.0, 255.0), (0.0, 65535.0)):
        scaled = (image + 1) * (high - low) / 2 + low
        torch.testing.assert_close(shares(scaled, low, high), shares(image), atol=1e-3, rtol=0)
    assert 0 < shares(image).mean() < 1


def test_bands_agree_with_the_whole() -> None:
    image = torch.zeros(3, 1100, 30)
    image[:, 507:530] = torch.rand(3, 23, 30)
    detail = find_detail(image, -1, 1)
    assert detail is not None and detail.shape == (138, 30)
    blur, restored = image, image + 1
    whole = keep_flat(blur, restored, detail, slice(0, 1100))
    for rows in (slice(0, 510), slice(510, 516), slice(516, 1100)):
        band = keep_flat(blur[:, rows], restored[:, rows], detail, rows)
        torch.testing.assert_close(band, whole[:, rows])


def test_nan_counts_as_detail_and_does_not_spread() -> None:
    image = torch.zeros(3, 90, 101)
    image[1, 40, 40] = torch.nan
    kept = shares(image)
    assert kept[40, 40] == 1 and kept[0, 0] == 0 and kept.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (40, 3), (519, 9), (64, 64)])
def test_every_kind_and_size_is_searched(dtype: torch.dtype, size: tuple[int, int]) -> None:
    flat = torch.full((*size, 3), 100, dtype=dtype).permute(2, 0, 1)
    detail = find_detail(flat, 0, 255)
    assert detail is not None and detail.shape == (-(-size[0] // 8), size[1])
    assert (detail == 0).all()
    if min(size) > 1:
        lively = torch.rand(*size, 3).mul(255).to(dtype).permute(2, 0, 1)
        assert find_detail(lively, 0, 255) is None
