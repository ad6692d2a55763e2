import errno
import os
import sys
import warnings
from collections.abc import Iterator
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from photo_samples import HEIGHT, WIDTH, cmyk_profile, exif_block, frame, noise, photo_of, same
from PIL import Image, ImageOps

from deblur.media.photo import Frame, format_of, open_photo
from deblur.media.pillow_settings import read_any_picture

GREY_TIFF = (".tif", 1, True, True)


@pytest.mark.parametrize(
    "ending, channels, alpha, deep",
    # 16-bit grey with alpha becomes colour in a TIFF.
    [kind for kind in product((".png", ".tif"), (1, 3), *[(False, True)] * 2) if kind != GREY_TIFF],
)
def test_nothing_is_lost_where_the_format_loses_nothing(
    tmp_path: Path, ending: str, channels: int, alpha: bool, deep: bool
) -> None:
    before = frame(channels, deep, alpha)
    photo = photo_of(tmp_path / f"a{ending}", before)
    assert (photo.size, photo.count) == ((WIDTH, HEIGHT), 1)
    (read,) = photo.frames()
    assert same(read, before)
    photo.write(tmp_path / f"b{ending}", photo.frames())
    (again,) = open_photo(tmp_path / f"b{ending}").frames()
    assert same(again, before) and photo.notes == []


@pytest.mark.parametrize(
    "ending, channels, deep, alpha",
    [
        *((".webp", 3, False, alpha) for alpha in (False, True)),
        *((".bmp", channels, False, False) for channels in (1, 3)),
        *((".ppm", channels, deep, False) for channels in (1, 3) for deep in (False, True)),
        (".gif", 1, False, False),
    ],
)
def test_simpler_formats_lose_nothing_that_they_hold(
    tmp_path: Path, ending: str, channels: int, deep: bool, alpha: bool
) -> None:
    photo = photo_of(tmp_path / f"a{ending}", frame(channels, deep, alpha))
    assert photo.format == format_of(tmp_path / f"a{ending}")
    photo.write(tmp_path / f"b{ending}", photo.frames())
    (read,) = open_photo(tmp_path / f"b{ending}").frames()
    assert same(read, frame(channels, deep, alpha))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_orientation_is_applied_once(tmp_path: Path, ending: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(noise(4 if ending == "png" else 3))
    stored.save(tmp_path / f"a.{ending}", exif=exif, quality=100, lossless=True)
    with Image.open(tmp_path / f"a.{ending}") as picture:
        upright = ImageOps.exif_transpose(picture)
    photo = open_photo(tmp_path / f"a.{ending}")
    (read,) = photo.frames()
    assert photo.size == upright.size
    assert np.array_equal(read.pixels, np.asarray(upright.convert("RGB")))
    if read.alpha is not None:
        assert np.array_equal(read.alpha, np.asarray(upright)[..., 3])
    photo.write(tmp_path / f"b.{ending}", [read])
    with Image.open(tmp_path / f"b.{ending}") as picture:
        assert picture.size == upright.size and picture.getexif().get(0x0112, 1) == 1
    (again,) = open_photo(tmp_path / f"b.{ending}").frames()
    assert same(again, read) or ending == "jpg"


@pytest.mark.parametrize(
    "mode, name, channels, note",
    [
        ("P", "a.png", 3, "the palette was converted to RGB"),
        ("P", "a.bmp", 3, "the palette was converted to RGB"),
        ("1", "a.png", 1, "1-bit pixels were converted to 8-bit grey"),
        ("CMYK", "a.jpg", 3, "CMYK was converted to RGB without a colour profile"),
        ("CMYK", "a.tif", 3, "CMYK was converted to RGB without a colour profile"),
        ("LAB", "a.tif", 3, "Lab was converted to RGB"),
    ],
)
def test_other_kinds_of_pixels_are_converted_and_it_is_said(
    tmp_path: Path, mode: str, name: str, channels: int, note: str
) -> None:
    Image.new("RGB", (6, 4), (250, 120, 10)).convert(mode).save(tmp_path / name)
    photo = open_photo(tmp_path / name)
    (read,) = photo.frames()
    assert read.pixels.shape == (4, 6, channels) and photo.notes == [note]
    if mode != "1":
        assert np.abs(read.pixels[0, 0].astype(int) - (250, 120, 10)).max() < 20


def test_cmyk_is_converted_by_its_profile(tmp_path: Path) -> None:
    Image.new("CMYK", (6, 4), (255, 0, 0, 0)).save(tmp_path / "a.jpg", icc_profile=cmyk_profile())
    photo = open_photo(tmp_path / "a.jpg")
    photo.write(tmp_path / "b.jpg", photo.frames())
    assert photo.notes == ["CMYK was converted to RGB by its colour profile"]
    with Image.open(tmp_path / "b.jpg") as picture:
        # In this profile all ink is black; and of RGB it is none.
        assert max(picture.getpixel((0, 0))) < 10 and "icc_profile" not in picture.info


def test_a_palettes_transparency_becomes_alpha(tmp_path: Path) -> None:
    picture = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6), "P")
    picture.putpalette(bytes(range(72)))
    picture.save(tmp_path / "a.png", transparency=bytes([0, 100] + [255] * 22))
    photo = open_photo(tmp_path / "a.png")
    (read,) = photo.frames()
    assert read.alpha is not None and read.alpha[0].tolist() == [0, 100, 255, 255, 255, 255]
    assert photo.notes == ["the palette was converted to RGB with alpha"]


