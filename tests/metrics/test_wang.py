import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from deblur.metrics import WangRGB, wang_rgb
from deblur.pair import decode, encode

generator = torch.Generator().manual_seed(0)
SHARP = encode(torch.randint(0, 256, (3, 3, 40, 52), dtype=torch.uint8, generator=generator))
NOISE = torch.tensor([0.02, 0.2, 0.6]).view(3, 1, 1, 1)
RESTORED = (SHARP + NOISE * torch.randn(SHARP.shape, generator=generator)).clamp(-1, 1)


def pictures(images: Tensor) -> list[object]:
    return [decode(image).permute(1, 2, 0).numpy() for image in images]


def test_scores_are_scikit_images() -> None:
    scores = wang_rgb(RESTORED, SHARP)
    for index, (restored, sharp) in enumerate(zip(pictures(RESTORED), pictures(SHARP))):
        psnr = peak_signal_noise_ratio(sharp, restored)
        ssim = structural_similarity(
            sharp,
            restored,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=2,
        )
        assert float(scores["psnr"][index]) == pytest.approx(psnr, abs=1e-5)
        assert float(scores["ssim"][index]) == pytest.approx(ssim, abs=1e-6)


def test_the_metric_is_the_mean_of_per_image_values() -> None:
    metric = WangRGB()
    metric.update(RESTORED[:2], SHARP[:2])
    metric.update(RESTORED[2:], SHARP[2:])
    expected = wang_rgb(RESTORED, SHARP)
    for name, value in metric.compute().items():
        assert torch.allclose(value, expected[name].mean())
    pooled = 10 * torch.log10(4 / (RESTORED - SHARP).square().mean())
    assert metric.compute()["psnr"] > pooled + 1


def test_autocast_changes_nothing() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        inside = wang_rgb(RESTORED, SHARP)
    outside = wang_rgb(RESTORED, SHARP)
    assert all(torch.equal(inside[name], outside[name]) for name in inside)


def test_identical_images() -> None:
    scores = wang_rgb(SHARP, SHARP)
    assert scores["psnr"].isinf().all()
    assert torch.allclose(scores["ssim"], torch.ones(3))


def test_constant_images_have_a_score() -> None:
    grey = torch.zeros(1, 3, 16, 16)
    assert wang_rgb(grey, grey)["ssim"].item() == pytest.approx(1)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="11 pixels or more"):
        wang_rgb(SHARP[..., :10], SHARP[..., :10])
    with pytest.raises(ValueError, match="restored but"):
        wang_rgb(SHARP[..., :20], SHARP)
    with pytest.raises(ValueError, match="no image"):
        WangRGB().compute()
