import torch
from torch import Tensor

from deblur.evaluation import BLURRY, evaluate
from deblur.pair import Pair

CPU = torch.device("cpu")
IMAGES = torch.rand(3, 2, 1, 3, 16, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1
PAIRS = [Pair(images[0], images[1], (f"p{i}",)) for i, images in enumerate(IMAGES)]


def test_each_picture_has_a_row_for_itself_and_one_for_each_method() -> None:
    methods = {"darker": lambda blur: blur - 0.1, "identity": lambda blur: blur}
    for pair, images, results in evaluate(methods, PAIRS, CPU, paired=True):
        assert [result.method for result in results] == [BLURRY, "darker", "identity"]
        assert results[2].scores == results[0].scores
        assert results[1].scores != results[0].scores
        assert torch.equal(images["identity"], pair.blur)
        assert {result.name for result in results} == {pair.name[0]}


def test_a_method_is_warmed_up_once_for_each_size() -> None:
    calls = []

    def method(blur: Tensor) -> Tensor:
        calls.append(blur.shape)
        return blur

    list(evaluate({"it": method}, PAIRS, CPU, paired=True))
    assert len(calls) == 4


def test_without_sharp_pictures_there_are_times_only() -> None:
    for _, _, results in evaluate({"it": lambda blur: blur}, PAIRS, CPU, paired=False):
        assert [(result.method, result.scores) for result in results] == [("it", {})]
        assert results[0].seconds >= 0
