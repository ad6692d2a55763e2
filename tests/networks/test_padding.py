import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.networks.padding import Doubled, ReflectionPad

PAIRS: dict[str, tuple[nn.Module, nn.Module]] = {
    "by 1": (ReflectionPad(1), nn.ReflectionPad2d(1)),
    "by 3": (ReflectionPad(3), nn.ReflectionPad2d(3)),
    "doubled": (Doubled(), nn.Upsample(scale_factor=2.0)),
}


def both_ways(layer: nn.Module, features: Tensor) -> tuple[Tensor, Tensor]:
    features = features.detach().requires_grad_()
    output = layer(features)
    weights = torch.linspace(0, 1, output.numel()).view_as(output)
    (output * weights).sum().backward()
    assert features.grad is not None
    return output.detach(), features.grad


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_they_are_pytorchs_own(name: str, layout: torch.memory_format) -> None:
    ours, theirs = PAIRS[name]
    features = torch.randn(2, 3, 5, 7, dtype=torch.double).contiguous(memory_format=layout)
    for got, expected in zip(both_ways(ours, features), both_ways(theirs, features)):
        assert torch.allclose(got, expected, rtol=1e-12)
    with torch.no_grad():
        assert torch.equal(ours(features), theirs(features))


@pytest.mark.parametrize("name", PAIRS)
def test_their_gradients_have_gradients(name: str) -> None:
    features = torch.randn(1, 2, 4, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradgradcheck(PAIRS[name][0], features)


@pytest.mark.parametrize("name", PAIRS)
def test_autocast_changes_no_type(name: str) -> None:
    features = torch.randn(1, 2, 4, 5, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        assert PAIRS[name][0](features).dtype == torch.bfloat16
        assert F.pad(features, (1, 1, 1, 1), mode="reflect").dtype == torch.float32