def test_what_a_format_cannot_hold_is_noted(tmp_path: Path) -> None:
    pixels = np.full((4, 6, 3), 1000, np.uint16)
    alpha = np.full((4, 6), 65535, np.uint16)
    alpha[:, :3] = 0
    photo = photo_of(tmp_path / "a.png", Frame(pixels, alpha))
    photo.write(tmp_path / "a.jpg", photo.frames(), quality=100)
    (read,) = open_photo(tmp_path / "a.jpg").frames()
    assert read.pixels[0, 0].min() > 250 and read.pixels[0, 5].max() < 10
    assert photo.notes == [
        "transparent parts were laid on white: JPEG has no alpha",
        "16 bits were rounded to 8: JPEG has no more",
    ]


def test_alpha_that_hides_nothing_is_dropped_silently(tmp_path: Path) -> None:
    photo = photo_of(tmp_path / "a.png", Frame(noise(), np.full((HEIGHT, WIDTH), 255, np.uint8)))
    photo.write(tmp_path / "a.bmp", photo.frames())
    (read,) = open_photo(tmp_path / "a.bmp").frames()
    assert np.array_equal(read.pixels, noise()) and photo.notes == []


def test_formats_are_told_by_argument_then_by_ending(tmp_path: Path) -> None:
    assert format_of(Path("a.JPEG")) == "JPEG" and format_of(Path("a.txt")) is None
    photo = photo_of(tmp_path / "a.png")
    for target, told, expected in (
        ("b.png", None, "PNG"),
        ("b.webp", None, "WEBP"),
        ("b.webp", "tif", "TIFF"),
        ("b.webp", "bmp", "BMP"),
        ("b", None, "PNG"),
    ):
        photo.write(tmp_path / target, photo.frames(), format=told)
        assert open_photo(tmp_path / target).format == expected
    with pytest.raises(ValueError, match="format 'JPX'"):
        photo.write(tmp_path / "b.png", photo.frames(), format="JPX")
    with pytest.raises(ValueError, match="quality 0, expected 1 to 100"):
        photo.write(tmp_path / "b.png", photo.frames(), quality=0)
    # A misnamed file stays what it is.
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    photo = open_photo(tmp_path / "a.jpg")
    photo.write(tmp_path / "c.jpg", photo.frames())
    assert open_photo(tmp_path / "c.jpg").format == "PNG"


def test_streams_are_read_and_written(tmp_path: Path) -> None:
    content = BytesIO()
    Image.fromarray(noise()).save(content, "PNG")
    content.seek(0)
    photo, target = open_photo(content), BytesIO(b"before ")
    target.seek(0, 2)
    photo.write(target, photo.frames())
    assert target.getvalue().startswith(b"before \x89PNG") and photo.path is None
    (read,) = open_photo(BytesIO(target.getvalue()[7:])).frames()
    assert np.array_equal(read.pixels, noise())


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "it is empty"),
        (b"Dear diary, today", "found no picture in it of a kind that is known"),
        (b"\x89PNG\r\n\x1a\n", ""),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "found no picture in it of a kind that is known"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.jpg: not a readable picture \({reason}"):
        open_photo(tmp_path / "a.jpg")


def test_places_that_hold_no_picture_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.jpg"):
        open_photo(tmp_path / "none.jpg")
    with pytest.raises(OSError, match="directory"):
        open_photo(tmp_path)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp", "gif", "bmp", "ppm", "avif"])
def test_a_truncated_file_is_refused(tmp_path: Path, ending: str) -> None:
    photo_of(tmp_path / f"whole.{ending}")
    content = (tmp_path / f"whole.{ending}").read_bytes()
    (tmp_path / f"a.{ending}").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ValueError, match=rf"a\.{ending}"):
        [*open_photo(tmp_path / f"a.{ending}").frames()]


def test_more_pixels_than_the_limit_are_refused_by_the_head(tmp_path: Path) -> None:
    (tmp_path / "bomb.bmp").write_bytes(b"P6 60000 60000 255 ")
    with read_any_picture():
        with pytest.raises(ValueError, match="bomb.bmp.*60000x60000"):
            open_photo(tmp_path / "bomb.bmp")
    with pytest.raises(ValueError, match="bomb.bmp"):  # Pillow's own limit
        open_photo(tmp_path / "bomb.bmp")
    photo_of(tmp_path / "a.png")
    with pytest.raises(ValueError, match="a.png.*37x23"):
        open_photo(tmp_path / "a.png", limit=800)


