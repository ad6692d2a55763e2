"""Each protocol against somebody else's computation of the same figures."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pictures import image, pixels
from PIL import Image
from scipy.ndimage import correlate1d
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from deblur.metrics import PROTOCOLS, Comparison
from deblur.metrics.legacy import cw_ssim, grey
from deblur.metrics.li import li_2024
from deblur.metrics.metric import ProtocolMetric
from deblur.metrics.ssim import channel_mix, structure, window
from deblur.pair import decode, encode

generator = torch.Generator().manual_seed(0)
SHARP = encode(torch.randint(0, 256, (3, 3, 41, 58), dtype=torch.uint8, generator=generator))
NOISE = torch.tensor([0.02, 0.2, 0.6]).view(3, 1, 1, 1)
RESTORED = (SHARP + NOISE * torch.randn(SHARP.shape, generator=generator)).clamp(-1, 1)
GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def score(name: str, restored: Tensor = RESTORED, sharp: Tensor = SHARP) -> dict[str, list[float]]:
    pair = Comparison(restored, sharp)
    return {key: values.tolist() for key, values in PROTOCOLS[name].score(pair).items()}


def pictures(images: Tensor) -> list[NDArray[np.uint8]]:
    return [decode(image).permute(1, 2, 0).numpy() for image in images]


@pytest.mark.parametrize("name", ["wang-rgb", "gopro-gamma"])
def test_wang_rgb_is_scikit_images(name: str) -> None:
    found = score(name)
    for index, (restored, sharp) in enumerate(zip(pictures(RESTORED), pictures(SHARP))):
        psnr = peak_signal_noise_ratio(sharp, restored)
        ssim = structural_similarity(sharp, restored, channel_axis=2, **GAUSSIAN)
        assert found["psnr"][index] == pytest.approx(psnr, abs=1e-9)
        assert found["ssim"][index] == pytest.approx(ssim, abs=1e-9)


def test_matlab_rgb_is_ssim_of_a_volume() -> None:
    def blur(volume: NDArray[np.float64]) -> NDArray[np.float64]:
        for axis in range(3):
            volume = correlate1d(volume, window().numpy(), axis, mode="nearest")
        return volume

    found = score("matlab-rgb")
    for index, (restored, sharp) in enumerate(zip(pictures(RESTORED), pictures(SHARP))):
        x, y = restored.astype(np.float64), sharp.astype(np.float64)
        mx, my = blur(x), blur(y)
        vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        local = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
        assert found["ssim"][index] == pytest.approx(local.mean(), abs=1e-9)
    assert found["psnr"] == score("wang-rgb")["psnr"]


def test_the_channel_mix_is_the_published_matrix() -> None:
    rows = [[0.633006, 0.213006, 0.153989], [0.366994, 0.266012, 0.366994]]
    assert torch.allclose(channel_mix()[:2], torch.tensor(rows, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(channel_mix()[2], channel_mix()[0].flip(0))


def test_float32_keeps_five_digits() -> None:
    smooth = (image(90, 130), image(90, 130, soft=0.9))
    for restored, sharp in ((RESTORED, SHARP), smooth):
        pair = Comparison(restored, sharp)
        exact = structure(pair.seen, pair.truth)
        rough = structure(pair.seen.float(), pair.truth.float())
        for a, b in zip(exact, rough):
            assert torch.allclose(a, b.double(), atol=2e-5)


def test_a_mask_leaves_places_out() -> None:
    pair = Comparison(RESTORED, SHARP)
    mask = torch.zeros_like(pair.truth[:, :1])
    mask[..., :30] = 1
    x, y = pictures(RESTORED)[1], pictures(SHARP)[1]
    _, local = structural_similarity(y, x, channel_axis=2, full=True, **GAUSSIAN)
    found = structure(pair.seen, pair.truth, mask).wang[1]
    assert float(found) == pytest.approx(local[5:-5, 5:30].mean(), abs=1e-9)


def test_float_rgb_does_not_round() -> None:
    restored = ((RESTORED + 1) / 2).double().numpy()
    sharp = ((SHARP + 1) / 2).double().numpy()
    found = score("float-rgb", RESTORED * 1.0, SHARP)
    for index in range(3):
        psnr = peak_signal_noise_ratio(sharp[index], restored[index], data_range=1)
        assert found["psnr"][index] == pytest.approx(psnr, abs=1e-5)
    assert found["psnr"] != score("wang-rgb")["psnr"]
    beyond = score("float-rgb", RESTORED.sign() * 7, SHARP)
    assert beyond == score("float-rgb", RESTORED.sign(), SHARP)


def test_y_is_the_luma_of_scikit_image() -> None:
    found = score("y")
    for index, (restored, sharp) in enumerate(zip(pictures(RESTORED), pictures(SHARP))):
        x, y = (rgb2ycbcr(picture)[..., 0] for picture in (restored, sharp))
        psnr = peak_signal_noise_ratio(y, x, data_range=255)
        ssim = structural_similarity(y, x, data_range=255, **GAUSSIAN)
        assert found["psnr"][index] == pytest.approx(psnr, abs=1e-3)
        assert found["ssim"][index] == pytest.approx(ssim, abs=1e-6)


@pytest.mark.parametrize(
    "size, shift, soft, expected",
    [
        # SSIM(restored).cw_ssim_value(sharp) of pyssim 0.6 with scipy 1.14.1.
        ((48, 64), 0.3, 0.6, 0.8745782192733321),
        ((48, 64), 0.0, 0.2, 0.9146090355764818),
        ((90, 130), 0.3, 0.6, 0.8722274995711574),
        ((90, 130), 0.0, 0.2, 0.9264261767826296),
        ((7, 20), 0.3, 0.6, 0.9986804783362713),
        ((7, 20), 0.0, 0.2, 0.9958267260446054),
    ],
)
def test_cw_ssim_is_pyssims(
    size: tuple[int, int], shift: float, soft: float, expected: float
) -> None:
    sharp, restored = image(*size), image(*size, shift=shift, soft=soft)
    assert score("deblurgan-legacy", restored, sharp)["cw_ssim"][0] == pytest.approx(
        expected, abs=1e-9
    )
    drawn = pixels(*size, shift, soft)
    unit = torch.from_numpy(drawn).permute(2, 0, 1).double() / 255
    assert np.array_equal(grey(unit).numpy(), np.asarray(Image.fromarray(drawn).convert("L")))


def test_cw_ssim_of_a_long_signal_is_that_of_its_parts_joined() -> None:
    """Blocks are transformed one by one; nothing may be felt of their borders."""
    x, y = (torch.rand(1, n, generator=generator, dtype=torch.float64) * 255 for n in (9000, 9000))
    square = cw_ssim(x.view(90, 100), y.view(90, 100))
    assert float(square) == pytest.approx(float(cw_ssim(x, y)), abs=1e-12)


def test_legacy_truncates() -> None:
    sharp = encode(torch.full((1, 3, 16, 16), 100, dtype=torch.uint8))
    restored = sharp + 0.9 / 127.5
    assert score("deblurgan-legacy", restored, sharp)["psnr"] == [np.inf]
    assert score("wang-rgb", restored, sharp)["psnr"][0] == pytest.approx(48.13, abs=0.01)
    levels = encode(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16))
    assert score("deblurgan-legacy", levels, levels)["psnr"] == [np.inf]


def test_the_overflow_is_numpys() -> None:
    found = score("li-2024-squash")["psnr_overflowed"]
    for index, (restored, sharp) in enumerate(zip(pictures(RESTORED), pictures(SHARP))):
        with np.errstate(over="ignore"):
            error = ((restored - sharp) ** 2).mean()
        assert found[index] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-9)
    assert li_2024(Comparison(SHARP, SHARP))["psnr_overflowed"].isinf().all()


def test_views_are_pillows() -> None:
    frame = image(72, 128)
    drawn = Image.fromarray(pixels(72, 128))
    for name, size in (("li-2024-squash", (256, 256)), ("deblurgan-legacy-half", (64, 36))):
        small = np.asarray(drawn.resize(size, Image.Resampling.BICUBIC))
        assert np.array_equal(pictures(PROTOCOLS[name].view(frame))[0], small)
    crop = PROTOCOLS["li-2024-crop"].view(image(300, 401))
    assert np.array_equal(pictures(crop)[0], pixels(300, 401)[22:278, 72:328])


def test_a_batch_of_no_images_changes_no_mean() -> None:
    metric = ProtocolMetric("wang-rgb")
    metric.update(RESTORED, SHARP)
    before = metric.compute()
    metric.update(RESTORED[:0], SHARP[:0])
    assert metric.compute() == before
