import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from photo_samples import ICC, MAKER_NOTE, exif_block, frame, noise, photo_of, same, xmp_packet
from pictures import pixels
from PIL import Image

from deblur.media.formats import tags
from deblur.media.formats.tags import Tag
from deblur.media.images import read as read_pixels
from deblur.media.photo import Frame, open_photo

COMPRESSION, ORIENTATION, PREDICTOR = 259, 274, 317


def pages(path: Path) -> list[tags.Directory]:
    with open(path, "rb") as file:
        return [*tags.read(file)]


def rewritten(path: Path, **settings: Any) -> list[tags.Directory]:
    photo = open_photo(path)
    photo.write(path.with_name("out.tif"), photo.frames(), **settings)
    return pages(path.with_name("out.tif"))


@pytest.mark.parametrize(
    "settings",
    [
        *({"byteorder": order} for order in "<>"),
        *({"byteorder": order, "tile": (16, 16)} for order in "<>"),
        *({"byteorder": order, "compression": "zlib"} for order in "<>"),
        {"byteorder": "<", "bigtiff": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_others_write_is_read_and_what_is_written_is_read_by_others(
    tmp_path: Path, channels: int, deep: bool, settings: dict[str, Any]
) -> None:
    samples = noise(channels, deep)
    tifffile.imwrite(
        tmp_path / "a.tif",
        samples[..., 0] if channels == 1 else samples,
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
        **settings,
    )
    (read,) = open_photo(tmp_path / "a.tif").frames()
    assert np.array_equal(read.pixels, samples[..., :3])
    assert (read.alpha is not None) == (channels == 4)
    (page,) = rewritten(tmp_path / "a.tif")
    (before,) = pages(tmp_path / "a.tif")
    assert tags.numbers(page, COMPRESSION) == tags.numbers(before, COMPRESSION)
    again = tifffile.imread(tmp_path / "out.tif")
    assert np.array_equal(again.reshape(samples.shape), samples) and again.dtype == samples.dtype
    with open(tmp_path / "out.tif", "rb") as file:
        assert tags.is_big(file) == bool(settings.get("bigtiff"))


@pytest.mark.parametrize(
    "compression, code",
    [("tiff_lzw", 5), ("tiff_adobe_deflate", 8), ("packbits", 32773), (None, 1), ("zstd", 50000)],
)
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_compression_is_kept(
    tmp_path: Path, channels: int, deep: bool, compression: str | None, code: int
) -> None:
    before = frame(channels, deep)
    kind = {"compression": compression} if compression else {}
    Image.fromarray(noise(1)[..., 0]).save(
        tmp_path / "a.tif", tiffinfo={PREDICTOR: 2} if code in (5, 8) else {}, **kind
    )
    open_photo(tmp_path / "a.tif").write(tmp_path / "b.tif", [before])
    (page,) = pages(tmp_path / "b.tif")
    assert tags.numbers(page, COMPRESSION) == (code,)
    assert tags.numbers(page, PREDICTOR) == ((2,) if code in (5, 8) else ())
    (read,) = open_photo(tmp_path / "b.tif").frames()
    assert same(read, before)


@pytest.mark.parametrize("compression, code", [("packbits", 32773), (None, 1)])
@pytest.mark.parametrize("deep", [False, True])
def test_a_predictor_that_readers_ignore_goes(
    tmp_path: Path, deep: bool, compression: str | None, code: int
) -> None:
    kind = {"compression": compression} if compression else {}
    Image.fromarray(noise()).save(tmp_path / "a.tif", **kind)
    # libtiff writes none there; here it takes the place of PLANES.
    content = (tmp_path / "a.tif").read_bytes()
    planes = struct.pack("<HHLHH", 284, 3, 1, 1, 0)
    assert content.count(planes) == 1
    predictor = struct.pack("<HHLHH", PREDICTOR, 3, 1, 2, 0)
    (tmp_path / "a.tif").write_bytes(content.replace(planes, predictor))
    assert tags.numbers(pages(tmp_path / "a.tif")[0], PREDICTOR) == (2,)
    open_photo(tmp_path / "a.tif").write(tmp_path / "b.tif", [before := frame(3, deep)])
    (page,) = pages(tmp_path / "b.tif")
    assert tags.numbers(page, COMPRESSION) == (code,)
    assert PREDICTOR not in page
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), before.pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_stays_jpeg(tmp_path: Path, channels: int) -> None:
    waves = pixels(150, 1700)
    waves = waves if channels == 3 else waves[..., 0]
    Image.fromarray(waves).save(tmp_path / "a.tif", compression="jpeg", quality=95)
    photo = open_photo(tmp_path / "a.tif")
    (first,) = photo.frames()
    (page,) = rewritten(tmp_path / "a.tif", quality=95)
    (again,) = open_photo(tmp_path / "out.tif").frames()
    assert tags.numbers(page, COMPRESSION) == (7,) and first.pixels.shape[2] == channels
    assert np.abs(first.pixels.astype(int) - again.pixels).mean() < 3


def test_what_jpeg_cannot_hold_becomes_deflate(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.tif", compression="jpeg")
    photo = open_photo(tmp_path / "a.tif")
    photo.write(tmp_path / "b.tif", [frame(3, deep=True)])
    (read,) = open_photo(tmp_path / "b.tif").frames()
    assert same(read, frame(3, deep=True)) and photo.notes == [
        "TIFF's compression 7 became deflate"
    ]


def test_fax_becomes_deflate(tmp_path: Path) -> None:
    Image.fromarray(noise(1)[..., 0] > 99).save(tmp_path / "a.tif", compression="group4")
    photo = open_photo(tmp_path / "a.tif")
    photo.write(tmp_path / "b.tif", photo.frames())
    (read,) = open_photo(tmp_path / "b.tif").frames()
    assert np.array_equal(read.pixels, (noise(1) > 99) * np.uint8(255))
    assert photo.notes == [
        "1-bit pixels were converted to 8-bit grey",
        "TIFF's compression 4 became deflate",
    ]


@pytest.mark.parametrize("byteorder", "<>")
def test_tags_are_kept_byte_for_byte(tmp_path: Path, byteorder: str) -> None:
    extra = [
        (271, 2, 7, "Camera", True),
        (315, 2, 6, "A. N.", True),
        (700, 1, len(xmp_packet(6)), xmp_packet(6), True),
        (34675, 7, len(ICC), ICC, True),
        (65000, 5, 2, (1, 3, 2, 7), True),
        (65001, 12, 1, 0.1, True),
        (65002, 3, 3, (1, 2, 40000), True),
    ]
    settings: dict[str, Any] = {"resolution": (300, 240), "resolutionunit": 3, "extratags": extra}
    tifffile.imwrite(
        tmp_path / "a.tif", noise(), byteorder=byteorder, photometric="rgb", **settings
    )
    (before,), (after,) = pages(tmp_path / "a.tif"), rewritten(tmp_path / "a.tif")
    for number in (271, 282, 283, 296, 305, 315, 34675, 65000, 65001, 65002):
        assert after[number] == before[number]
    assert after[700] == Tag(1, xmp_packet(1)) and before[700] == Tag(1, xmp_packet(6))
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].tags[65001].value == 0.1
        assert file.pages[0].tags["XResolution"].value == (300, 1)


def test_directories_inside_are_kept(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + exif_block(6, ">"))
    photo = open_photo(tmp_path / "a.jpg")
    photo.write(tmp_path / "a.tif", photo.frames())
    for page in (*pages(tmp_path / "a.tif"), *rewritten(tmp_path / "a.tif")):
        exif, gps = page[0x8769], page[0x8825]
        assert not isinstance(exif, Tag) and exif[0x927C] == Tag(7, MAKER_NOTE)
        assert not isinstance(gps, Tag) and gps[1] == Tag(2, b"N\0")
        assert tags.numbers(page, ORIENTATION) == (1,)
    with Image.open(tmp_path / "out.tif") as picture:
        assert picture.getexif().get_ifd(0x8825)[2] == (48, 51, 29.99)
    # And the way back.
    photo = open_photo(tmp_path / "out.tif")
    photo.write(tmp_path / "b.jpg", photo.frames())
    with Image.open(tmp_path / "b.jpg") as picture:
        assert picture.getexif()[0x010F] == "ABC"
        assert picture.getexif().get_ifd(0x8769)[0x927C] == MAKER_NOTE


def test_pages_keep_their_kinds_and_tags(tmp_path: Path) -> None:
    grey, colour = noise(1, deep=True)[..., 0], noise(3)[:11]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(grey, description="one", metadata=None)
        file.write(colour, description="two", compression="zlib", photometric="rgb", metadata=None)
        file.write(noise(3, deep=True), description="three", photometric="rgb", metadata=None)
    photo = open_photo(tmp_path / "a.tif")
    assert photo.count == 3
    first, second, third = photo.frames()
    assert same(first, Frame(grey[..., None], None)) and same(second, Frame(colour, None))
    assert same(third, Frame(noise(3, deep=True), None))
    after = rewritten(tmp_path / "a.tif")
    assert [tags.numbers(page, COMPRESSION) for page in after] == [(1,), (8,), (1,)]
    assert [page[270] for page in after] == [Tag(2, b"one\0"), Tag(2, b"two\0"), Tag(2, b"three\0")]
    again = open_photo(tmp_path / "out.tif").frames()
    assert all(same(one, other) for one, other in zip(again, (first, second, third), strict=True))


def test_pages_are_taken_one_at_a_time(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for seed in range(4):
            file.write(noise(seed=seed), photometric="rgb", metadata=None)
    photo, written = open_photo(tmp_path / "a.tif"), BytesIO()
    open_frames: list[int] = []

    def counted() -> Any:
        for number, each in enumerate(photo.frames()):
            open_frames.append(number)
            yield each
            del each
            assert open_frames == [*range(number + 1)]

    photo.write(written, counted())
    assert len(open_frames) == 4


def test_grey_whose_zero_is_white_is_inverted(tmp_path: Path) -> None:
    for deep in (False, True):
        grey = noise(1, deep)[..., 0]
        tifffile.imwrite(tmp_path / "a.tif", grey, photometric="miniswhite")
        (read,) = open_photo(tmp_path / "a.tif").frames()
        assert np.array_equal(read.pixels[..., 0], ~grey)
        rewritten(tmp_path / "a.tif")
        (again,) = open_photo(tmp_path / "out.tif").frames()
        assert same(again, read)


def test_deep_grey_with_alpha_becomes_colour_that_can_be_read(tmp_path: Path) -> None:
    before = frame(1, deep=True, alpha=True)
    photo = photo_of(tmp_path / "a.png", before)
    photo.write(tmp_path / "a.tif", photo.frames())
    assert photo.notes == [
        "16-bit grey with alpha became RGB with alpha: few programs read such a TIFF"
    ]
    (read,) = open_photo(tmp_path / "a.tif").frames()
    assert same(read, before._replace(pixels=np.repeat(before.pixels, 3, -1)))
    again = rewritten(tmp_path / "a.tif")
    assert tags.numbers(again[0], 277) == (4,)


def test_premultiplied_alpha_is_undone(tmp_path: Path) -> None:
    alpha = np.array([[65535, 32768, 0]], np.uint16)
    stored = np.stack([np.full_like(alpha, 16384)] * 3 + [alpha], -1)
    stored[0, 2, :3] = 0
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    (read,) = open_photo(tmp_path / "a.tif").frames()
    assert read.pixels[0, :, 0].tolist() == [16384, 32768, 0]
    assert read.alpha is not None and np.array_equal(read.alpha, alpha)


@pytest.mark.parametrize(
    "samples, settings, reason",
    [
        (
            noise(3, deep=True).transpose(2, 0, 1),
            {"planarconfig": "separate", "photometric": "rgb"},
            "planes of their own",
        ),
        (noise(1)[..., 0], {"subfiletype": 1}, "a camera's raw file: develop it"),
        (noise(1)[..., 0], {"extratags": [(50706, 1, 4, b"\1\4\0\0", True)]}, "a camera's raw"),
        (noise(1)[..., 0].astype(np.int32), {}, "mode I, expected 8 or 16 bits"),
        (noise(1)[..., 0].view(np.int8), {}, "signed pixels, expected unsigned"),
        (noise(3).view(np.int8), {"photometric": "rgb"}, "signed pixels, expected unsigned"),
        (noise(3).astype(np.float64), {"photometric": "rgb"}, "3 floating-point samples of 64"),
        (noise(5, True), {"photometric": "rgb", "extrasamples": [0, 0]}, "5 samples of 16 bits"),
    ],
)
def test_what_is_not_read_is_refused(
    tmp_path: Path, samples: Any, settings: dict[str, Any], reason: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", samples, **settings)
    with pytest.raises(ValueError, match=rf"a\.tif: not a readable picture \(.*{reason}"):
        [*open_photo(tmp_path / "a.tif").frames()]


@pytest.mark.parametrize(
    "extra, alpha, note",
    [
        (["unassalpha"], True, None),
        (["unspecified"], False, "a channel was left out: neither colour nor alpha"),
        (["unassalpha", "unspecified"], True, "a channel was left out"),
        (["unspecified", "unspecified"], False, "2 channels were left out"),
    ],
)
@pytest.mark.parametrize("ending", ["tif", "png"])
def test_channels_that_are_not_read_are_said(
    tmp_path: Path, extra: list[str], alpha: bool, note: str | None, ending: str
) -> None:
    samples = noise(3 + len(extra))
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=extra)
    photo = open_photo(tmp_path / "a.tif")
    photo.write(tmp_path / f"b.{ending}", photo.frames())
    assert [said.startswith(note or "?") for said in photo.notes] == [True] * bool(note)
    (again,) = open_photo(tmp_path / f"b.{ending}").frames()
    assert np.array_equal(again.pixels, samples[..., :3]) and (again.alpha is not None) == alpha


@pytest.mark.parametrize("ending", ["tif", "jpg"])
def test_pictures_inside_of_pages_are_said_to_be_left_out(tmp_path: Path, ending: str) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(noise(), photometric="rgb", subifds=1)
        file.write(noise()[::2, ::2], photometric="rgb", subfiletype=1)
    photo = open_photo(tmp_path / "a.tif")
    photo.write(tmp_path / f"b.{ending}", photo.frames())
    (note,) = photo.notes
    assert "SubIFDs" in note and "left out" in note


def test_signed_pixels_are_refused_for_training_too(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(1)[..., 0].view(np.int8))
    with pytest.raises(ValueError, match="a.tif"):
        read_pixels(tmp_path / "a.tif")


def test_what_only_tiff_holds_is_said_where_it_goes(tmp_path: Path) -> None:
    iptc = [(33723, 7, 6, b"\x1c\2x\0\1a", True)]
    tifffile.imwrite(tmp_path / "a.tif", noise(), photometric="rgb", extratags=iptc)
    photo = open_photo(tmp_path / "a.tif")
    photo.write(tmp_path / "b.tif", photo.frames())
    assert photo.notes == []
    photo.write(tmp_path / "b.png", photo.frames())
    assert photo.notes == ["left out what PNG cannot hold: Photoshop's and IPTC's data"]


def test_photoshops_layers_are_left_out(tmp_path: Path) -> None:
    layers = [(37724, 7, 40, b"Adobe Photoshop Document Data Block\0....", True)]
    tifffile.imwrite(tmp_path / "a.tif", noise(), photometric="rgb", extratags=layers)
    photo = open_photo(tmp_path / "a.tif")
    photo.write(tmp_path / "out.tif", photo.frames())
    assert 37724 not in pages(tmp_path / "out.tif")[0]
    assert photo.notes == ["Photoshop's layers were left out: they hold the old pixels"]


def test_twelve_bits_are_widened(tmp_path: Path) -> None:
    # Two samples are in three bytes.
    samples = b"\xff\xf0\x00" + b"\x80\x00\x10"
    page = {
        **{256: tags.longs(2), 257: tags.longs(2), 258: tags.shorts(12), 259: tags.shorts(1)},
        **{262: tags.shorts(1), 273: tags.longs(8), 277: tags.shorts(1), 279: tags.longs(6)},
    }
    content = b"II*\0" + (14).to_bytes(4, "little") + samples + tags.write(page, 14)
    photo = open_photo(BytesIO(content))
    (read,) = photo.frames()
    assert read.pixels[..., 0].tolist() == [[65535, 0], [0x8008, 0x0100]]
    assert photo.notes == ["12 bits were widened to 16"]


def test_photoshops_preview_is_taken_out(tmp_path: Path) -> None:
    caption = b"8BIM\x04\x04\0\0\0\0\0\x02hi"
    preview = b"8BIM\x04\x0c\0\0\0\0\0\x04\xff\xd8\xff\xd9"
    extra = [(34377, 7, len(caption + preview), preview + caption, True)]
    tifffile.imwrite(tmp_path / "a.tif", noise(), photometric="rgb", extratags=extra)
    assert rewritten(tmp_path / "a.tif")[0][34377] == Tag(7, caption)


def test_broken_exif_is_left_out_and_it_is_said(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.jpg", exif=b"Exif\0\0broken")
    photo = open_photo(tmp_path / "a.jpg")
    photo.write(tmp_path / "a.tif", photo.frames())
    assert "EXIF was left out: it is broken" in photo.notes


def test_a_bad_directory_does_not_read_the_file_over_and_over() -> None:
    # A thousand tags, each of which is said to hold the whole file.
    size = 2 + 12 * 1000 + 4 + 8 + 100_000
    entry = b"\x07\0" + (size - 20).to_bytes(4, "little") + (8).to_bytes(4, "little")
    entries = b"".join((60000 + n).to_bytes(2, "little") + entry for n in range(1000))
    content = b"II*\0\x08\0\0\0" + (1000).to_bytes(2, "little") + entries
    (page,) = tags.read(BytesIO(content.ljust(size, b"\0")))
    assert len(page) == 1


def test_a_tiff_without_a_size_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0\x08\0\0\0" + tags.write({259: Tag(3, b"\1\0")}, 8))
    with pytest.raises(ValueError, match="a.tif"):
        open_photo(tmp_path / "a.tif")
    (tmp_path / "a.tif").write_bytes(b"II*\0" + bytes(60))
    with pytest.raises(ValueError, match="a.tif"):
        open_photo(tmp_path / "a.tif")
