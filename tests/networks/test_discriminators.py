import pytest
import torch
from torch import nn

from deblur.networks import DenseDiscriminator, DoubleDiscriminator, PatchDiscriminator


def test_the_papers_counts() -> None:
    network = DenseDiscriminator()
    statistics = [b for b in network.buffers() if b.is_floating_point()]
    assert sum(isinstance(m, nn.Conv2d) for m in network.modules()) == 6
    assert sum(p.numel() for p in network.parameters()) == 3_096_450
    assert sum(b.numel() for b in statistics) == 1_920


@pytest.mark.parametrize("crop", [16, 48, 64])
def test_it_is_built_for_the_crop_in_use(crop: int) -> None:
    logits = DenseDiscriminator(crop=crop, width=4)(torch.rand(2, 3, crop, crop))
    assert [tuple(each.shape) for each in logits] == [(2, 1)]


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="built for 32x32"):
        DenseDiscriminator(crop=32, width=4)(torch.rand(1, 3, 48, 48))
    with pytest.raises(ValueError, match="multiple of 16, got 40"):
        DenseDiscriminator(crop=40)


@pytest.mark.parametrize("layers, count", [(3, 2_764_737), (5, 11_154_369)])
def test_the_counts_of_patches(layers: int, count: int) -> None:
    assert sum(p.numel() for p in PatchDiscriminator(layers=layers).parameters()) == count


def test_the_count_of_the_double_one() -> None:
    network = DoubleDiscriminator()
    assert sum(p.numel() for p in network.parameters()) == 13_919_106
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert all(0.015 < float(weight.detach().std()) < 0.025 for weight in weights)


@pytest.mark.parametrize("layers, field, side", [(3, 70, 35), (5, 286, 11)])
def test_a_logit_sees_so_many_pixels(layers: int, field: int, side: int) -> None:
    network = PatchDiscriminator(layers=layers, width=2, norm="none")
    image = torch.rand(1, 3, 420, 420, requires_grad=True)
    (logits,) = network(image)
    middle = logits.shape[-1] // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], image)
    assert int((gradient.abs().sum((0, 1, 2)) > 0).sum()) == field
    (map_,) = network(torch.rand(1, 3, 256, 256))
    assert map_.shape == (1, 1, side, side)


def test_any_size_is_judged() -> None:
    for height, width in ((64, 64), (33, 47)):
        maps = DoubleDiscriminator(width=2)(torch.rand(2, 3, height, width))
        assert [len(each.shape) for each in maps] == [4, 4]


def test_bad_arguments_of_patches_are_refused() -> None:
    with pytest.raises(ValueError, match="layers"):
        PatchDiscriminator(layers=0)
    with pytest.raises(ValueError, match="norm"):
        PatchDiscriminator(norm="batch")  # type: ignore[arg-type]
