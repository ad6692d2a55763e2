import pytest
import torch
from torch.utils.data import default_collate

from deblur.pair import Pair, decode, encode, quantize

EVERY_VALUE = torch.arange(256, dtype=torch.uint8)


def test_decode_undoes_encode_for_every_pixel_value() -> None:
    assert torch.equal(decode(encode(EVERY_VALUE)), EVERY_VALUE)


def test_the_range_is_minus_one_to_one() -> None:
    assert encode(EVERY_VALUE)[[0, 255]].tolist() == [-1.0, 1.0]


def test_decode_rounds_and_clamps() -> None:
    half_way = encode(torch.tensor([7], dtype=torch.uint8)) + 0.6 / 127.5
    assert decode(torch.cat([half_way, torch.tensor([-3.0, 3.0])])).tolist() == [8, 0, 255]


def test_quantize_moves_a_value_by_half_a_step_at_most() -> None:
    image = torch.rand(1000) * 2 - 1
    assert (quantize(image) - image).abs().max() <= 0.5 / 127.5 + 1e-6


def test_encode_refuses_floats() -> None:
    with pytest.raises(ValueError, match="float32"):
        encode(torch.zeros(3))


def test_pairs_collate_to_a_pair() -> None:
    pair = Pair(torch.zeros(3, 4, 4), torch.ones(3, 4, 4), "a")
    batch = default_collate([pair, pair])
    assert isinstance(batch, Pair)
    assert batch.sharp.shape == (2, 3, 4, 4)
    assert list(batch.name) == ["a", "a"]
