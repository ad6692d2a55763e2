import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from photo_samples import HEIGHT, ICC, WIDTH, exif_block, frame, noise, same, xmp_packet
from PIL import Image, PngImagePlugin

from deblur.media.images import read as read_pixels
from deblur.media.photo import Frame, open_photo
from deblur.media.pillow_settings import read_any_picture

COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
PASSES = [
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
]
"""Of interlacing: first row and column, and the steps."""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def encoded(
    samples: NDArray[Any], extra: tuple[tuple[bytes, bytes], ...] = (), interlaced: bool = False
) -> bytes:
    """Write a PNG by hand: samples (H, W, C) unfiltered, with chunks before the pixels."""
    height, width, channels = samples.shape
    depth = 8 * samples.itemsize
    parts = (
        [samples[y::rows, x::columns] for y, x, rows, columns in PASSES]
        if interlaced
        else [samples]
    )
    lines = b"".join(
        b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes()
        for part in parts
        if part.size
        for row in part
    )
    head = struct.pack(">LLBBBBB", width, height, depth, COLOURS[channels], 0, 0, interlaced)
    chunks = [(b"IHDR", head), *extra, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def chunks(path: Path) -> list[tuple[bytes, bytes]]:
    """Parse a PNG's chunks by hand, and check their sums."""
    content, found, place = path.read_bytes(), [], 8
    while place < len(content):
        (size,) = struct.unpack_from(">L", content, place)
        body = content[place + 4 : place + 8 + size]
        assert struct.unpack_from(">L", content, place + 8 + size)[0] == zlib.crc32(body)
        found.append((body[:4], body[4:]))
        place += 12 + size
    return found


def rewritten(path: Path) -> list[tuple[bytes, bytes]]:
    photo = open_photo(path)
    photo.write(path.with_name("out.png"), photo.frames())
    return chunks(path.with_name("out.png"))


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_all_kinds_are_read_and_written_exactly(
    tmp_path: Path, channels: int, deep: bool, interlaced: bool
) -> None:
    samples = noise(channels, deep)
    (tmp_path / "a.png").write_bytes(encoded(samples, interlaced=interlaced))
    photo = open_photo(tmp_path / "a.png")
    (read,) = photo.frames()
    colours = channels - 1 + channels % 2
    assert np.array_equal(read.pixels, samples[..., :colours])
    assert (read.alpha is None) == bool(channels % 2)
    if read.alpha is not None:
        assert np.array_equal(read.alpha, samples[..., -1])
    found = rewritten(tmp_path / "a.png")
    assert found[0] == (
        b"IHDR",
        struct.pack(">LLBBBBB", WIDTH, HEIGHT, 8 << deep, COLOURS[channels], 0, 0, 0),
    )
    (again,) = open_photo(tmp_path / "out.png").frames()
    assert same(again, read) and photo.notes == []


def test_large_pictures_are_written_exactly(tmp_path: Path) -> None:
    waves = np.add.outer(np.arange(300) ** 2, np.arange(500) * 7) % 65536
    waves = np.repeat(waves[..., None], 3, -1)
    waves[:, 400:] = np.random.default_rng(0).integers(0, 65536, (300, 100, 3))
    before = Frame(waves.astype(np.uint16), None)
    (tmp_path / "a.png").write_bytes(encoded(before.pixels))
    found = rewritten(tmp_path / "a.png")
    (again,) = open_photo(tmp_path / "out.png").frames()
    assert same(again, before)
    assert sum(len(data) for _, data in found) < (tmp_path / "a.png").stat().st_size


def test_chunks_are_kept_byte_for_byte(tmp_path: Path) -> None:
    kept = (
        (b"gAMA", struct.pack(">L", 45455)),
        (b"cHRM", struct.pack(">8L", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
        (b"iCCP", b"a profile\0\0" + zlib.compress(ICC, 9)),
        (b"cICP", bytes([1, 13, 0, 1])),
        (b"pHYs", struct.pack(">LLB", 11811, 5906, 1)),
        (b"tEXt", b"Author\0A. N. Other"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"packed")),
        (b"iTXt", b"Title\0\0\0de\0Titel\0" + "Brücke".encode()),
        (b"tIME", struct.pack(">HBBBBB", 2024, 2, 29, 12, 30, 59)),
        (b"prVt", b"a program's own, safe to copy"[:29]),
    )
    gone = ((b"bKGD", bytes(6)), (b"sBIT", b"\5\5\5"), (b"prVT", b"of the old pixels"))
    safe = tuple(each for each in kept if each[0] != b"prVt") + ((b"prvt", b"safe to copy"),)
    (tmp_path / "a.png").write_bytes(encoded(noise(), safe + gone))
    found = rewritten(tmp_path / "a.png")
    assert tuple(found[1 : 1 + len(safe)]) == safe
    assert {kind for kind, _ in found[1 + len(safe) :]} == {b"IDAT", b"IEND"}


def test_only_orientation_changes_in_chunks(tmp_path: Path) -> None:
    head = b"XML:com.adobe.xmp\0"
    before = (
        (b"eXIf", exif_block(6, ">")),
        (b"iTXt", head + b"\1\0\0\0" + zlib.compress(xmp_packet(6))),
    )
    (tmp_path / "a.png").write_bytes(encoded(noise(), before))
    found = rewritten(tmp_path / "a.png")
    assert found[0][1][:8] == struct.pack(">LL", HEIGHT, WIDTH)
    assert found[1:3] == [(b"eXIf", exif_block(1, ">")), (b"iTXt", head + bytes(4) + xmp_packet(1))]


def test_chunks_behind_the_pixels_stay_there_and_are_read(tmp_path: Path) -> None:
    content = encoded(noise())
    behind = chunk(b"eXIf", exif_block(6)) + chunk(b"tEXt", b"Software\0a camera")
    (tmp_path / "a.png").write_bytes(content[:-12] + behind + content[-12:])
    assert open_photo(tmp_path / "a.png").size == (HEIGHT, WIDTH)
    found = rewritten(tmp_path / "a.png")
    assert found[-3:-1] == [(b"eXIf", exif_block(1)), (b"tEXt", b"Software\0a camera")]


def test_exif_as_text_becomes_a_chunk_of_its_own(tmp_path: Path) -> None:
    block = b"Exif\0\0" + exif_block(6)
    lines = [block.hex()[place : place + 72] for place in range(0, 2 * len(block), 72)]
    text = f"\nexif\n{len(block):8}\n" + "\n".join(lines) + "\n"
    said = b"Raw profile type exif\0\0" + zlib.compress(text.encode())
    (tmp_path / "a.png").write_bytes(encoded(noise(), ((b"zTXt", said),)))
    assert open_photo(tmp_path / "a.png").size == (HEIGHT, WIDTH)
    assert rewritten(tmp_path / "a.png")[1] == (b"eXIf", exif_block(1))


def test_of_several_blocks_of_exif_the_first_is_kept(tmp_path: Path) -> None:
    lines = f"\nexif\n{len(exif_block(3)):8}\n{exif_block(3).hex()}\n"
    said = (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(lines.encode()))
    for extra, upright in (
        (((b"eXIf", exif_block(6, ">")), said), exif_block(1, ">")),
        ((said, (b"eXIf", exif_block(6, ">"))), exif_block(1)),
    ):
        (tmp_path / "a.png").write_bytes(encoded(noise(), extra))
        found = rewritten(tmp_path / "a.png")
        assert [data for kind, data in found if kind == b"eXIf"] == [upright]
        assert {kind for kind, _ in found} == {b"IHDR", b"eXIf", b"IDAT", b"IEND"}


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour_becomes_alpha(tmp_path: Path, channels: int, deep: bool) -> None:
    samples = noise(channels, deep)
    key = struct.pack(f">{channels}H", *(int(value) for value in samples[3, 5]))
    (tmp_path / "a.png").write_bytes(encoded(samples, ((b"tRNS", key),)))
    (read,) = open_photo(tmp_path / "a.png").frames()
    assert read.alpha is not None and read.alpha[3, 5] == 0
    assert np.array_equal(read.alpha == 0, (samples == samples[3, 5]).all(-1))
    assert np.array_equal(read.pixels, samples)


def test_an_animation_is_kept(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(4, seed=seed), "RGBA") for seed in range(3)]
    frames[0].save(
        tmp_path / "a.png",
        save_all=True,
        append_images=frames[1:],
        duration=[1000 / 30, 40, 500],
        loop=3,
        blend=PngImagePlugin.Blend.OP_SOURCE,
    )
    photo = open_photo(tmp_path / "a.png")
    read = [*photo.frames()]
    assert photo.count == len(read) == 3
    for one, picture in zip(read, frames):
        assert same(one, Frame(np.asarray(picture)[..., :3], np.asarray(picture)[..., 3]))
    found = rewritten(tmp_path / "a.png")
    controls = [struct.unpack(">LLLLLHHBB", data) for kind, data in found if kind == b"fcTL"]
    assert (b"acTL", struct.pack(">LL", 3, 3)) in found
    assert [control[5] / control[6] for control in controls] == [1 / 30, 0.04, 0.5]
    again = [*open_photo(tmp_path / "out.png").frames()]
    assert all(same(one, other) for one, other in zip(again, read)) and len(again) == 3


def test_the_cover_of_an_animation_stays_out_of_it(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(seed=seed)) for seed in range(3)]
    frames[0].save(
        tmp_path / "a.png", save_all=True, append_images=frames[1:], default_image=True, duration=70
    )
    photo = open_photo(tmp_path / "a.png")
    assert photo.count == 3
    kinds = [
        kind for kind, _ in rewritten(tmp_path / "a.png") if kind in (b"acTL", b"fcTL", b"IDAT")
    ]
    assert kinds == [b"acTL", b"IDAT", b"fcTL", b"fcTL"]
    assert all(
        same(one, other)
        for one, other in zip(open_photo(tmp_path / "out.png").frames(), photo.frames())
    )


