import numpy as np
import torch
from kornia.geometry.transform import warp_perspective

from deblur.blur.light import trim
from deblur.blur.shake import ShakeBlur, at_poses, warp


def poses(seed: int = 0, size: tuple[int, int] = (60, 80), **changes: object) -> torch.Tensor:
    settings = {"length": 20, "anxiety": 0.005, "roll": 0.5, **changes}
    shake = ShakeBlur(**settings)  # type: ignore[arg-type]
    return torch.from_numpy(shake.draw(np.random.default_rng(seed), size))


def seen_at(path: torch.Tensor, x: float, y: float) -> torch.Tensor:
    points = path @ torch.tensor([x, y, 1.0], dtype=torch.float64)
    return points[:, :2] / points[:, 2:]


def test_the_middle_pose_sees_the_picture_as_it_is() -> None:
    for seed in range(10):
        path = poses(seed)
        assert len(path) % 2 == 1 and len(path) >= 15
        middle = seen_at(path[len(path) // 2 : len(path) // 2 + 1], 0, 0)
        assert torch.allclose(middle[0] - middle[0].round(), torch.zeros(2).double(), atol=1e-9)


def test_no_step_is_longer_than_a_pixel_and_a_half() -> None:
    for seed in range(10):
        corners = [seen_at(poses(seed, length=40), x, y) for x, y in ((0, 0), (79, 59))]
        steps = [corner.diff(dim=0).norm(dim=-1).max() for corner in corners]
        assert max(steps) < 2  # towards the frame's sides a turn covers more pixels


def test_blur_differs_across_the_picture() -> None:
    path = poses(3, size=(720, 1280), length=0, roll=1.0)
    centre, corner = (
        seen_at(path, x, y).diff(dim=0).norm(dim=-1).sum() for x, y in ((640, 360), (0, 0))
    )
    assert float(centre) < 1 < 8 < float(corner)


def test_a_turn_moves_the_centre_as_far_as_its_path_says() -> None:
    path = poses(1, size=(720, 1280), length=20, anxiety=0, roll=0)
    assert abs(float(seen_at(path, 639.5, 359.5).diff(dim=0).norm(dim=-1).sum()) - 20) < 0.1


def test_warping_is_kornias() -> None:
    light = torch.rand(3, 60, 70)
    path = poses(2, size=(30, 40))
    # Kornia's matrix leads from the source, here with its margin, to what is seen.
    margin = torch.tensor([[1.0, 0, 15], [0, 1, 15], [0, 0, 1]], dtype=torch.float64)
    expected = warp_perspective(
        light.expand(len(path), -1, -1, -1),
        torch.linalg.inv(margin @ path).float(),
        (30, 40),
        padding_mode="border",
    )
    assert torch.allclose(warp(light, path.numpy(), margin=15), expected, atol=1e-3)


def test_poses_are_spread_evenly_over_the_path() -> None:
    path = np.linspace(0, 14, 500) + 0j
    assert np.allclose(at_poses(path, 15), np.arange(15) - 7)
    assert len(at_poses(path, 15.5)) == 17


def test_turns_point_to_all_sides_alike() -> None:
    shake = ShakeBlur(length=10, anxiety=0.005, roll=0)
    light = torch.zeros(1, 1, 21 + 2 * shake.margin, 21 + 2 * shake.margin)
    light[..., 10 + shake.margin, 10 + shake.margin] = 1
    drawn = [shake.draw(np.random.default_rng(seed), (21, 21)) for seed in range(150)]
    path = sum(shake.expose(light, [poses])[0] for poses in drawn)
    spread = path[0, 0].sum(0), path[0, 0].sum(1)  # type: ignore[index]
    offsets = torch.arange(21) - 10.0
    means = [float((s * offsets).sum() / s.sum()) for s in spread]
    widths = [float((s * offsets**2).sum() / s.sum()) ** 0.5 for s in spread]
    assert max(map(abs, means)) < 0.5
    assert 0.8 < widths[0] / widths[1] < 1.25
    assert trim(light, shake.margin).shape[-1] == 21


def test_frames_are_as_many_as_asked_for_and_the_middle_one_is_sharp() -> None:
    counts = {len(poses(seed, frames=[7, 13], length=40)) for seed in range(30)}
    assert counts == {7, 9, 11, 13}
    assert torch.allclose(poses(4, frames=9)[4], torch.eye(3).double(), atol=1e-9)


def test_frames_leave_gaps() -> None:
    step = seen_at(poses(1, frames=7, length=40, anxiety=0), 40, 30).diff(dim=0).norm(dim=-1)
    assert float(step.min()) > 4
