import pytest
import torch
from torch import Tensor, nn

from deblur.training.gradients import find_norm, is_finite


def weight(*values: float) -> nn.Parameter:
    parameter = nn.Parameter(torch.zeros(len(values)))
    parameter.grad = torch.tensor(values)
    return parameter


@pytest.mark.parametrize(
    "loss, gradients, expected",
    [
        (1.0, [weight(1.0, -2.0), weight(3.0)], True),
        (1.0, [], True),
        (1.0, [nn.Parameter(torch.zeros(1))], True),
        (float("nan"), [weight(1.0)], False),
        (float("inf"), [], False),
        (1.0, [weight(1.0), weight(2.0, float("nan"))], False),
        (1.0, [weight(float("-inf"))], False),
    ],
)
def test_a_loss_and_its_gradient_must_be_finite(
    loss: float, gradients: list[nn.Parameter], expected: bool
) -> None:
    assert is_finite(torch.tensor(loss, requires_grad=True), gradients) == expected


def test_the_norm_is_over_what_learns() -> None:
    network = nn.Linear(2, 1)
    network.bias.requires_grad_(False)

    def loss() -> Tensor:
        return network(torch.tensor([[3.0, 4.0]])).sum()

    value = loss()
    assert find_norm(value, network).item() == pytest.approx(5.0)
    value.backward()  # the graph is still there
    assert network.weight.grad is not None
