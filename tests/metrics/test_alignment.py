"""The protocols that bring a picture onto its truth before they compare."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from deblur.data.photos import BUILT_IN
from deblur.extras import install_command
from deblur.metrics import PROTOCOLS, Comparison
from deblur.metrics.alignment import match_gain, shift
from deblur.pair import encode

with Image.open(sorted(BUILT_IN.glob("*.jpg"))[0]) as picture:
    pixels = np.asarray(picture.convert("RGB").resize((260, 200), Image.Resampling.LANCZOS))
SHARP = encode(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])


def score(name: str, restored: Tensor, poses: list[Tensor] | None = None) -> dict[str, float]:
    figures = PROTOCOLS[name].score(Comparison(restored, SHARP, poses))
    return {key: float(value[0]) for key, value in figures.items()}


def darker(image: Tensor) -> Tensor:
    return (image + 1) * 0.8 - 1


def test_gain_undoes_a_factor() -> None:
    assert torch.allclose(match_gain(SHARP + 1, 3 * (SHARP + 1)), 3 * (SHARP + 1))
    assert match_gain(0 * SHARP, SHARP).abs().sum() == 0


def test_shift_moves_down_and_right() -> None:
    moved = shift(SHARP, 3, 5)
    assert torch.allclose(moved[..., 3:, 5:], SHARP[..., :-3, :-5], atol=1e-4)
    back = shift(shift(SHARP, 0.5, -0.25), -0.5, 0.25)
    assert (back - SHARP)[..., 5:-5, 5:-5].abs().mean() < 0.02


def test_realblur_forgives_a_shift_and_a_gain() -> None:
    moved = darker(shift(SHARP, 2.0, -3.0))
    found, plain = score("realblur", moved), score("wang-rgb", moved)
    assert plain["psnr"] < 20 and found["psnr"] > 30
    assert plain["ssim"] < 0.6 and found["ssim"] > 0.97
    assert found["unaligned"] == 0


def test_realblur_counts_and_shows_a_failed_alignment() -> None:
    flat = torch.full_like(SHARP, 0.1)
    found = score("realblur", flat)
    assert found["unaligned"] == 1
    level = match_gain((flat + 1) / 2, (SHARP + 1) / 2)
    expected = -10 * (level - (SHARP + 1) / 2).square().mean().log10()
    assert found["psnr"] == pytest.approx(float(expected), abs=0.05)


def test_realblur_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(ImportError, match=re.escape(install_command("align"))):
        score("realblur", SHARP)


def test_kohler_takes_the_best_of_all_poses() -> None:
    poses = [shift(SHARP, 0, 4), shift(SHARP, -1.5, 2.25), SHARP.flip(3)]
    restored = darker(shift(SHARP, -1.5, 2.25) + 0.02 * torch.randn(SHARP.shape))
    alone = [score("kohler", restored, [pose]) for pose in poses]
    found = score("kohler", restored, poses)
    assert found["psnr"] == max(one["psnr"] for one in alone) > 30
    assert found["ssim"] == max(one["ssim"] for one in alone) > 0.9
    assert alone[2]["psnr"] < 20


def test_kohler_wants_the_ground_truths() -> None:
    with pytest.raises(ValueError, match="data=kohler"):
        score("kohler", SHARP)


@pytest.mark.parametrize("name", ["realblur", "kohler"])
def test_an_image_that_is_not_finite_has_no_score(name: str) -> None:
    found = score(name, SHARP * torch.nan, [SHARP])
    assert np.isnan(found["psnr"]) and np.isnan(found["ssim"])
