from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deblur.media.formats.frame import Frame
from deblur.restoration.restorer import Restorer
from deblur.restoration.scale import Scale, choose_scale, find_detailed_part, pick_scale, shrink
from deblur.restoration.tiled_network import Findings


class Shift(nn.Module):
    """Makes everything darker by 0.2, and remembers the sizes that it saw."""

    seen: list[tuple[int, int]] = []  # of the class: a Restorer runs a copy

    def forward(self, blur: Tensor) -> Tensor:
        self.seen.append((blur.shape[-2], blur.shape[-1]))
        return blur - 0.2


@pytest.mark.parametrize("scale, size", [(2, (51, 61)), (4, (26, 31))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_the_change_of_a_small_image_is_added(
    scale: int, size: tuple[int, int], dtype: torch.dtype
) -> None:
    network = Shift()
    network.seen.clear()
    image = torch.rand(3, 101, 122) * 0.5
    image = image if dtype == torch.float32 else (image * 200 + 50).to(dtype)
    restorer = Restorer(network, device="cpu", precision="float32", guard=False, scale=scale)
    restored = restorer.restore(image)
    assert size in network.seen and (101, 122) not in network.seen
    assert restored.dtype == dtype
    expected = image.float() - (0.2 if dtype == torch.float32 else 25.5)
    assert (restored.float() - expected).abs().max() <= (1e-4 if dtype == torch.float32 else 1)


def test_no_change_leaves_every_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (90, 70, 3), np.uint16)
    restorer = Restorer(nn.Identity(), device="cpu", precision="float32", scale=4)
    assert np.array_equal(restorer.restore(pixels), pixels)


@pytest.mark.parametrize(
    "changes, scale",
    [
        ((0.003, 0.005, 0.018), 1),  # a sharp picture
        ((0.067, 0.058, 0.044), 1),
        ((0.075, 0.083, 0.072), 1),
        ((0.034, 0.093, 0.092), 2),
        ((0.023, 0.066, 0.090), 4),
        ((0.009, 0.016, 0.080), 4),
    ],
)
def test_the_largest_scale_that_changes_enough_is_picked(
    changes: tuple[float, float, float], scale: int
) -> None:
    assert pick_scale(dict(zip((1, 2, 4), changes))) == scale


def test_blur_beyond_the_reach_is_restored_in_a_smaller_image() -> None:
    """By a stand-in that takes waves of up to 32 pixels away, and of longer ones a part."""

    def restore(image: Tensor, low: float, high: float) -> Iterator[tuple[slice, Tensor]]:
        spectrum = torch.fft.rfft2(image)
        rows = torch.fft.fftfreq(image.shape[-2])[:, None]
        waves = (rows**2 + torch.fft.rfftfreq(image.shape[-1]) ** 2).sqrt()
        seen = (32 * waves).clamp(max=1)
        yield slice(None), torch.fft.irfft2(spectrum * (1 - seen), s=image.shape[-2:])

    def wave(length: float) -> Tensor:
        return torch.sin(torch.arange(1024) * (2 * torch.pi / length)).expand(3, 900, 1024)

    chosen = [choose_scale(restore, wave(length), -1, 1) for length in (24, 48, 100)]
    assert chosen == [1, 2, 4]
    assert choose_scale(restore, torch.zeros(3, 900, 1024), -1, 1) == 1
    assert choose_scale(restore, wave(100)[:, :200], -1, 1) == 1


class Full(nn.Module):
    """Runs out of memory once, in the second row of tiles."""

    calls = 0

    def forward(self, blur: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 6:
            raise RuntimeError("out of memory")
        return blur


def test_the_choice_of_a_scale_survives_a_full_memory() -> None:
    restorer = Restorer(nn.Identity(), device="cpu", precision="float32", tile=256, scale="auto")
    restorer.tiles.reach, restorer.tiles.stride, restorer.tiles.network = 8, 8, Full()
    image = torch.rand(3, 900, 900)
    torch.testing.assert_close(restorer.restore(image), image, atol=1e-5, rtol=0)


def test_the_choice_of_a_scale_neither_counts_nor_reports() -> None:
    found = []
    scales: tuple[Scale, ...] = (1, "auto")
    for scale in scales:
        restorer = Restorer(nn.Identity(), device="cpu", precision="float32", scale=scale)
        told: list[int] = []
        restorer.watch = lambda done, count, told=told: told.extend((done, count))
        findings = Findings()
        frame = Frame(np.zeros((300, 700, 3), np.uint8))
        assert len([*restorer.restore_frames([frame], findings)]) == 1
        found.append((told, findings))
    assert found[0] == found[1]


def test_the_part_with_detail_is_found() -> None:
    image = torch.zeros(3, 1600, 1200)
    image[:, 900:1300, 500:1000] = torch.rand(3, 400, 500)
    top, left = find_detailed_part(image)
    assert 700 < top < 1000 and 400 < left < 600
    assert find_detailed_part(torch.rand(3, 300, 260)) == (0, 0)


def test_shrinking_keeps_what_is_flat_and_rounds_sizes_up() -> None:
    shrunk = shrink(torch.full((1, 101, 7), 9, dtype=torch.uint8), 4)
    assert shrunk.shape == (1, 26, 2) and torch.allclose(shrunk, torch.tensor(9.0))


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="scale"):
        Restorer(nn.Identity(), scale=3)  # type: ignore[arg-type]
