from pathlib import Path

import pytest
import torch
from torch import Tensor

from deblur.evaluation.loop import FILES, Evaluation, Restored, distinguish, rehearse
from deblur.evaluation.report import Report
from deblur.evaluation.results import BLURRY
from deblur.metrics import choose
from deblur.pair import Pair

CPU = torch.device("cpu")
IMAGES = torch.rand(3, 2, 1, 3, 16, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1
PAIRS = [Pair(images[0], images[1], (f"p{i}",)) for i, images in enumerate(IMAGES)]
SCENES = ["a", "a", "b"]
METHODS = {"darker": lambda blur: blur - 0.1, "identity": lambda blur: blur}


def evaluate(
    protocols: str = "wang-rgb", *, paired: bool = True
) -> tuple[Evaluation, list[Restored]]:
    evaluation = Evaluation(METHODS, choose(protocols) if paired else [], CPU)
    return evaluation, list(evaluation.run(PAIRS, SCENES, paired=paired))


def test_each_picture_has_a_row_for_itself_and_one_for_each_method() -> None:
    _, found = evaluate()
    for restored, scene in zip(found, SCENES):
        assert [r.method for r in restored.results] == [BLURRY, "darker", "identity"]
        assert restored.results[2].scores == restored.results[0].scores
        assert restored.results[1].scores != restored.results[0].scores
        assert torch.equal(restored.images["identity"], restored.pair.blur)
        assert {(r.name, r.scene) for r in restored.results} == {(restored.pair.name[0], scene)}
        assert [r.seconds is None for r in restored.results] == [True, False, False]


def test_methods_see_what_a_protocol_looks_at() -> None:
    _, found = evaluate("deblurgan-legacy-half,li-2024-squash,y,wang-rgb")
    sizes = {(r.protocol, r.size) for restored in found for r in restored.results}
    assert sizes == {
        ("deblurgan-legacy-half", (10, 8)),
        ("li-2024-squash", (256, 256)),
        ("y", (20, 16)),
        ("wang-rgb", (20, 16)),
    }
    assert found[0].images["identity"].shape == (1, 3, 16, 20)


@pytest.mark.parametrize("protocol, size", [("deblurgan-legacy-half", (8, 10)), ("y", (16, 20))])
def test_the_pictures_shown_have_one_size(
    protocol: str, size: tuple[int, int], tmp_path: Path
) -> None:
    _, found = evaluate(protocol)
    report = Report(tmp_path, [protocol], [*METHODS], sheets=1, scenes=SCENES)
    for restored in found:
        images = [restored.pair.blur, restored.pair.sharp, *restored.images.values()]
        assert {image.shape[-2:] for image in images} == {size}
        report.add(restored)
    assert "error" in report.shown[0].pictures


def test_a_method_is_warmed_up_once_for_each_size_and_timed() -> None:
    calls = []

    def method(blur: Tensor) -> Tensor:
        calls.append(blur.shape)
        return blur

    evaluation = Evaluation({"it": method}, choose("wang-rgb"), CPU)
    list(evaluation.run(PAIRS, SCENES, paired=True))
    (timing,) = evaluation.timings.values()
    assert (timing.method, timing.size) == ("it", (20, 16))
    assert len(timing.seconds) == 3 and len(timing.file_to_file) == 3 <= FILES
    assert len(calls) == 1 + 3 + 3
    assert timing.peak_memory is None or timing.peak_memory > 1e7


def test_without_sharp_pictures_there_are_times_only() -> None:
    _, found = evaluate(paired=False)
    for restored in found:
        rows = [(r.method, r.protocol, r.scores) for r in restored.results]
        assert rows == [("darker", None, {}), ("identity", None, {})]
        assert restored.blur_sigma is None


def test_the_poses_reach_the_protocol() -> None:
    evaluation = Evaluation({}, choose("kohler"), CPU)
    sharp = torch.rand(1, 3, 64, 64) * 2 - 1
    pair = Pair(sharp, sharp, ("p",))
    found = list(evaluation.run([pair], ["s"], paired=True, poses=lambda index: [sharp]))
    assert found[0].results[0].scores["psnr"] > 40


def test_what_a_protocol_lacks_is_said_before_hours_are_spent() -> None:
    with pytest.raises(ValueError, match="data=kohler"):
        rehearse(choose("wang-rgb,kohler"), poses=False)
    rehearse(choose("all,kohler"), poses=True)


def test_a_picture_too_small_is_named_before_hours_are_spent() -> None:
    with pytest.raises(ValueError, match="^b: 300x200.*li-2024-crop"):
        sizes = {"a": (300, 300), "b": (300, 200)}
        rehearse(choose("wang-rgb,li-2024-crop"), poses=False, sizes=sizes.items())


@pytest.mark.parametrize(
    "paths, names",
    [
        (["runs/x/last.ckpt"], ["restored"]),
        (["a.ckpt", "b.safetensors"], ["a", "b"]),
        (["runs/x/last.ckpt", "runs/y/last.ckpt"], ["x", "y"]),
        (["r/x/1/last.ckpt", "r/y/1/best.ckpt"], ["x/1/last", "y/1/best"]),
        (["x/a.ckpt", "x/y/a.ckpt"], ["a", "y"]),
        (["a.ckpt", "a.safetensors"], ["a.ckpt", "a.safetensors"]),
        (["/x/a.ckpt", "y/b.ckpt"], ["/x/a", "y/b"]),
        (["/a.ckpt", "/b.ckpt"], ["a", "b"]),
        (["small", "/runs/last.ckpt"], ["small", "/runs/last"]),
    ],
)
def test_checkpoints_are_named_by_what_sets_them_apart(paths: list[str], names: list[str]) -> None:
    assert distinguish(paths) == names


def test_one_checkpoint_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="named twice"):
        distinguish(["a.ckpt", "a.ckpt"])


def test_a_picture_too_small_for_a_protocol_is_named_with_it() -> None:
    with pytest.raises(ValueError, match="^p0: 20x16.*li-2024-crop.*256"):
        evaluate("wang-rgb,li-2024-crop")
