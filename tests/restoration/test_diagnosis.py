"""`deblur look` on pictures of known blur, half of those of benchmarks/looking.py."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from deblur.data.photos import BUILT_IN
from deblur.media.images import list_pictures
from deblur.restoration.diagnosis import Diagnosis, diagnose, diagnose_luma, read_luma, to_luma


@pytest.fixture(scope="module")
def looking() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "looking.py"))


def test_pictures_of_known_blur_are_told_apart(looking: dict[str, Any]) -> None:
    looked = [*looking["look_at_all"](list_pictures(BUILT_IN), share=0.5, most=480)]
    assert len(looked) >= 90
    figures = looking["count"](looked)
    assert figures["sharp called blurred"] <= 0.05
    assert figures["motion found"] >= 0.7  # of 28; EXPERIMENTS.md tells what lacks
    assert figures["defocus called blurred"] >= 0.75
    assert figures["noise found"] == 1
    assert figures["length, median relative error"] <= 0.4
    assert figures["direction, median error in degrees"] <= 12


def test_a_file_is_looked_at_upright(tmp_path: Path) -> None:
    photo = Image.open(BUILT_IN / "petra.webp").convert("RGB")
    photo.save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned = photo.transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "b.jpg", exif=exif, quality=95)
    plain, jpeg = read_luma(tmp_path / "a.png"), read_luma(tmp_path / "b.jpg")
    assert plain.shape == jpeg.shape == (photo.height, photo.width)
    assert np.abs(plain.astype(int) - jpeg).mean() < 4
    assert diagnose(tmp_path / "a.png") == diagnose_luma(plain)


def test_hidden_colours_are_not_looked_at(tmp_path: Path) -> None:
    pixels = np.asarray(Image.open(BUILT_IN / "petra.webp").convert("RGBA")).copy()
    pixels[:, :100, 3] = 0
    lumas = []
    for hidden in (0, 255):
        pixels[:, :100, :3] = hidden
        Image.fromarray(pixels).save(tmp_path / "a.png")
        lumas.append(read_luma(tmp_path / "a.png"))
    assert np.array_equal(*lumas)


@pytest.mark.parametrize("size", [(1, 1), (40, 60), (300, 200)])
def test_nothing_is_said_of_pictures_without_detail(size: tuple[int, int]) -> None:
    flat = diagnose_luma(np.full(size, 128, np.uint8))
    assert flat.kind == "unclear" and flat.length == 0
    assert flat.noise == 0 and flat.sharpness == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("side", [8, 32, 63])
def test_nothing_is_said_of_small_pictures(side: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (side, 200), np.uint8)
    assert diagnose_luma(noise).kind == "unclear"


def test_16_bits_and_grey_become_luma() -> None:
    grey = np.array([[[0], [65535]]], np.uint16)
    assert to_luma(grey).tolist() == [[0, 255]]
    assert to_luma(np.full((1, 1, 3), 200, np.uint8)).tolist() == [[200]]


@pytest.mark.parametrize(
    ("kind", "length", "noise", "helps", "advice"),
    [
        ("motion", 20.0, 1.0, True, "yes"),
        ("motion", 20.0, 9.0, True, "yes"),
        ("motion", 60.0, 1.0, False, "scaled down first"),
        ("defocus", 9.0, 1.0, False, "no"),
        ("sharp", 0.0, 1.0, False, "no"),
        ("unclear", 0.0, 1.0, False, "unknown"),
    ],
)
def test_restoring_helps_where_models_were_trained(
    kind: Any, length: float, noise: float, helps: bool, advice: str
) -> None:
    diagnosis = Diagnosis(kind, 0.9, length, 0.0, noise, 0.5)
    assert (diagnosis.helps, diagnosis.advice) == (helps, advice)