def test_fewer_frames_than_the_animation_has_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    photo = open_photo(tmp_path / "a.png")
    with pytest.raises(ValueError, match="2 frames.*a.png"):
        photo.write(tmp_path / "out.png", [*photo.frames()][:2])


@pytest.mark.parametrize("other", [noise()[:20], noise()[..., 0]])
def test_pages_of_several_sizes_or_kinds_are_refused(tmp_path: Path, other: Any) -> None:
    first = Image.fromarray(noise())
    first.save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(other)])
    photo = open_photo(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="a.tif: can't be written as PNG .*same size and kind"):
        photo.write(tmp_path / "a.png", photo.frames())
    assert not (tmp_path / "a.png").exists()


def test_a_profile_of_inks_is_not_kept_for_rgb(tmp_path: Path) -> None:
    inks = ICC[:16] + b"CMYK" + ICC[20:]
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg", icc_profile=inks)
    photo = open_photo(tmp_path / "a.jpg")
    photo.write(tmp_path / "a.png", photo.frames())
    assert b"iCCP" not in dict(chunks(tmp_path / "a.png"))


def test_metadata_of_other_formats_comes_along(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(
        tmp_path / "a.jpg",
        exif=b"Exif\0\0" + exif_block(6),
        xmp=xmp_packet(6),
        icc_profile=ICC,
        dpi=(300, 300),
        comment=b"hello",
    )
    photo = open_photo(tmp_path / "a.jpg")
    photo.write(tmp_path / "a.png", [frame()])
    found = dict(chunks(tmp_path / "a.png"))
    assert zlib.decompress(found[b"iCCP"].split(b"\0\0", 1)[1]) == ICC
    assert found[b"eXIf"] == exif_block(1)
    assert found[b"iTXt"].endswith(b"\0" + xmp_packet(1))
    assert found[b"pHYs"] == struct.pack(">LLB", 11811, 11811, 1)
    assert found[b"tEXt"] == b"Comment\0hello"


@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize("space, channels", [(b"RGB ", 3), (b"GRAY", 1), (None, 1)])
def test_a_grey_palette_becomes_what_its_profile_is_for(
    tmp_path: Path, space: bytes | None, channels: int, clear: bool
) -> None:
    grey = Image.fromarray(noise(1)[..., 0], "P")
    grey.putpalette(bytes(255 - place // 3 for place in range(768)))
    about: dict[str, Any] = {"icc_profile": ICC[:16] + space + ICC[20:]} if space else {}
    grey.save(tmp_path / "a.png", **about | ({"transparency": 7} if clear else {}))
    (read,) = open_photo(tmp_path / "a.png").frames()
    assert np.array_equal(read.pixels, np.repeat(255 - noise(1), channels, -1))
    assert (read.alpha is not None) == clear
    found = dict(rewritten(tmp_path / "a.png"))
    assert found[b"IHDR"][9] == COLOURS[channels + clear]
    assert (b"iCCP" in found) == (space is not None)


def test_an_animation_of_16_bits_is_written_so_but_read_as_8(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(1, seed=seed)[..., 0]) for seed in range(2)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    deep = [frame(3, deep=True, seed=seed) for seed in range(2)]
    open_photo(tmp_path / "a.webp").write(tmp_path / "a.png", deep)
    photo = open_photo(tmp_path / "a.png")
    for one, other in zip(photo.frames(), deep, strict=True):
        assert np.array_equal(one.pixels, other.pixels >> 8)
    assert photo.notes == ["16 bits were read as 8"]


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
@pytest.mark.parametrize("behind", [False, True])
def test_long_texts_are_kept(tmp_path: Path, kind: bytes, behind: bool) -> None:
    flags = b"\0" if kind == b"zTXt" else b"\1\0\0\0"
    packed = zlib.compress(b"{" * 3_000_000)
    text = chunk(kind, b"workflow\0" + flags + packed)
    content = encoded(noise())
    place = len(content) - 12 if behind else 33
    (tmp_path / "a.png").write_bytes(content[:place] + text + content[place:])
    with pytest.raises(ValueError, match="a.png"):  # Pillow's own limit
        [*open_photo(tmp_path / "a.png").frames()]
    with read_any_picture():
        (read,) = open_photo(tmp_path / "a.png").frames()
        assert np.array_equal(read.pixels, noise())
        assert (kind, b"workflow\0" + flags + packed) in rewritten(tmp_path / "a.png")
        assert np.array_equal(read_pixels(tmp_path / "a.png"), noise())


def test_what_follows_the_picture_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(noise()) + chunk(b"teXt", b"behind") + b"more")
    found = rewritten(tmp_path / "a.png")
    assert [kind for kind, _ in found] == [b"IHDR", b"IDAT", b"IEND"]
    assert open_photo(tmp_path / "a.png").notes == ["22 bytes behind the picture were left out"]


@pytest.mark.parametrize(
    "extra, lost",
    [
        ([(b"gAMA", struct.pack(">L", 100000)), (b"tEXt", b"Author\0I")], "gAMA, text"),
        (
            [(b"cHRM", bytes(32)), (b"mDCV", bytes(24)), (b"prvt", b"")],
            "cHRM, chunk mDCV, chunk prvt",
        ),
        ([(b"cICP", bytes([9, 16, 0, 1])), (b"gAMA", bytes(4))], r"CICP colour tags \(9/16\)"),
        ([(b"gAMA", bytes(4)), (b"sRGB", b"\0"), (b"tIME", bytes(7))], None),
        ([(b"gAMA", struct.pack(">L", 45455)), (b"eXIf", exif_block(1))], None),
    ],
)
def test_what_only_png_holds_is_said_where_it_goes(
    tmp_path: Path, extra: list[tuple[bytes, bytes]], lost: str | None
) -> None:
    (tmp_path / "a.png").write_bytes(encoded(noise(), tuple(extra)))
    photo = open_photo(tmp_path / "a.png")
    photo.write(tmp_path / "b.png", photo.frames())
    assert photo.notes == []
    photo.write(tmp_path / "b.webp", photo.frames())
    assert len(photo.notes) == (lost is not None)
    for note in photo.notes:
        assert re.fullmatch(f"left out what WEBP cannot hold: {lost}", note)
