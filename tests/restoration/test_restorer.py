from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import fill
from photo_samples import ICC, exif_block, xmp_packet
from PIL import Image
from torch import Tensor, nn

from deblur import checkpoints
from deblur.networks import FPN, MultiScale, NAFNet, ResNet, ResUNet, UNet
from deblur.networks.maxim import Tiling
from deblur.pair import decode, encode
from deblur.restoration.restorer import Restorer


class Darker(nn.Module):
    """Takes a tenth of black to white from every value; its own stride is 8."""

    stride = 8

    def __init__(self) -> None:
        super().__init__()
        self.amount = nn.Parameter(torch.tensor(0.2))

    def forward(self, blur: Tensor) -> Tensor:
        return blur - self.amount


def restorer(network: nn.Module | None = None, **settings: Any) -> Restorer:
    settings = {"device": "cpu", "precision": "float32", "guard": False, **settings}
    return Restorer(network or Darker(), **settings)


@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.float16])
def test_arrays_come_back_of_their_kind(channels: int | None, dtype: Any) -> None:
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    shape = (20, 30) if channels is None else (20, 30, channels)
    array = (np.random.default_rng(0).uniform(0.2, 1, shape) * top).astype(dtype)
    restored = restorer().restore(array)
    assert (restored.shape, restored.dtype) == (array.shape, array.dtype)
    colours = {None: np.s_[...], 1: np.s_[...], 2: np.s_[..., :1]}.get(channels, np.s_[..., :3])
    expected = array.astype(np.float64)[colours] - 0.1 * top
    assert np.abs(restored[colours] - expected).max() <= (1 if top > 1 else 1e-3)
    if channels in (2, 4):
        assert np.array_equal(restored[..., -1], array[..., -1])


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_pil_images_come_back_in_their_mode(mode: str) -> None:
    image = Image.new(mode, (30, 20), 40_000 if mode == "I;16" else "gray")
    restored = restorer().restore(image)
    assert (restored.mode, restored.size) == (mode, image.size)


@pytest.mark.parametrize("mode, becomes", [("1", "L"), ("P", "RGB"), ("CMYK", "RGB")])
def test_other_modes_become_rgb_or_grey(mode: str, becomes: str) -> None:
    assert restorer().restore(Image.new(mode, (30, 20))).mode == becomes
    clear = Image.new("P", (30, 20))
    clear.info["transparency"] = 0
    assert restorer().restore(clear).mode == "RGBA"


def test_a_pil_image_comes_back_upright_with_what_it_says() -> None:
    stored = BytesIO()
    image = Image.fromarray(np.random.default_rng(0).integers(60, 256, (20, 30, 3), np.uint8))
    image.save(
        stored, "WEBP", lossless=True, exif=exif_block(6), xmp=xmp_packet(6), icc_profile=ICC
    )
    restored = restorer().restore(Image.open(stored))
    assert restored.size == (20, 30)
    upright = np.asarray(image.transpose(Image.Transpose.ROTATE_270))
    assert np.abs(np.asarray(restored) - (upright - 25.5)).max() <= 1
    assert (restored.info["exif"], restored.info["xmp"]) == (exif_block(1), xmp_packet(1))
    assert restored.info["icc_profile"] == ICC
    again = BytesIO()
    restored.save(again, "JPEG", exif=restored.getexif())
    assert Image.open(again).getexif()[0x010F] == "ABC"


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_hidden_colours_change_nothing_that_is_seen_and_come_back(
    channels: int, dtype: Any
) -> None:
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    generator = np.random.default_rng(0)
    picture = (generator.uniform(0.3, 0.6, (40, 60, channels)) * top).astype(dtype)
    hidden = np.hypot(*np.ogrid[-20:20, -30:30]) > 15
    picture[..., -1] = np.where(hidden, 0, top)
    network, outputs = lively(ResNet(blocks=2, width=8, dropout=0.0)), []
    for colour in (0, top):
        picture[hidden, :-1] = colour
        outputs.append(restorer(network).restore(picture))
        assert np.array_equal(outputs[-1][hidden], picture[hidden])
    assert np.array_equal(*(output[~hidden] for output in outputs))
    assert not np.array_equal(outputs[0][~hidden], picture[~hidden])


