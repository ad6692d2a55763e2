"""What every motion must do, whatever moves."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deblur.blur import Motion
from deblur.blur.light import to_light, trim
from deblur.blur.mixture import AnyOf
from deblur.blur.objects import ObjectBlur
from deblur.blur.shake import ShakeBlur
from deblur.blur.trajectory import TrajectoryBlur
from deblur.data.photos import BUILT_IN
from deblur.media.images import read
from deblur.media.registration import offset

SHAKE = ShakeBlur(length=5, anxiety=0, roll=0)
KINDS = ["trajectory", "shake", "objects", "any"]
# The mean and one value of each kind's blurred light; they change when a kind draws otherwise.
GOLDEN = {
    "trajectory": (0.2392205, 0.003195616),
    "shake": (0.2282612, 0.002906171),
    "objects": (0.2294355, 0.003411133),
    "any": (0.2380351, 0.003506406),
}


def motion(kind: str, length: float | list[float] = [8, 20]) -> Motion:
    trajectory = TrajectoryBlur(length=length, anxiety=0.005)
    shake = ShakeBlur(length=length, anxiety=0.005, roll=[0, 0.5] if length else 0)
    if kind == "any":
        return AnyOf(
            motions={"trajectory": trajectory, "shake": shake},
            shares={"trajectory": 1, "shake": 3},
        )
    objects = ObjectBlur(background=shake, length=length, anxiety=0.005, radius=[0.1, 0.3])
    return {"trajectory": trajectory, "shake": shake, "objects": objects}[kind]


def rngs(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng((seed, index)) for index in range(count)]


def smear(blur: Motion, light: Tensor, rngs: list[np.random.Generator]) -> tuple[Tensor, Tensor]:
    size = trim(light, blur.margin).shape[-2:]
    return blur.expose(light, [blur.draw(rng, size) for rng in rngs])


def windows(blur: Motion, count: int, side: int) -> Tensor:
    photos = sorted(BUILT_IN.glob("*.webp"))[:count]
    side += 2 * blur.margin
    cut = [read(photo)[200 : 200 + side, 250 : 250 + side] for photo in photos]
    return to_light(torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2))


def as_pixels(light: Tensor) -> np.ndarray:
    return (255 * light.permute(1, 2, 0)).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_gives_both_pictures_without_the_margin(kind: str) -> None:
    blur = motion(kind)
    light = torch.rand(2, 3, 40 + 2 * blur.margin, 30 + 2 * blur.margin)
    blurred, sharp = smear(blur, light, rngs(2))
    assert blurred.shape == sharp.shape == (2, 3, 40, 30)
    assert not torch.allclose(blurred, sharp, atol=0.05)


@pytest.mark.parametrize("kind", ["trajectory", "shake", "any"])
def test_the_sharp_picture_is_what_was_given(kind: str) -> None:
    blur = motion(kind)
    light = torch.rand(1, 3, 30 + 2 * blur.margin, 30 + 2 * blur.margin)
    assert torch.equal(smear(blur, light, rngs(1))[1], trim(light, blur.margin))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_moves_changes_nothing(kind: str) -> None:
    blur = motion(kind, length=0)
    light = torch.rand(2, 3, 24 + 2 * blur.margin, 24 + 2 * blur.margin)
    blurred, sharp = smear(blur, light, rngs(2))
    assert torch.allclose(blurred, sharp, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_light_is_kept_and_borders_are_not_dark(kind: str) -> None:
    blur = motion(kind)
    light = torch.full((2, 3, 40 + 2 * blur.margin, 40 + 2 * blur.margin), 0.6)
    blurred, sharp = smear(blur, light, rngs(2))
    assert torch.allclose(blurred, torch.full_like(blurred, 0.6), atol=1e-5)
    assert torch.allclose(sharp, torch.full_like(sharp, 0.6), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_depends_on_its_generator_alone(kind: str) -> None:
    blur = motion(kind)
    light = torch.rand(3, 3, 32 + 2 * blur.margin, 32 + 2 * blur.margin)
    together = smear(blur, light, rngs(3))
    alone = smear(blur, light[1:2], rngs(3)[1:2])
    for batch, single in zip(together, alone):
        assert torch.allclose(batch[1:2], single, atol=1e-5)
    other = smear(blur, light[1:2], rngs(1, seed=9))
    assert not torch.allclose(other[0], alone[0], atol=1e-2)


def test_a_kernel_keeps_the_picture_in_its_place() -> None:
    blur = motion("trajectory")
    light = windows(blur, 8, 160).repeat(2, 1, 1, 1)
    blurred, sharp = smear(blur, light, rngs(len(light)))
    shifts = [offset(as_pixels(b), as_pixels(s)) for b, s in zip(blurred, sharp)]
    assert np.abs(np.mean(shifts, axis=0)).max() <= 0.1


def test_a_shaken_picture_lies_where_its_poses_say() -> None:
    blur = motion("shake")
    assert isinstance(blur, ShakeBlur)
    light = windows(blur, 8, 160)
    blurred, sharp = smear(blur, light, rngs(8))
    seen = [centroid(blur, rng, 160) for rng in rngs(8)]
    shifts = [offset(as_pixels(b), as_pixels(s)) for b, s in zip(blurred, sharp)]
    assert np.abs(np.mean(np.array(shifts) - seen, axis=0)).max() <= 0.1


def test_on_average_the_middle_pose_is_in_the_middle() -> None:
    blur = ShakeBlur(length=[0, 20], anxiety=[0, 0.01], roll=[0, 0.5])
    seen = [centroid(blur, rng, 160) for rng in rngs(1000)]
    assert np.abs(np.mean(seen, axis=0)).max() <= 0.1


def centroid(blur: ShakeBlur, rng: np.random.Generator, side: int) -> Any:
    """Where the poses of a draw see the centre of a picture on average, (row, column)."""
    points = blur.draw(rng, (side, side)) @ [side / 2, side / 2, 1.0]
    x, y = (points[:, :2] / points[:, 2:]).mean(0) - side / 2
    return np.array([-y, -x])


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_always_gives_the_same_blur(kind: str) -> None:
    blur = motion(kind)
    side = 16 + 2 * blur.margin
    light = torch.linspace(0, 1, 3 * side * side).reshape(1, 3, side, side) ** 3
    blurred = smear(blur, light, rngs(1))[0]
    assert (float(blurred.mean()), float(blurred[0, 0, 5, 7])) == pytest.approx(
        GOLDEN[kind], rel=1e-4
    )


@pytest.mark.parametrize(
    "build, named",
    [
        (lambda: ShakeBlur(length=5, anxiety=0, roll=0, focal=0), "focal"),
        (lambda: ShakeBlur(length=[5, 1], anxiety=0, roll=0), "length"),
        (lambda: ObjectBlur(background=SHAKE, length=1, anxiety=0, radius=-1), "radius"),
        (lambda: AnyOf(motions={"a": motion("shake")}, shares={"b": 1}), "shares"),
        (lambda: AnyOf(motions={"a": motion("shake")}, shares={"a": 0}), "shares"),
    ],
)
def test_bad_settings_are_refused(build: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        build()


@pytest.mark.parametrize(
    "bad",
    [
        *({"length": 1e9}, {"length": -1}, {"length": [2, 1]}, {"length": [1, 2, 3]}),
        *({"length": []}, {"length": float("nan")}, {"anxiety": 2}, {"anxiety": [0, 2]}),
    ],
)
@pytest.mark.parametrize("kind", [TrajectoryBlur, ShakeBlur, ObjectBlur])
def test_a_path_out_of_bounds_is_refused_by_name(kind: Any, bad: dict[str, Any]) -> None:
    others: dict[Any, dict[str, Any]] = {
        **{TrajectoryBlur: {}, ShakeBlur: {"roll": 0}},
        ObjectBlur: {"background": SHAKE, "radius": 0.1},
    }
    with pytest.raises(ValueError, match=f"{next(iter(bad))}"):
        kind(**{"length": 5, "anxiety": 0, **others[kind], **bad})


@pytest.mark.parametrize(
    "bad", [{"roll": 400}, {"focal": 0}, {"frame": [0, 5]}, {"frame": [5]}, {"frame": [10**6, 1]}]
)
def test_a_camera_out_of_bounds_is_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        ShakeBlur(**{"length": 5, "anxiety": 0, "roll": 0, **bad})


@pytest.mark.parametrize("shares", [{}, {"a": -1}, {"a": 0}, {"b": 1}, {"a": float("nan")}])
def test_shares_that_choose_nothing_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="shares"):
        AnyOf(motions={"a": SHAKE} if shares else {}, shares=shares)
