import numpy as np
import pytest

from deblur.blur.defocus import disc
from deblur.blur.labelled import SCENES, make_labelled, measure
from deblur.blur.trajectory import motion_kernel

PHOTO = np.random.default_rng(0).integers(0, 256, (120, 140, 3), np.uint8)


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
@pytest.mark.parametrize("length", [8.0, 25.0])
def test_a_straight_line_measures_as_long_as_it_is(length: float, angle: float) -> None:
    steps = np.linspace(0, length, 512)
    smear = measure(motion_kernel(steps * np.exp(-1j * np.radians(angle))))
    assert smear.length == pytest.approx(length, abs=0.6)
    assert abs((smear.direction - angle + 90) % 180 - 90) < 2
    assert smear.width < 2


def test_a_disc_has_no_direction() -> None:
    smear = measure(disc(6))
    assert smear.length == pytest.approx(smear.width, rel=0.01)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("kind", ["sharp", "motion", "defocus"])
def test_a_picture_is_a_function_of_its_generator(kind: str, scene: str) -> None:
    made = [
        make_labelled(PHOTO, np.random.default_rng(5), kind=kind, scene=scene, extent=(8, 12))
        for _ in range(2)
    ]
    assert np.array_equal(made[0].pixels, made[1].pixels) and made[0][1:] == made[1][1:]
    assert made[0].pixels.dtype == np.uint8 and made[0].kind == kind
    if kind == "sharp":
        assert made[0].smear.length < 1
    elif kind == "defocus":
        assert 8 <= made[0].smear.length <= 12


@pytest.mark.parametrize("shake", [0.0, 1.0])
def test_motion_is_measured_whichever_camera_made_it(shake: float) -> None:
    lengths = [
        make_labelled(
            PHOTO, np.random.default_rng(seed), kind="motion", extent=10, shake=shake, sensor={}
        ).smear.length
        for seed in range(6)
    ]
    # A path that turns smears less than it is long.
    assert max(lengths) < 13 and min(lengths) > 1 and np.median(lengths) > 4
