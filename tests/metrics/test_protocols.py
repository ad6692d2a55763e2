"""What all protocols have in common."""

import pytest
import torch
from pictures import image

from deblur.metrics import FIGURES, PROTOCOLS, Comparison, Protocol, check_size, choose
from deblur.metrics.metric import ProtocolMetric
from deblur.metrics.protocol import GROUPS

PLAIN = [protocol for protocol in PROTOCOLS.values() if not protocol.extra]
SHARP = torch.cat([image(270, 300), image(270, 300, shift=1)])
BLUR = torch.cat([image(270, 300, soft=0.5), image(270, 300, shift=1.3, soft=0.9)])


@pytest.mark.parametrize("protocol", PLAIN, ids=lambda protocol: protocol.name)
def test_identical_pictures_are_perfect(protocol: Protocol) -> None:
    view = protocol.view(SHARP)
    scores = protocol.score(Comparison(view, view))
    assert set(scores) == set(protocol.figures) <= set(FIGURES)
    for name, values in scores.items():
        expected = torch.inf if name.startswith("psnr") else 1.0
        assert torch.allclose(values, torch.full((2,), expected, dtype=values.dtype)), name


@pytest.mark.parametrize("protocol", PLAIN, ids=lambda protocol: protocol.name)
def test_a_batch_scores_as_its_images_do_one_by_one(protocol: Protocol) -> None:
    blur, sharp = protocol.view(BLUR), protocol.view(SHARP)
    together = protocol.score(Comparison(blur, sharp))
    for index in range(2):
        single = slice(index, index + 1)
        alone = protocol.score(Comparison(blur[single], sharp[single]))
        for name in alone:
            assert alone[name][0] == pytest.approx(float(together[name][index]), abs=1e-12)
            assert alone[name][0] < (1 if "ssim" in name else 40)


@pytest.mark.parametrize("protocol", PLAIN, ids=lambda protocol: protocol.name)
def test_an_image_that_is_not_finite_has_no_score_and_spoils_no_other(protocol: Protocol) -> None:
    broken = protocol.view(BLUR).clone()
    broken[0, 1, 5, 5] = torch.nan
    scores = protocol.score(Comparison(broken, protocol.view(SHARP)))
    for values in scores.values():
        assert values.isnan().tolist() == [True, False]


@pytest.mark.parametrize("protocol", PLAIN, ids=lambda protocol: protocol.name)
def test_constant_pictures_have_a_score(protocol: Protocol) -> None:
    grey, black = (torch.full((1, 3, 256, 256), level) for level in (0.0, -1.0))
    for name, values in protocol.score(Comparison(grey, black)).items():
        if name == "psnr_overflowed":
            continue  # 128 levels apart look equal to it
        assert 0 <= values[0] <= (1 if "ssim" in name else 40)


def test_autocast_changes_nothing() -> None:
    plain = {protocol.name: protocol.score(Comparison(BLUR, SHARP)) for protocol in PLAIN}
    with torch.autocast("cpu", torch.bfloat16):
        for protocol in PLAIN:
            scores = protocol.score(Comparison(BLUR, SHARP))
            assert all(torch.equal(scores[name], plain[protocol.name][name]) for name in scores)


def test_every_protocol_says_what_it_is() -> None:
    for protocol in PROTOCOLS.values():
        about = protocol.score.__doc__ or ""
        assert "Source: " in about and ("Used " in about or "ours" in about), protocol.name
        for figure in protocol.figures:
            assert figure in about, (protocol.name, figure)
        assert "[0, " in about or "from 0" in about or protocol.name == "st-lpips", protocol.name


def test_names_are_looked_up() -> None:
    assert [p.name for p in choose("wang-rgb, y,wang-rgb")] == ["wang-rgb", "y"]
    assert [p.name for p in choose(["li-2024"])] == ["li-2024-squash", "li-2024-crop"]
    assert [p.name for p in choose("all")] == GROUPS["all"] == [p.name for p in PLAIN]
    with pytest.raises(ValueError, match="'ssim'.*wang-rgb"):
        choose("ssim")
    with pytest.raises(ValueError, match="no protocol is chosen"):
        choose([])


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        Comparison(SHARP[..., :20], SHARP)
    with pytest.raises(ValueError, match="11 pixels or more"):
        PROTOCOLS["wang-rgb"].score(Comparison(SHARP[..., :10], SHARP[..., :10]))
    with pytest.raises(ValueError, match="200x270"):
        PROTOCOLS["li-2024-crop"].view(SHARP[..., :200])


def test_the_metric_is_the_mean_of_per_image_values_with_the_pooled_psnr_beside() -> None:
    metric = ProtocolMetric("wang-rgb")
    metric.update(BLUR[:1], SHARP[:1])
    metric.update(BLUR[1:, :, :100], SHARP[1:, :, :100])
    pairs = [Comparison(BLUR[:1], SHARP[:1]), Comparison(BLUR[1:, :, :100], SHARP[1:, :, :100])]
    scores = [PROTOCOLS["wang-rgb"].score(pair) for pair in pairs]
    found = metric.compute()
    for name in ("psnr", "ssim"):
        expected = sum(float(score[name][0]) for score in scores) / 2
        assert float(found[name]) == pytest.approx(expected, rel=1e-6)
    errors = [((p.seen - p.truth) ** 2).flatten() for p in pairs]
    pooled = -10 * torch.cat(errors).mean().log10()
    assert float(found["psnr_pooled"]) == pytest.approx(float(pooled), rel=1e-6)
    assert found["psnr_pooled"] < found["psnr"]


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_a_metric_without_images_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no image"):
        ProtocolMetric().compute()


SCORED = [name for name in PROTOCOLS if name not in ("lpips", "dists", "legibility")]
"""Those that want nothing that a test has not."""


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("more", [(0, 0), (0, 7), (6, 0)])
def test_pictures_of_the_least_size_have_a_score(name: str, more: tuple[int, int]) -> None:
    (protocol,) = choose(name)
    height, width = (protocol.least + spare for spare in more)
    check_size([protocol], (width, height), "it")
    blur, sharp = (protocol.view(image(height, width, soft=soft)) for soft in (0.5, 1.0))
    scores = protocol.score(Comparison(blur, sharp, [sharp]))
    assert {*scores} == {*protocol.figures}


def test_smaller_pictures_are_refused_with_the_protocols_names() -> None:
    protocols = choose("wang-rgb,li-2024-crop,deblurgan-legacy")
    with pytest.raises(ValueError, match="a.png"):
        check_size(protocols, (9, 300), "a.png")
