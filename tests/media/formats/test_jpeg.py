import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_samples import ICC, exif_block, noise, xmp_packet
from pictures import pixels
from PIL import Image

from deblur.data.photos import BUILT_IN
from deblur.media.formats.metadata import upright_exif
from deblur.media.photo import open_photo

IPTC = b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HxxL", 1028, 6) + b"\x1c\2x\0\1a"


def segments(content: bytes) -> list[tuple[int, bytes]]:
    """Parse a JPEG's segments before its pixels by hand."""
    found, place = [], 2
    while (marker := content[place + 1]) != 0xDA:
        size = int.from_bytes(content[place + 2 : place + 4], "big")
        found.append((marker, content[place + 4 : place + 2 + size]))
        place += 2 + size
    return found


def tables(content: bytes) -> list[bytes]:
    """Collect the quantisation tables: an encoder may put them into a segment or more."""
    joined = b"".join(data for marker, data in segments(content) if marker == 0xDB)
    return [joined[place : place + 65] for place in range(0, len(joined), 65)]


def marked(path: Path, extra: list[tuple[int, bytes]], **settings: Any) -> bytes:
    """Write a JPEG with segments of its own behind the first."""
    coded = BytesIO()
    Image.fromarray(pixels(64, 48)).save(coded, "JPEG", dpi=(300, 240), **settings)
    content = coded.getvalue()
    place = 4 + int.from_bytes(content[4:6], "big")
    joined = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data for marker, data in extra
    )
    path.write_bytes(content[:place] + joined + content[place:])
    return path.read_bytes()


def rewritten(path: Path, **settings: Any) -> bytes:
    photo = open_photo(path)
    photo.write(path.with_name("out.jpg"), photo.frames(), **settings)
    return path.with_name("out.jpg").read_bytes()


@pytest.mark.parametrize("quality", [30, 75, 96])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_picture_is_coded_as_it_was(
    tmp_path: Path, quality: int, subsampling: int, progressive: bool
) -> None:
    before = marked(
        tmp_path / "a.jpg", [], quality=quality, subsampling=subsampling, progressive=progressive
    )
    after = rewritten(tmp_path / "a.jpg")
    assert tables(after) == tables(before)
    frames = [
        data
        for content in (before, after)
        for mark, data in segments(content)
        if mark in (0xC0, 0xC2)
    ]
    assert frames[0] == frames[1]
    assert (0xC2 in dict(segments(after))) == progressive