def test_hidden_colours_of_a_file_change_nothing_that_is_seen(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(80, 150, (40, 60, 4), np.uint8)
    picture[..., 3] = np.where(np.hypot(*np.ogrid[-20:20, -30:30]) > 15, 0, 255)
    hidden = picture[..., 3] == 0
    network, outputs = lively(ResNet(blocks=2, width=8, dropout=0.0)), []
    for colour in (0, 255):
        picture[hidden, :3] = colour
        source, target = tmp_path / f"{colour}.png", tmp_path / f"{colour}_restored.png"
        Image.fromarray(picture).save(source)
        restorer(network).restore_file(source, target)
        outputs.append(np.asarray(Image.open(target)))
        assert np.array_equal(outputs[-1][hidden], picture[hidden])
    assert np.array_equal(*(output[~hidden] for output in outputs))
    assert not np.array_equal(outputs[0][~hidden], picture[~hidden])


def test_grey_stored_as_colour_stays_grey() -> None:
    class Tinting(nn.Module):
        def forward(self, blur: Tensor) -> Tensor:
            return blur + torch.tensor([0.2, 0.1, 0.0])[:, None, None]

    grey = np.random.default_rng(0).integers(0, 200, (20, 30), np.uint8)
    expected = restorer(Tinting()).restore(grey)
    assert (expected > grey).all()
    for alpha in ([], [np.full_like(grey, 70)]):
        restored = restorer(Tinting()).restore(np.dstack([grey, grey, grey, *alpha]))
        assert all(np.array_equal(restored[..., channel], expected) for channel in range(3))
    image = encode(torch.from_numpy(grey)).expand(3, -1, -1)
    restored = restorer(Tinting()).restore(image)
    assert (restored == restored[:1]).all()
    coloured = np.dstack([grey, grey, grey])
    coloured[0, 0, 0] += 1
    assert np.ptp(restorer(Tinting()).restore(coloured), -1).min() > 20


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(40, 60), (1, 1), (33, 70, 3)])
def test_flat_pictures_stay_as_they_are(dtype: Any, shape: tuple[int, ...]) -> None:
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    for level in (0.0, 0.37, 0.97, 1.0):
        flat = np.full(shape, level * top, dtype)
        guarded = restorer(guard=True).restore(flat).astype(np.float64)
        assert np.abs(guarded - flat).max() <= 0.5 * top / 255
    assert restorer(guard=False).restore(flat).max() < top


def test_flat_parts_stay_and_others_do_not_whatever_the_tiles() -> None:
    image = torch.full((3, 130, 200), 0.9)
    image[:, 40:80, 20:60] = torch.rand(3, 40, 40)
    whole = restorer(guard=True).restore(image)
    torch.testing.assert_close(whole[..., 100:], image[..., 100:])
    torch.testing.assert_close(whole[:, 36:84, 16:64], image[:, 36:84, 16:64] - 0.2)
    for tile in (48, 70):
        torch.testing.assert_close(restorer(guard=True, tile=tile).restore(image), whole)


def test_tensors_come_back_of_their_kind() -> None:
    pixels = torch.randint(40, 256, (2, 3, 20, 30), dtype=torch.uint8)
    restored = restorer().restore(pixels)
    assert restored.dtype == torch.uint8
    assert (restored.int() - (pixels.int() - 25.5)).abs().max() <= 1
    image = encode(pixels)
    torch.testing.assert_close(restorer().restore(image), (image - 0.2).clamp(-1, 1))
    assert restorer().restore(image[0, :1]).shape == (1, 20, 30)


def test_batches_and_lists_are_restored_one_by_one() -> None:
    arrays = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    both = restorer().restore(arrays)
    assert all(map(np.array_equal, both, restorer().restore([*arrays])))


@pytest.mark.parametrize(
    "image, error, said",
    [
        ("a.jpg", TypeError, "cannot restore a str"),
        (np.zeros((2, 2, 5), np.uint8), ValueError, r"must be \(H, W\) or \(H, W, 1 to 4\)"),
        (np.zeros((2, 2, 3), np.int64), ValueError, "must be uint8, uint16 or float"),
        (np.zeros((0, 2, 3), np.uint8), ValueError, "an image of no pixels"),
        (torch.zeros(4, 2, 2), ValueError, r"must be \(1 or 3, H, W\)"),
        (torch.zeros(3, 2, 2, dtype=torch.int64), ValueError, "must be uint8 or float"),
        (Image.new("F", (2, 2)), ValueError, "of mode F"),
    ],
)
def test_anything_else_is_refused(image: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        restorer().restore(image)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 5), (33, 31), (64, 64)])
@pytest.mark.parametrize(
    "network",
    [
        ResNet(blocks=1, width=4),
        UNet(width=4, levels=2),
        ResUNet(width=4, encoder=[1, 1], middle=1, decoder=[1, 1]),
        MultiScale(blocks=1, width=4),
        NAFNet(width=4, encoder=[1, 1], decoder=[1, 1]),
        FPN(),
    ],
)
def test_every_network_restores_every_size(network: nn.Module, size: tuple[int, int]) -> None:
    image = torch.rand(3, *size) * 2 - 1
    restored = restorer(fill(network)).restore(image)
    assert restored.shape == image.shape and restored.isfinite().all()


