from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import deblur
from deblur.data.frames import CURVES, average, flow, motion, to_planes
from deblur.media.images import Pixels, read

PHOTOS = Path(deblur.__file__).parent / "assets" / "photos"
SHIFTS = [(0.0, 0.0), (0.5, 0.3), (1.25, 7.6), (-9.7, 12.4), (16.0, 0.0), (-11.3, -11.3)]


def shifted(photo: str, x: float, y: float, top: int = 120, left: int = 120) -> Pixels:
    """Cut 320x240 out of a photo moved by x and y, to parts of a pixel by its spectrum."""
    region = read(PHOTOS / photo)[top - 40 : top + 280, left - 40 : left + 360].astype(float)
    rows, columns = (np.fft.fftfreq(length) for length in region.shape[:2])
    turns: NDArray[np.complex128] = np.exp(-2j * np.pi * (x * columns + y * rows[:, None]))
    moved = np.fft.ifft2(np.fft.fft2(region, axes=(0, 1)) * turns[..., None], axes=(0, 1)).real
    return moved[40:-40, 40:-40].round().clip(0, 255).astype(np.uint8)


def test_pixels_are_averaged_as_they_are() -> None:
    frames = [np.full((1, 2, 3), value, np.uint8) for value in (10, 11, 13)]
    assert np.unique(average(frames, "none")).tolist() == [11]  # 11.33
    frames[0][:] = 12
    assert np.unique(average(frames, "none")).tolist() == [12]


def test_gamma_averages_the_power_of_2_2() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (7, 5, 4, 3), np.uint8)
    expected = (frames.astype(float) ** 2.2).mean(0) ** (1 / 2.2)
    assert np.array_equal(average([*frames], "gamma"), expected.round())


def test_srgb_averages_light() -> None:
    black, white = (np.full((2, 2, 3), value, np.uint8) for value in (0, 255))
    # A third of the light is 0.6131 of the sRGB scale.
    assert np.unique(average([black, white, black], "srgb")).tolist() == [156]


@pytest.mark.parametrize("curve", CURVES)
def test_a_still_picture_stays_as_it_is(curve: str) -> None:
    still = np.arange(256 * 3, dtype=np.int64).reshape(16, 16, 3).astype(np.uint8)
    for count in (3, 7, 13):
        assert np.array_equal(average([still] * count, curve), still)


@pytest.mark.parametrize("photo", ["cincinnati-bridge.jpg", "hedgehog.webp", "petra.webp"])
def test_the_flow_is_right_to_a_quarter_of_a_pixel(photo: str) -> None:
    before = shifted(photo, 0, 0)
    for shift in SHIFTS:
        after = shifted(photo, *shift)
        errors = (flow(to_planes(before), to_planes(after)) - torch.tensor(shift)).norm(dim=1)
        assert len(errors) > 9
        assert errors.median() < 0.1 and errors.quantile(0.95) < 0.25
        assert motion([before, after]) == pytest.approx(np.hypot(*shift), abs=0.25)


def test_the_motion_of_a_pair_is_that_of_its_fastest_step() -> None:
    frames = [shifted("petra.webp", x, 0) for x in (0, 2, 11, 12)]
    assert motion(frames) == pytest.approx(9, abs=0.25)


def test_what_moves_before_something_still_is_seen() -> None:
    still, moving = (shifted("petra.webp", *at) for at in ((0, 0), (9, 0)))
    after = still.copy()
    after[64:192, 96:224] = moving[64:192, 96:224]
    assert motion([still, after]) == pytest.approx(9, abs=0.5)


def test_a_brighter_frame_is_no_motion() -> None:
    frame = shifted("petra.webp", 0, 0) // 2
    assert motion([frame, frame + 20]) < 0.1


def test_an_edge_that_slides_along_itself_is_no_motion() -> None:
    edge = np.zeros((160, 160, 3), np.uint8)
    edge[:, 80:] = 200
    noise = np.random.default_rng(0).integers(0, 3, (2, 160, 160, 3), np.uint8)
    assert motion([edge + noise[0], edge + noise[1]]) < 0.5


def test_another_picture_is_far_away() -> None:
    assert motion([shifted("petra.webp", 0, 0), shifted("hedgehog.webp", 0, 0)]) > 20


def test_where_there_is_no_texture_nothing_moves() -> None:
    assert motion([np.full((132, 140, 3), value, np.uint8) for value in (10, 90)]) == 0


def test_frames_that_are_too_small_to_measure_raise() -> None:
    with pytest.raises(ValueError, match="frames"):
        motion([np.zeros((131, 200, 3), np.uint8)] * 2)
