import numpy as np
import pytest

from deblur.blur.trajectory import TrajectoryBlur, motion_kernel, trajectory


@pytest.mark.parametrize("length, anxiety", [(0, 0.0), (7, 0.0), (30, 0.005), (60, 0.1)])
def test_a_path_has_the_length_asked_for(length: float, anxiety: float) -> None:
    path = trajectory(np.random.default_rng(0), length, anxiety)
    assert np.abs(np.diff(path)).sum() == pytest.approx(length)


def test_without_anxiety_the_path_is_straight() -> None:
    path = trajectory(np.random.default_rng(1), 20, 0.0)
    assert abs(path[-1] - path[0]) == pytest.approx(20)


@pytest.mark.parametrize("seed", range(20))
def test_a_kernel_keeps_the_light_and_its_place(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel = motion_kernel(trajectory(rng, 5 + 3 * seed, 0.01 * seed), exposure=0.3 + 0.03 * seed)
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    assert len(kernel) % 2 == 1
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert (kernel * x).sum() == pytest.approx(0, abs=1e-4)
    assert (kernel * y).sum() == pytest.approx(0, abs=1e-4)


def test_a_still_camera_gives_the_identity_kernel() -> None:
    assert motion_kernel(np.zeros(10, complex)).tolist() == [[1.0]]


def test_a_short_exposure_sees_the_start_of_the_path() -> None:
    path = np.linspace(0, 10, 100).astype(complex)
    assert motion_kernel(path, 0.5).shape[0] < motion_kernel(path).shape[0]


def test_a_seed_always_gives_the_same_kernel() -> None:
    kernel = motion_kernel(trajectory(np.random.default_rng(5), 12, 0.01))
    again = motion_kernel(trajectory(np.random.default_rng(5), 12, 0.01))
    assert np.array_equal(kernel, again)
    # Golden: changes when the walk changes, and with it every validation and test set.
    assert (kernel.shape, float(kernel.max())) == ((9, 9), pytest.approx(GOLDEN, rel=1e-5))


GOLDEN = 0.10791668


@pytest.mark.parametrize("length", [0, 3, 25.5])
def test_every_kernel_fits_the_margin(length: float) -> None:
    blur = TrajectoryBlur(length=length, anxiety=[0.0, 0.1], exposure=[0.2, 1.0])
    for seed in range(30):
        assert len(blur.draw(np.random.default_rng(seed), (9, 9))) <= 2 * blur.margin + 1


@pytest.mark.parametrize("bad", [{"length": [9, 3]}, {"length": -1}, {"anxiety": [-1, 0]}])
def test_a_bad_range_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        TrajectoryBlur(**{"length": 5, "anxiety": 0.0, **bad})  # type: ignore[arg-type]


@pytest.mark.parametrize("exposure", [0.0, 1.5])
def test_a_bad_exposure_is_refused(exposure: float) -> None:
    with pytest.raises(ValueError, match="exposure"):
        motion_kernel(np.zeros(4, complex), exposure)