def lively(network: nn.Module, last: float = 0.1) -> nn.Module:
    """Give weights that keep features alive and move the picture by a good deal.

    last: what the last convolution's are multiplied by.
    """
    torch.manual_seed(1)
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    for conv in convs:
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    convs[-1].weight.data *= last
    return network.eval()


@pytest.mark.parametrize(
    "network, last",
    [
        (ResNet(blocks=3, width=8, dropout=0.0), 0.1),
        (UNet(width=8, levels=2), 0.1),
        (ResUNet(width=8, encoder=(1,), middle=1, decoder=(1,)), 0.02),  # its sums grow
    ],
)
def test_tiles_leave_no_seam(network: nn.Module, last: float) -> None:
    lively(network, last)
    image = torch.nn.functional.interpolate(torch.rand(1, 3, 60, 75), (240, 300), mode="bicubic")
    image = (image[0] * 1.6 - 0.8).clamp(-1, 1)
    whole = restorer(network).restore(image)
    tiled = restorer(network, tile=150)
    seams = (tiled.restore(image) - whole).abs() / 2
    assert (whole - image).abs().mean() / 2 > 0.02
    assert tiled.tiles.reach is not None and tiled.tiles.reach > 8
    assert seams.max() < 1 / 255


class Coarse(Darker):
    stride = 64

    def forward(self, blur: Tensor) -> Tensor:
        if min(blur.shape[-2:]) > 200:
            raise RuntimeError("out of memory")
        return super().forward(blur)


def test_tiles_are_never_too_small_for_the_network() -> None:
    image = torch.rand(3, 500, 700) * 2 - 1
    expected = (image - 0.2).clamp(-1, 1)
    for tile in (None, 128, 300):
        torch.testing.assert_close(restorer(Coarse(), tile=tile).restore(image), expected)
    with pytest.raises(ValueError, match="tile must be 128 or more for this network, got 112"):
        restorer(Coarse(), tile=112).restore(image)


def test_floats_of_0_to_255_are_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"floats must lie in \[0, 1\], got up to 255"):
        restorer(Darker()).restore(np.full((20, 30, 3), 255, np.float32))


def test_a_file_may_be_named_by_text(tmp_path: Path) -> None:
    Image.new("RGB", (20, 30)).save(tmp_path / "a.png")
    restorer(Darker()).restore_file(str(tmp_path / "a.png"), str(tmp_path / "b.png"))
    assert (tmp_path / "b.png").is_file()


def test_out_of_memory_halves_the_tiles(caplog: pytest.LogCaptureFixture) -> None:
    class Greedy(Darker):
        def forward(self, blur: Tensor) -> Tensor:
            if min(blur.shape[-2:]) > 130:
                raise RuntimeError("MPS backend out of memory (tried to allocate 1 GB)")
            return super().forward(blur)

    image = torch.rand(3, 300, 300) * 2 - 1
    restored = restorer(Greedy(), tile=256).restore(image)
    torch.testing.assert_close(restored, (image - 0.2).clamp(-1, 1))
    assert "out of memory: trying tiles of" in caplog.text


def test_other_errors_are_not_taken_for_lack_of_memory() -> None:
    class Broken(Darker):
        def forward(self, blur: Tensor) -> Tensor:
            raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        restorer(Broken()).restore(torch.zeros(3, 20, 20))


def test_strength_is_a_share_of_the_change() -> None:
    image = torch.zeros(3, 20, 20)
    for strength in (0.0, 0.25, 1.0):
        restored = restorer(strength=strength).restore(image)
        torch.testing.assert_close(restored, torch.full_like(image, -0.2 * strength))
    with pytest.raises(ValueError, match="strength must lie in 0 to 1"):
        restorer(strength=1.5)


class Never(nn.Module):
    """Must not be run."""

    def forward(self, blur: Tensor) -> Tensor:
        raise AssertionError("was run")


@pytest.mark.parametrize("settings", [{}, {"tile": 16}, {"self_ensemble": True, "guard": True}])
def test_without_strength_the_network_does_not_run(settings: dict[str, Any]) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (40, 50, 4), np.uint16)
    idle = restorer(Never(), strength=0, **settings)
    assert np.array_equal(idle.restore(pixels), pixels)
    image = torch.rand(3, 40, 50) * 2 - 1
    assert torch.equal(idle.restore(image), image)


def test_self_ensemble_is_the_mean_of_eight_orientations() -> None:
    network = fill(ResNet(blocks=1, width=4))
    image = torch.rand(3, 24, 32) * 2 - 1
    turned = [(turns, dims) for turns in range(4) for dims in ((), (-1,))]
    images = []
    for turns, dims in turned:
        view = torch.rot90(image.flip(dims), turns, (-2, -1))
        images.append(torch.rot90(restorer(network).restore(view), -turns, (-2, -1)).flip(dims))
    both = restorer(network, self_ensemble=True).restore(image)
    torch.testing.assert_close(both, torch.stack(images).mean(0), atol=1e-5, rtol=0)


