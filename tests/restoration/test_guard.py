import pytest
import torch
from torch import Tensor

from deblur.restoration.guard import CELL, find_harm, put_back


@pytest.fixture
def blur() -> Tensor:
    """Give a soft picture in the middle of the range, two cells high and three wide."""
    waves = torch.linspace(0, 20, 3 * CELL).sin() * 0.3
    return waves.expand(1, 3, 2 * CELL, 3 * CELL).contiguous()


@pytest.mark.parametrize("fault", ["nan", "inf", "white", "ringing", "colour"])
def test_a_cell_that_blew_up_is_found(blur: Tensor, fault: str) -> None:
    restored = blur.clone()
    cell = restored[:, :, :CELL, CELL : 2 * CELL]
    if fault == "nan":
        cell[0, 0, 3, 3] = float("nan")
    elif fault == "inf":
        cell[0, 2, 3, 3] = float("-inf")
    elif fault == "white":
        cell[:, :, :32] = 1.0
    elif fault == "ringing":
        cell[:, :, :, ::2], cell[:, :, :, 1::2] = 1.0, -1.0
    else:
        cell[:, 1] = 1.0
    harm = find_harm(blur, restored)
    assert harm[0, 0].tolist() == [[0, 1, 0], [0, 0, 0]]
    mended = put_back(blur, restored, harm)
    assert torch.equal(mended[..., :CELL, CELL : 2 * CELL], blur[..., :CELL, CELL : 2 * CELL])
    assert mended.isfinite().all()


def test_sharp_edges_are_no_harm(blur: Tensor) -> None:
    edges = blur.sign() * 0.3
    assert not find_harm(blur, edges).any()
    assert put_back(blur, edges, find_harm(blur, edges)) is edges


@pytest.mark.parametrize("size", [(1, 1), (5, 200), (65, 64), (130, 70)])
def test_pictures_of_any_size_are_judged(size: tuple[int, int]) -> None:
    blur = torch.zeros(1, 3, *size)
    broken = torch.full_like(blur, float("nan"))
    assert torch.equal(put_back(blur, broken, find_harm(blur, broken)), blur)
    assert not find_harm(blur, blur).any()


def test_what_is_put_back_fades_into_what_was_restored(blur: Tensor) -> None:
    restored = blur + 0.1
    restored[..., :CELL, :CELL] = 1.0
    mended = put_back(blur, restored, find_harm(blur, restored))
    shares = ((mended - blur) / 0.1)[0, 0, 10]
    assert shares[:CELL].abs().max() < 1e-5 and shares[-1] > 0.99
    assert (shares.diff() > -1e-5).all() and shares.diff().max() < 0.05
