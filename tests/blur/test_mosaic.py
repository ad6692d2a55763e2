import pytest
import torch

from deblur.blur.mosaic import demosaic, mosaic


def test_each_pixel_sees_one_colour() -> None:
    light = torch.stack([torch.full((4, 6), level) for level in (0.1, 0.2, 0.3)])
    raw = mosaic(light)
    assert torch.equal(raw[:2, :2], torch.tensor([[0.1, 0.2], [0.2, 0.3]]))


@pytest.mark.parametrize("size", [(8, 8), (9, 13)])
def test_flat_colours_and_ramps_come_back(size: tuple[int, int]) -> None:
    ramp = torch.arange(size[1]).expand(size) / 20
    light = torch.stack([0.2 + ramp, 0.5 + ramp, 0.3 + ramp])
    inner = demosaic(mosaic(light))[:, 3:-3, 3:-3]
    assert torch.allclose(inner, light[:, 3:-3, 3:-3], atol=1e-5)
    flat = torch.tensor([0.2, 0.5, 0.8])[:, None, None].expand(3, *size)
    assert torch.allclose(demosaic(mosaic(flat)), flat, atol=1e-6)


def test_what_was_seen_is_kept() -> None:
    light = torch.rand(3, 10, 12)
    again = demosaic(mosaic(light))
    assert torch.equal(again[0, ::2, ::2], light[0, ::2, ::2])
    assert torch.equal(again[1, ::2, 1::2], light[1, ::2, 1::2])
    assert torch.equal(again[2, 1::2, 1::2], light[2, 1::2, 1::2])
