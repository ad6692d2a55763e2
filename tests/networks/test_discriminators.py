import pytest
import torch
from torch import nn

from deblur.networks import DenseDiscriminator


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