def test_the_guard_gives_back_what_blew_up(tmp_path: Path) -> None:
    class Broken(Darker):
        def forward(self, blur: Tensor) -> Tensor:
            restored = blur.clone()
            restored[..., :64, :64] = float("nan")
            return restored

    image = torch.rand(3, 128, 192) * 0.5
    guarded = restorer(Broken(), guard=True)
    torch.testing.assert_close(guarded.restore(image), image)
    Image.fromarray(image.mul(255).byte().permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    (note,) = guarded.restore_file(tmp_path / "a.png", tmp_path / "b.png")
    assert "1 of 6" in note
    assert restorer(Broken()).restore(image).isnan().any()


def test_bfloat16_is_close_to_float32() -> None:
    network = lively(ResNet(blocks=3, width=8, dropout=0.0))
    image = torch.rand(3, 64, 64) * 2 - 1
    exact, fast = (restorer(network, precision=p).restore(image) for p in ("float32", "bfloat16"))
    assert 0 < (exact - fast).abs().mean() < 0.02
    with pytest.raises(ValueError, match="precision must be one of auto, .*, int8, got half"):
        restorer(precision="half")


def test_a_model_is_loaded_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    config = {"_target_": "deblur.networks.ResNet", "blocks": 1, "width": 4}
    network = fill(ResNet(blocks=1, width=4))
    checkpoints.save_generator(path, network, config, {})
    image = torch.rand(3, 20, 20) * 2 - 1
    loaded = Restorer.load(path, device="cpu", precision="float32", guard=False)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.restore(image), network(image[None])[0])
    with pytest.raises(FileNotFoundError, match="none.ckpt: no such file"):
        Restorer.load(tmp_path / "none.ckpt")
    with pytest.raises(
        FileNotFoundError,
        match="sharpest: no such file or bundled model .*to train one",
    ):
        Restorer.load("sharpest")


def test_a_file_keeps_what_it_holds(tmp_path: Path) -> None:
    image = Image.new("RGBA", (40, 30), (200, 150, 100, 77))
    image.save(tmp_path / "a.png", dpi=(300, 300))
    assert restorer().restore_file(tmp_path / "a.png", tmp_path / "b.png") == []
    with Image.open(tmp_path / "b.png") as restored:
        assert np.abs(np.subtract(restored.getpixel((5, 5)), (174.5, 124.5, 74.5, 77))).max() <= 0.5
        assert round(restored.info["dpi"][0]) == 300
    with pytest.raises(FileExistsError, match="b.png: already exists"):
        restorer().restore_file(tmp_path / "a.png", tmp_path / "b.png")
    restorer().restore_file(tmp_path / "a.png", tmp_path / "b.png", overwrite=True)
    with pytest.raises(ValueError, match="would be written over itself"):
        restorer().restore_file(tmp_path / "a.png", tmp_path / "a.png", overwrite=True)


def test_pixels_are_rounded_as_elsewhere() -> None:
    pixels = torch.randint(0, 256, (3, 20, 20), dtype=torch.uint8)
    network = fill(ResNet(blocks=1, width=4))
    with torch.inference_mode():
        expected = decode(network(encode(pixels)[None])[0])
    assert (restorer(network).restore(pixels).int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize(
    "empty",
    [torch.zeros(0, 3, 20, 30), np.zeros((0, 20, 30, 3), np.uint8)],
    ids=["tensor", "array"],
)
def test_a_batch_of_no_pictures_is_returned_as_it_is(empty: Any) -> None:
    restored = restorer().restore(empty)
    assert (restored.shape, restored.dtype) == (empty.shape, empty.dtype)
    assert restorer().restore([]) == []


class Square(nn.Module):
    """A network that is best on small squares, and remembers what it saw."""

    tiling = Tiling(side=32, overlap=8)
    seen: list[int] = []

    def forward(self, blur: torch.Tensor) -> torch.Tensor:
        self.seen.append(blur.shape[-1] * blur.shape[-2])
        return blur


def test_a_network_may_have_tiles_of_its_own() -> None:
    restorer = Restorer(Square(), device="cpu", precision="float32", guard=False)
    told: list[tuple[int, int]] = []
    restorer.watch = lambda done, count: told.append((done, count))
    image = torch.rand(3, 64, 80) * 2 - 1
    torch.testing.assert_close(restorer.restore(image), image)
    assert max(Square.seen) <= 32**2
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)] and len(told) > 5
