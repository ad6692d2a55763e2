from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import fill
from maxim_pictures import texture
from torch import nn

from deblur.networks.coarse_to_fine import CoarseToFine

SMALL: dict[str, Any] = {
    "coarse_width": 8,
    "groups": 1,
    "bottlenecks": 1,
    "width": 4,
    "encoder": (1,),
    "middle": 1,
    "decoder": (1,),
}


def test_the_count_of_its_docstring() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in CoarseToFine().parameters()) == 13_727_221


def test_it_starts_as_the_identity() -> None:
    blur = torch.rand(1, 3, 33, 40) * 2 - 1
    assert torch.allclose(CoarseToFine(**SMALL)(blur), blur, atol=1e-6)


@pytest.mark.parametrize("shrink", [2, 4])
@pytest.mark.parametrize("size", [(1, 1), (7, 150)])
def test_any_size_goes_in_and_comes_out(shrink: int, size: tuple[int, int]) -> None:
    network = fill(CoarseToFine(**SMALL, shrink=shrink))
    blur = torch.rand(2, 3, *size) * 2 - 1
    with torch.no_grad():
        restored = network(blur)
    assert restored.shape == blur.shape
    assert restored.abs().max() <= 1
    assert (restored - blur).abs().mean() > 0.02


def test_it_is_the_computation_of_its_docstring() -> None:
    network = fill(CoarseToFine(**SMALL))
    blur = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        half = F.interpolate(blur, scale_factor=0.5, mode="area")
        change = F.interpolate(network.coarse(half) - half, size=(128, 128), mode="bicubic")
        guide = network.guide(F.pixel_unshuffle(blur, 2))
        expected = network.fine((blur + change).clamp(-1, 1), guide)
        assert torch.allclose(network(blur), expected, atol=1e-5)
        # The blurred image itself counts, too, not only its sum with the change.
        assert not torch.allclose(expected, network.fine((blur + change).clamp(-1, 1)), atol=1e-3)


def test_a_pyramid_has_the_sizes_of_its_docstring() -> None:
    network = fill(CoarseToFine(**SMALL))
    blur = torch.rand(1, 3, 70, 93) * 2 - 1
    with torch.no_grad():
        images = network.pyramid(blur)
        assert torch.equal(images[-1], network(blur))
    assert [tuple(image.shape[-2:]) for image in images] == [(9, 12), (18, 24), (35, 47), (70, 93)]


def test_gradients_reach_every_parameter() -> None:
    network = CoarseToFine(**SMALL, zero_last=False)
    fill(network.fine)
    fill(network.guide)
    for name, value in network.named_parameters():
        if name.endswith("squeeze.bias"):
            nn.init.ones_(value)  # of the few units at this width, none may be off
    images = network.pyramid(texture())
    torch.stack([image.square().mean() for image in images]).sum().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_a_frozen_backbone_is_not_trained() -> None:
    network = fill(CoarseToFine(**SMALL))
    network.freeze_backbone(True)
    network(torch.rand(1, 3, 32, 32) - 0.5).square().mean().backward()
    trained = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert trained == {"fine", "guide"}
    network.freeze_backbone(False)
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize(
    "bad", [{"shrink": 1}, {"shrink": 3}, {"shrink": 16}, {"groups": 0}, {"middle": -1}]
)
def test_sizes_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=f"{[*bad][0]} must be"):
        CoarseToFine(**{**SMALL, **bad})
