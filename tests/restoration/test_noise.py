"""How noisy a picture is, and the model that is chosen by it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_samples import save_model
from numpy.typing import NDArray
from PIL import Image

from deblur.checkpoints.shipped import find_model, find_models
from deblur.media.photo import Frame
from deblur.restoration.noise import NOISY, is_noisy, measure_noise
from deblur.restoration.restorer import Restorer
from deblur.restoration.tiled_network import Findings

PLAIN: dict[str, Any] = {"device": "cpu", "precision": "float32", "guard": False}


def make_picture(deviation: float) -> NDArray[np.uint8]:
    """Return a picture, (128, 128, 3), half of which is texture, with noise of its luma."""
    rng = np.random.default_rng(1)
    scene = np.full((128, 128, 1), 120.0)
    scene[:, 64:] += 60 * (rng.random((128, 64, 1)) > 0.5)
    noisy = scene + rng.normal(0, deviation, (128, 128, 1))
    return noisy.round().clip(0, 255).astype(np.uint8).repeat(3, 2)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return the file of a network that changes a picture."""
    return save_model(tmp_path / "other.safetensors")


@pytest.mark.parametrize("deviation", [0.0, 3.0, 6.0, 12.0])
def test_noise_is_measured_beside_detail(deviation: float) -> None:
    luma = make_picture(deviation)[..., 0]
    assert measure_noise(luma) == pytest.approx(deviation, rel=0.15, abs=0.1)


def test_what_is_too_small_or_clipped_has_no_noise() -> None:
    assert measure_noise(np.zeros((20, 20), np.uint8)) == 0
    assert measure_noise(np.full((64, 64), 255, np.uint8)) == 0


def test_a_large_picture_is_judged_by_rows_spread_over_it() -> None:
    large = np.tile(make_picture(6.0)[..., 0], (12, 12))
    assert measure_noise(large) == pytest.approx(6, rel=0.15)
    large[:700] = 120
    assert measure_noise(large) == 0  # the quietest parts count


@pytest.mark.parametrize("deviation, expected", [(NOISY / 2, False), (NOISY * 2, True)])
def test_images_of_any_kind_are_noisy_alike(deviation: float, expected: bool) -> None:
    levels = torch.from_numpy(make_picture(deviation)).permute(2, 0, 1)
    deep = torch.from_numpy(levels.numpy().astype(np.uint16) * 257)
    for image, low, high in (
        (levels, 0.0, 255.0),
        (levels[:1], 0.0, 255.0),
        (deep, 0.0, 65535.0),
        (levels.half() / 255, 0.0, 1.0),
        (levels.double() / 127.5 - 1, -1.0, 1.0),
    ):
        assert is_noisy(image, low, high) is expected
    assert not is_noisy(levels[:, :20], 0.0, 255.0)
    assert not is_noisy(torch.full((3, 64, 64), torch.nan), 0.0, 1.0)


def test_noisy_pictures_are_restored_by_another_model(other: Path, tmp_path: Path) -> None:
    quiet, noisy = make_picture(0.5), make_picture(8.0)
    both = Restorer(torch.nn.Identity(), noisy=other, **PLAIN)
    alone = Restorer.load(other, **PLAIN)
    assert np.array_equal(both.restore(quiet), quiet)
    batch = both.restore(np.stack([quiet, noisy]))  # each by its own noise
    assert np.array_equal(batch, np.stack([quiet, alone.restore(noisy)]))
    Image.fromarray(noisy).save(tmp_path / "noisy.png")
    notes = both.restore_file(tmp_path / "noisy.png", tmp_path / "restored.png")
    assert notes == ["noisy: restored by other"]
    with Image.open(tmp_path / "restored.png") as restored:
        assert np.array_equal(np.asarray(restored), batch[1])
    assert len(both.networks) == 2 and len(alone.networks) == 1


def test_the_model_for_noisy_pictures_is_loaded_when_one_comes() -> None:
    both = Restorer(torch.nn.Identity(), noisy="none.safetensors", **PLAIN)
    both.restore(make_picture(0.5))
    with pytest.raises(FileNotFoundError, match="none.safetensors"):
        both.restore(make_picture(8.0))


def test_the_frames_of_a_photo_are_restored_as_the_first_one(other: Path) -> None:
    both = Restorer(torch.nn.Identity(), noisy=other, **PLAIN)
    frames = [Frame(make_picture(deviation)) for deviation in (0.5, 8.0)]
    findings = Findings()
    for frame, after in zip(frames, both.restore_frames(frames, findings)):
        assert np.array_equal(after.pixels, frame.pixels)
    assert findings.notes == []


def test_auto_is_maxim_with_fast_for_noisy_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_models("auto") == (find_model("maxim"), find_model("fast"))
    assert find_models("gan") == (find_model("gan"), None)
    restorer = Restorer.load("auto", **PLAIN)
    for name, deviation in (("maxim", 0.5), ("fast", 8.0)):
        picture = make_picture(deviation)
        expected = Restorer.load(name, **PLAIN).restore(picture)
        assert np.array_equal(restorer.restore(picture), expected)
    monkeypatch.chdir(tmp_path)
    Path("auto").touch()
    assert find_models("auto") == (Path("auto"), None)  # the user's own