def test_pillows_warnings_become_notes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    exif = exif_block()
    Image.fromarray(noise()).save(tmp_path / "a.tif", exif=exif)
    content = (tmp_path / "a.tif").read_bytes()
    # The directory says that it has more tags than the file has bytes.
    place = int.from_bytes(content[4:8], "little")
    broken = content[:place] + b"\xff\xff" + content[place + 2 :]
    (tmp_path / "a.tif").write_bytes(broken)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with read_any_picture():
            photo = open_photo(tmp_path / "a.tif")
    assert any("Corrupt EXIF data" in note or "Skipping tag" in note for note in photo.notes)
    assert capfd.readouterr() == ("", "")
    with pytest.warns(UserWarning):
        assert not open_photo(tmp_path / "a.tif").notes


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 6), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="a.tif.*mode F"):
        [*open_photo(tmp_path / "a.tif").frames()]


@pytest.mark.parametrize(
    "given, reason",
    [
        (Frame(noise().astype(np.float32), None), "type float32"),
        (Frame(noise()[..., 0], None), r"shape \(23, 37\)"),
        (Frame(noise(), noise(1)), r"alpha of shape \(23, 37, 1\)"),
    ],
)
def test_frames_of_other_kinds_are_refused(tmp_path: Path, given: Frame, reason: str) -> None:
    photo = photo_of(tmp_path / "a.png")
    with pytest.raises(ValueError, match=reason):
        photo.write(tmp_path / "b.png", [given])
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "gif", "webp"])
@pytest.mark.parametrize("there", [False, True])
def test_a_failure_in_the_middle_leaves_no_trace(tmp_path: Path, ending: str, there: bool) -> None:
    frames = [Image.fromarray(noise(seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    photo, target = open_photo(tmp_path / "a.gif"), tmp_path / f"out.{ending}"
    if there:
        target.write_bytes(b"as it was")
    before = sorted(tmp_path.iterdir())

    def failing() -> Iterator[Frame]:
        if ending != "jpg":
            yield next(photo.frames())
        raise RuntimeError("out of memory on the GPU")

    with pytest.raises(RuntimeError, match="out of memory"):
        photo.write(target, failing())
    stream = BytesIO()
    with pytest.raises(RuntimeError):
        photo.write(stream, failing(), format=format_of(target))
    assert sorted(tmp_path.iterdir()) == before and stream.getvalue() == b""
    assert not there or target.read_bytes() == b"as it was"


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
def test_a_full_disk_is_said_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    photo, target = photo_of(tmp_path / "a.png"), tmp_path / f"out.{ending}"
    target.write_bytes(b"as it was")
    before = sorted(tmp_path.iterdir())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("deblur.atomic.os.fsync", full)
    with pytest.raises(OSError, match=rf"No space left on device: '.*out\.{ending}'"):
        photo.write(target, photo.frames())
    assert sorted(tmp_path.iterdir()) == before and target.read_bytes() == b"as it was"


@pytest.mark.skipif(sys.platform != "linux", reason="not Linux")
@pytest.mark.parametrize("name", [os.fsdecode(b"bad\xff"), "line\nfailed", "a" * 250])
def test_a_file_of_any_name_is_written(name: str, tmp_path: Path) -> None:
    target = tmp_path / f"{name}.png"
    open_photo(photo_of(tmp_path / "a.png").path or Path()).write(target, [frame()])
    assert target.is_file() and not [*tmp_path.glob(".*")]


@pytest.mark.skipif(sys.platform != "linux", reason="not Linux")
def test_a_device_is_written_to_and_not_replaced() -> None:
    photo = open_photo(ROOT / "deblur/assets/photos/bison.webp")
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        photo.write(Path("/dev/full"), [frame()])
    assert Path("/dev/full").is_char_device()


def test_a_folder_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = photo_of(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match="none/b.png"):
        photo.write(tmp_path / "none" / "b.png", photo.frames())
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(PermissionError, match="locked/b.png"):
            photo.write(tmp_path / "locked" / "b.png", photo.frames())


def test_a_photo_can_be_written_over_itself_and_keeps_its_rights(tmp_path: Path) -> None:
    photo = photo_of(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0o640)
    (tmp_path / "link.png").symlink_to("a.png")
    open_photo(tmp_path / "link.png").write(tmp_path / "link.png", [frame(seed=1)])
    (read,) = photo.frames()
    assert same(read, frame(seed=1)) and (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o640
    photo.write(tmp_path / "new.png", [frame()])
    (tmp_path / "plain").touch()
    assert (tmp_path / "new.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_the_system_says_stays_an_os_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size)

    photo_of(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    monkeypatch.setattr("deblur.media.formats.source.Source.open", lambda _: Broken(content))
    with pytest.raises(OSError, match="Input/output error: '.*a.png'"):
        open_photo(tmp_path / "a.png")
