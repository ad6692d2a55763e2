import pytest
import torch

from deblur.training.optimizers.lars import LARS


def stepped(weight: list[float], *gradients: list[float], **options: float) -> list[float]:
    value = torch.tensor(weight, requires_grad=True)
    optimizer = LARS([value], lr=0.1, **options)
    for gradient in gradients:
        value.grad = torch.tensor(gradient)
        optimizer.step()
    return value.tolist()


@pytest.mark.parametrize("loss_scale", [1e-6, 1.0, 1e6])
def test_a_step_is_a_share_of_the_weights_whatever_the_gradients_size(loss_scale: float) -> None:
    # Root mean squares: 5 / sqrt(2) of the weights, so the step is 0.1 * (3, 4) turned to (4, 3).
    moved = stepped([3.0, 4.0], [4 * loss_scale, 3 * loss_scale])
    assert moved == pytest.approx([3 - 0.4, 4 - 0.3])


def test_weights_at_zero_move_by_the_floor() -> None:
    assert stepped([0.0, 0.0], [1.0, -1.0], floor=0.01) == pytest.approx([-0.001, 0.001])


def test_momentum_averages_the_steps() -> None:
    once = stepped([10.0], [2.0], momentum=0.9)
    assert once == pytest.approx([10 - 0.1 * 0.1 * 10])


def test_a_gradient_of_zero_moves_nothing() -> None:
    assert stepped([3.0, 4.0], [0.0, 0.0]) == [3.0, 4.0]


def test_its_state_comes_back() -> None:
    weight = torch.ones(2, requires_grad=True)
    first = LARS([weight], lr=0.1, momentum=0.9)
    weight.grad = torch.tensor([1.0, 2.0])
    first.step()
    second = LARS([weight], lr=0.1, momentum=0.9)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.state[weight]["average"], first.state[weight]["average"])


@pytest.mark.parametrize("bad", [{"lr": 0.0}, {"momentum": 1.0}, {"floor": 0.0}])
def test_bad_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        LARS([torch.ones(1)], **{"lr": 0.1, **bad})  # type: ignore[arg-type]
