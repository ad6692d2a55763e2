from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from deblur.networks import FPN, MultiScale, NAFNet, ResNet, ResUNet, UNet
from deblur.networks.recompute import recompute

NETWORKS = {
    "li": (ResNet(blocks=2, width=8), 2),
    "unet": (UNet(width=8, levels=2, norm="batch", zero_last=False), 5),
    "deepdeblur": (MultiScale(blocks=2, width=8, zero_last=False), 6),
    "resunet": (ResUNet(width=8, encoder=(1,), middle=2, decoder=(1,), zero_last=False), 4),
    "nafnet": (NAFNet(width=8, encoder=(1, 1), decoder=(1, 1), zero_last=False), 5),
    "mobilenet": (FPN(zero_last=False, statistics="running"), 19),
}
"""With their numbers of blocks."""


def train(network: nn.Module, blur: Tensor) -> tuple[Tensor, int]:
    """Take two steps; give the last output, and the bytes that its step kept for the way back."""
    kept: dict[int, int] = {}  # by address: each is in use until the way back

    def keep(value: Tensor) -> Tensor:
        kept[value.data_ptr()] = value.numel() * value.element_size()
        return value

    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for step in range(2):
        torch.manual_seed(step)
        optimizer.zero_grad()
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            output = network(blur)
        output.square().mean().backward()
        optimizer.step()
    return output.detach(), sum(kept.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_but_memory_changes(name: str) -> None:
    network, count = NETWORKS[name]
    network.train()
    other = deepcopy(network)
    assert recompute(other) == count
    assert other.state_dict().keys() == network.state_dict().keys()
    blur = torch.rand(2, 3, 64, 64) * 2 - 1
    (expected, more), (output, less) = train(network, blur), train(other, blur)
    assert torch.equal(output, expected)
    for key, value in network.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key
    assert less < 0.8 * more


def test_copies_compute_by_their_own_weights() -> None:
    network = ResNet(blocks=1, width=8, dropout=0.0)
    recompute(network)
    copy = deepcopy(network)
    blur = torch.rand(1, 3, 32, 32)
    for value in copy.parameters():
        nn.init.normal_(value)
    assert not torch.allclose(copy(blur), network(blur))
    copy.load_state_dict(network.state_dict())
    assert torch.equal(copy.eval()(blur), network.eval()(blur))