@pytest.mark.parametrize("name", ["citrus-fruits.jpg", "european-honey-bee.jpg"])
def test_real_photos_keep_their_tables_and_segments(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jpg").write_bytes((BUILT_IN / name).read_bytes())
    before, after = (tmp_path / "a.jpg").read_bytes(), rewritten(tmp_path / "a.jpg")
    assert tables(after) == tables(before)
    expected = [
        (marker, b"Exif\0\0" + upright_exif(data[6:]) if data.startswith(b"Exif\0\0") else data)
        for marker, data in segments(before)
        if marker >= 0xE0
    ]
    assert [segment for segment in segments(after) if segment[0] >= 0xE0] == expected
    (first,) = open_photo(tmp_path / "a.jpg").frames()
    (again,) = open_photo(tmp_path / "out.jpg").frames()
    assert np.abs(first.pixels.astype(int) - again.pixels).mean() < 1


def test_segments_are_kept_byte_for_byte(tmp_path: Path) -> None:
    large = ICC + bytes(70000)
    parts = [large[:60000], large[60000:]]
    kept = [
        (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 40 + b"more of it"),
        *(
            (0xE2, b"ICC_PROFILE\0" + bytes([number, 2]) + part)
            for number, part in enumerate(parts, 1)
        ),
        (0xED, IPTC),
        (0xE5, b"a maker's own"),
        (0xFE, b"a comment"),
    ]
    changed = {
        b"Exif\0\0" + exif_block(6, ">"): b"Exif\0\0" + exif_block(1, ">"),
        b"http://ns.adobe.com/xap/1.0/\0"
        + xmp_packet(6): b"http://ns.adobe.com/xap/1.0/\0"
        + xmp_packet(1),
    }
    before = marked(tmp_path / "a.jpg", [*((0xE1, data) for data in changed), *kept])
    after = segments(rewritten(tmp_path / "a.jpg"))
    jfif = b"JFIF\0\1\1\1"
    assert segments(before)[0] == (0xE0, jfif + struct.pack(">HH", 300, 240) + bytes(2))
    assert after[0] == (0xE0, jfif + struct.pack(">HH", 240, 300) + bytes(2))
    assert after[1 : 3 + len(kept)] == [*((0xE1, data) for data in changed.values()), *kept]
    assert all(marker < 0xE0 for marker, _ in after[3 + len(kept) :])


def test_segments_that_are_not_true_any_more_go(tmp_path: Path) -> None:
    gone = [
        (0xE0, b"JFXX\0\x10\xff\xd8 preview"),
        (0xE2, b"MPF\0 where other pictures are"),
        (0xEB, b"JP\0\1 content credentials"),
        (0xEE, b"Adobe\0\x64\0\0\0\0\1"),
    ]
    marked(tmp_path / "a.jpg", [*gone, (0xFE, b"stays")])
    after = segments(rewritten(tmp_path / "a.jpg"))
    assert not {data for _, data in gone} & {data for _, data in after}
    assert (0xFE, b"stays") in after
    photo = open_photo(tmp_path / "a.jpg")
    photo.write(BytesIO(), photo.frames())
    assert "content credentials were left out: they are for the old pixels" in photo.notes


def test_grey_stays_grey(tmp_path: Path) -> None:
    Image.fromarray(pixels(40, 30)[..., 0]).save(tmp_path / "a.jpg", quality=80)
    before = (tmp_path / "a.jpg").read_bytes()
    after = rewritten(tmp_path / "a.jpg")
    assert tables(after) == tables(before) and len(tables(after)) == 1
    with Image.open(tmp_path / "out.jpg") as picture:
        assert picture.mode == "L"


def test_a_quality_that_is_told_is_used(tmp_path: Path) -> None:
    marked(tmp_path / "a.jpg", [], quality=96)
    marked(tmp_path / "b.jpg", [], quality=60)
    assert tables(rewritten(tmp_path / "a.jpg", quality=60)) == tables(
        (tmp_path / "b.jpg").read_bytes()
    )


def test_of_a_phones_pictures_the_first_is_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(pixels(48, 64, shift)) for shift in (0, 1)]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:], quality=95)
    photo = open_photo(tmp_path / "a.jpg")
    (read,) = photo.frames()
    assert (photo.format, photo.count, photo.size) == ("JPEG", 1, (64, 48))
    assert np.abs(read.pixels.astype(int) - pixels(48, 64)).mean() < 5
    assert photo.notes == ["other pictures in the file (previews, depth, gain maps) were left out"]
    assert b"MPF\0" not in rewritten(tmp_path / "a.jpg")


