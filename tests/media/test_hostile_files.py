"""Small files made so that reading or writing them would take very long, or never end."""

import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from photo_samples import noise
from PIL import Image

from deblur.media import video_tags
from deblur.media.formats import avif, png, tags, tiff
from deblur.media.formats.metadata import Cicp, Metadata, upright_xmp, without_preview
from deblur.media.formats.png_chunks import PIXELS, SIGNATURE, read_chunks
from deblur.media.formats.source import Source
from deblur.media.photo import open_photo

SPACE = b"http://ns.google.com/photos/1.0/camera/"


@contextmanager
def at_once() -> Iterator[None]:
    """Check that the processor does in seconds what took it minutes when time grew as a square."""
    before = time.process_time()
    yield
    assert time.process_time() - before < 20


class Counted(BytesIO):
    """A file that counts the bytes that are read of it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def directory(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    """Pack a TIFF's directory: a tag, a type, how many values, and where they are."""
    packed = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<L", following)


def test_a_jpeg_that_ends_in_erased_memory(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.jpg")
    cut = (tmp_path / "a.jpg").read_bytes()[:-200]
    (tmp_path / "a.jpg").write_bytes(cut + b"\xff" * 500_000 + bytes(16))
    with at_once():
        open_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    "part",
    [
        *(b"<G:MotionPhoto>", b"<G:MotionPhoto ", b"</G:MotionPhoto>", b" ", b" G:MotionPhoto = "),
        *(b" G:MotionPhoto=\"'", b"xmlns:G", b"<G:MotionPhoto/>", b" G:MotionPhoto=''"),
        *(b"<G:MotionPhoto%d>", b" xmlns:G%d='" + SPACE + b"'"),
    ],
    ids=str,
)
def test_an_xmp_packet_of_one_thing_over_and_over(part: bytes) -> None:
    many = range(2_000_000 // len(part))
    parts = (part % number if b"%d" in part else part for number in many)
    packet = b'<x xmlns:G="%s">' % SPACE + b"".join(parts) + b"</x>"
    with at_once():
        upright_xmp(packet)


def test_an_xmp_packet_that_is_too_long_keeps_all_but_its_orientation() -> None:
    packet = b"<d xmlns:g='%s' g:MotionPhoto='1' tiff:Orientation='6'/>" % SPACE
    assert b"Motion" not in upright_xmp(packet)
    long = packet + b" " * (1 << 22)
    assert upright_xmp(long) == long.replace(b"='6'", b"='1'")


def test_a_png_of_many_empty_chunks() -> None:
    content = SIGNATURE + chunk(b"prVt") * 100_000 + chunk(b"IDAT") * 100_000
    with at_once():
        assert read_chunks(BytesIO(content))[-2:] == [(b"prVt", b""), PIXELS]


def test_a_pngs_texts_are_inflated_to_a_size_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "LARGEST", 1000)

    def read(*sizes: int) -> Metadata:
        packed = (zlib.compress(b"<x>".ljust(size)) for size in sizes)
        texts = (chunk(b"iTXt", png.XMP_HEAD + b"\1\0\0\0" + text) for text in packed)
        return png.read_metadata(BytesIO(SIGNATURE + b"".join(texts) + chunk(b"IDAT")))

    assert (len(read(1000).xmp), read(1000).own) == (1000, ())
    assert (read(1001).xmp, read(1001).own) == (b"", ("text",))
    assert read(600, 400).own == () and read(600, 401).own == ("text",)
    assert read(1001, 5).xmp == b""


def test_a_broken_text_of_a_png_ends_the_inflating() -> None:
    broken = png.XMP_HEAD + b"\1\0\0\0" + zlib.compress(bytes(9000))[:-4] + b"sum?"
    whole = png.XMP_HEAD + b"\1\0\0\0" + zlib.compress(b"<x>")
    content = SIGNATURE + chunk(b"iTXt", broken) + chunk(b"iTXt", whole)
    assert png.read_metadata(BytesIO(content)).xmp == b""


def test_a_tiff_whose_pages_all_hold_most_of_it() -> None:
    size = 8 + 18 * 1000
    links = [8 + 18 * number for number in range(1, 1000)] + [0]
    pages = (directory((700, 1, size - 16, 8), following=link) for link in links)
    file = Counted(b"II*\0\x08\0\0\0" + b"".join(pages))
    tiff.examine(file, pytest.fail)
    assert file.count < 4 * size


def test_a_tiff_whose_directories_hold_each_other() -> None:
    inside = [(0x8769, 4, 1, 8)] * 2000
    file = Counted(b"II*\0\x08\0\0\0" + directory(*inside))
    size = len(file.getvalue())
    [*tags.read(file)]
    assert file.count < 4 * size


def test_a_tiff_of_pages_without_end_is_refused(tmp_path: Path) -> None:
    links = [8 + 6 * number for number in range(1, 10_000)] + [0]
    content = b"II*\0\x08\0\0\0" + b"".join(directory(following=link) for link in links)
    with pytest.raises(ValueError, match="more than 5000 pages"):
        open_photo(BytesIO(content))


def test_each_page_of_16_bits_is_gone_to_from_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for seed in range(8):
            file.write(noise(deep=True, seed=seed), photometric="rgb", metadata=None)
    opened, picture = [], Source.picture

    def watch(self: Source, *arguments: Any) -> Any:
        opened.append(self)
        return picture(self, *arguments)

    monkeypatch.setattr(Source, "picture", watch)
    for seed, frame in enumerate(open_photo(tmp_path / "a.tif").frames()):
        assert np.array_equal(frame.pixels, noise(deep=True, seed=seed))
    assert seed == 7 and len(opened) == 4


def test_a_gif_whose_second_frame_is_larger_is_refused(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:])
    content = bytearray((tmp_path / "a.gif").read_bytes())
    place = content.rindex(b"\x2c\0\0\0\0\x08\0\x08\0")  # left, top, width and height
    content[place + 1 : place + 5] = (200).to_bytes(2, "little") * 2
    (tmp_path / "b.gif").write_bytes(content)
    frames = open_photo(tmp_path / "b.gif").frames()
    next(frames)
    with pytest.raises(ValueError, match="b.gif: .*larger than the first"):
        next(frames)


def test_photoshops_resources_without_end() -> None:
    empty = b"8BIM" + struct.pack(">HxxL", 1028, 0)
    with at_once():
        assert without_preview(empty * 1_000_000) == empty * 1_000_000


def test_an_avif_of_colour_tags() -> None:
    content = (avif.TAGS + bytes(4)) * 500_000
    with at_once():
        assert (
            avif._tagged(content + b"mdat", Cicp(9, 16))
            == content.replace(bytes(4), b"\0\x09\0\x10") + b"mdat"
        )


def test_a_video_of_empty_boxes() -> None:
    with at_once():
        assert len(video_tags._split(b"\0\0\0\x08free" * 1_000_000)) == 1_000_000