def test_metadata_of_other_formats_comes_along(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(
        tmp_path / "a.webp", exif=exif_block(6), xmp=xmp_packet(6), icc_profile=ICC
    )
    photo = open_photo(tmp_path / "a.webp")
    photo.write(tmp_path / "a.jpg", photo.frames())
    found = segments((tmp_path / "a.jpg").read_bytes())
    assert (0xE1, b"Exif\0\0" + exif_block(1)) in found
    assert (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp_packet(1)) in found
    assert (0xE2, b"ICC_PROFILE\0\1\1" + ICC) in found


def test_what_is_too_long_for_a_segment_is_noted(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.webp", xmp=b"<x/>" + b" " * 70000)
    photo = open_photo(tmp_path / "a.webp")
    photo.write(tmp_path / "a.jpg", photo.frames())
    assert photo.notes == ["XMP was left out: JPEG holds no 70004 bytes of it"]


def test_pictures_larger_than_jpeg_can_be_are_named(tmp_path: Path) -> None:
    Image.new("L", (70000, 1)).save(tmp_path / "a.png")
    photo = open_photo(tmp_path / "a.png")
    with pytest.raises(ValueError, match="a.png"):
        photo.write(tmp_path / "a.jpg", photo.frames())
    assert not (tmp_path / "a.jpg").exists()


ULTRA_HDR = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://rdf"><rdf:Description
 xmlns:Container="http://ns.google.com/photos/1.0/container/"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
 xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" dc:title="A day">
<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item
 Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li><rdf:li><Container:Item
 Item:Semantic="GainMap" Item:Length="999"/></rdf:li></rdf:Seq></Container:Directory>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
MOTION = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="1"
 xmlns:Cam='http://ns.google.com/photos/1.0/camera/' Cam:MotionPhoto="1" Cam:MicroVideo='1'
 Cam:MotionPhotoPresentationTimestampUs="500" Cam:PortraitVersion="3"><Cam:MicroVideoOffset>99
 </Cam:MicroVideoOffset></rdf:Description></x:xmpmeta>"""
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(range(99))


def small_jpeg() -> bytes:
    coded = BytesIO()
    Image.fromarray(pixels(16, 16)).save(coded, "JPEG")
    return coded.getvalue()


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_a_gain_map_goes_and_nothing_promises_it(tmp_path: Path, ending: str) -> None:
    urn = b"urn:iso:std:iso:ts:21496:-1\0\0\0"
    first = marked(tmp_path / "a.jpg", [(0xE1, XMP_HEAD + ULTRA_HDR), (0xE2, urn)])
    (tmp_path / "a.jpg").write_bytes(first + small_jpeg())
    photo = open_photo(tmp_path / "a.jpg")
    photo.write(tmp_path / f"b.{ending}", photo.frames())
    assert "other pictures in the file (previews, depth, gain maps) were left out" in photo.notes
    content = (tmp_path / f"b.{ending}").read_bytes()
    assert b'dc:title="A day"' in content and content.count(b"\xff\xd8\xff") <= 1
    for promise in (b"hdrgm:Version", b"Container:Directory", b"GainMap", urn):
        assert promise in first and promise not in content


def test_a_motion_photos_video_goes_and_nothing_promises_it(tmp_path: Path) -> None:
    first = marked(tmp_path / "a.jpg", [(0xE1, XMP_HEAD + MOTION)])
    (tmp_path / "a.jpg").write_bytes(first + VIDEO)
    photo = open_photo(tmp_path / "a.jpg")
    after = rewritten(tmp_path / "a.jpg")
    assert photo.notes == ["the video of a motion photo was left out"]
    assert b"Cam:PortraitVersion" in after and after.endswith(b"\xff\xd9")
    assert b"MotionPhoto" not in after and b"MicroVideo" not in after


@pytest.mark.parametrize(
    "behind, note",
    [
        (b"a secret", "8 bytes behind the picture were left out"),
        (VIDEO + b"MotionPhoto_Data", "the video of a motion photo was left out"),
        (bytes(500) + b"\xff\xd9\n", None),
        (b"", None),
    ],
)
@pytest.mark.parametrize("progressive", [False, True])
def test_what_follows_the_picture_is_said(
    tmp_path: Path, behind: bytes, note: str | None, progressive: bool
) -> None:
    preview = exif_block(1, preview=small_jpeg())  # has an end of its own
    first = marked(
        tmp_path / "a.jpg",
        [(0xE1, b"Exif\0\0" + preview)],
        progressive=progressive,
        restart_marker_rows=1,
    )
    (tmp_path / "a.jpg").write_bytes(first + behind)
    assert open_photo(tmp_path / "a.jpg").notes == ([note] if note else [])


def test_what_only_jpeg_holds_is_said_where_it_goes(tmp_path: Path) -> None:
    extended = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 40
    own = [(0xED, IPTC), (0xE1, extended), (0xEC, b"Ducky\0"), (0xEB, b"JP\0\1"), (0xFE, b"hi")]
    marked(tmp_path / "a.jpg", own)
    photo = open_photo(tmp_path / "a.jpg")
    photo.write(tmp_path / "b.jpg", photo.frames())
    assert photo.notes == ["content credentials were left out: they are for the old pixels"]
    photo.write(tmp_path / "b.png", photo.frames())
    (note,) = photo.notes[1:]
    assert note == (
        "left out what PNG cannot hold: Photoshop's and IPTC's data, extended XMP, segment APP12"
    )
