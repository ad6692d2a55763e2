import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_samples import ICC, MAKER_NOTE, exif_block, noise, same, xmp_packet
from pictures import pixels
from PIL import Image

from deblur.media.photo import Frame, open_photo


def chunks(path: Path) -> dict[bytes, bytes]:
    """Parse a WebP's chunks by hand; of frames the last."""
    content, found, place = path.read_bytes(), {}, 12
    while place < len(content):
        (size,) = struct.unpack_from("<L", content, place + 4)
        found[content[place : place + 4]] = content[place + 8 : place + 8 + size]
        place += 8 + size + size % 2
    return found


def rewritten(path: Path, **settings: Any) -> Path:
    photo, target = open_photo(path), path.with_name(f"out{path.suffix}")
    photo.write(target, photo.frames(), **settings)
    return target


@pytest.mark.parametrize("lossless", [False, True])
def test_webp_keeps_its_kind_and_metadata(tmp_path: Path, lossless: bool) -> None:
    Image.fromarray(pixels(40, 60)).save(
        tmp_path / "a.webp",
        lossless=lossless,
        exif=exif_block(6),
        xmp=xmp_packet(6),
        icc_profile=ICC,
    )
    before, after = chunks(tmp_path / "a.webp"), chunks(rewritten(tmp_path / "a.webp"))
    assert (b"VP8L" in after) == (b"VP8L" in before) == lossless
    assert (after[b"EXIF"], after[b"XMP "], after[b"ICCP"]) == (exif_block(1), xmp_packet(1), ICC)
    assert b"VP8 " in chunks(rewritten(tmp_path / "a.webp", quality=80))


def test_alpha_of_a_lossy_webp_is_untouched(tmp_path: Path) -> None:
    samples = np.dstack(
        [pixels(40, 60), np.linspace(0, 255, 2400).reshape(40, 60).astype(np.uint8)]
    )
    Image.fromarray(samples).save(tmp_path / "a.webp", quality=80)
    (before,) = open_photo(tmp_path / "a.webp").frames()
    (after,) = open_photo(rewritten(tmp_path / "a.webp")).frames()
    assert before.alpha is not None and after.alpha is not None
    assert np.array_equal(before.alpha, samples[..., 3]) and np.array_equal(
        after.alpha, before.alpha
    )


def test_an_animated_webp_keeps_its_times(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(4, seed=seed)) for seed in range(4)]
    frames[0].save(
        tmp_path / "a.webp",
        save_all=True,
        append_images=frames[1:],
        duration=[40, 50, 1000, 70],
        loop=2,
        background=(1, 2, 3, 4),
        lossless=True,
        exif=exif_block(),
    )
    photo = open_photo(tmp_path / "a.webp")
    before = [*photo.frames()]
    target = rewritten(tmp_path / "a.webp")
    after = [*open_photo(target).frames()]
    assert photo.count == len(before) == len(after) == 4
    assert all(same(one, other) for one, other in zip(before, after))
    assert chunks(target)[b"ANIM"] == chunks(tmp_path / "a.webp")[b"ANIM"]
    assert chunks(target)[b"EXIF"] == exif_block()
    with Image.open(target) as picture:
        times = []
        for index in range(4):
            picture.seek(index)
            picture.load()
            times.append(picture.info["duration"])
    assert times == [40, 50, 1000, 70]


@pytest.mark.parametrize("clear", [False, True])
def test_a_gif_keeps_its_times_and_few_colours(tmp_path: Path, clear: bool) -> None:
    frames = []
    for seed in range(3):
        samples = noise(4, seed=seed) // 64 * 80
        samples[..., 3] = np.where(samples[..., 3] < 100, 0, 255) if clear else 255
        frames.append(Image.fromarray(samples))
    frames[0].save(
        tmp_path / "a.gif",
        save_all=True,
        append_images=frames[1:],
        duration=[40, 50, 700],
        loop=4,
        disposal=2,
        comment=b"a comment",
    )
    photo = open_photo(tmp_path / "a.gif")
    before = [*photo.frames()]
    target = rewritten(tmp_path / "a.gif")
    again = open_photo(target)
    after = [*again.frames()]
    assert photo.count == len(before) == len(after) == 3
    for one, other in zip(before, after):
        assert (one.alpha is None) == (other.alpha is None)
        seen = slice(None) if one.alpha is None else one.alpha > 0
        assert np.array_equal(one.pixels[seen], other.pixels[seen])
        assert one.alpha is None or np.array_equal(one.alpha, other.alpha)
    with Image.open(target) as picture:
        assert (picture.info["loop"], picture.info["comment"]) == (4, b"a comment")
        times = []
        for index in range(3):
            picture.seek(index)
            times.append(picture.info["duration"])
    assert times == [40, 50, 700]
    assert photo.notes == []


@pytest.mark.parametrize("ending", ["webp", "gif", "avif"])
def test_the_cover_of_an_animation_is_left_out(tmp_path: Path, ending: str) -> None:
    frames = [Image.fromarray(noise(seed=seed)) for seed in range(4)]
    settings: dict[str, Any] = {"save_all": True, "default_image": True, "duration": [70, 80, 90]}
    frames[0].save(tmp_path / "a.png", append_images=frames[1:], **settings)
    photo = open_photo(tmp_path / "a.png")
    photo.write(tmp_path / f"a.{ending}", photo.frames())
    written = open_photo(tmp_path / f"a.{ending}")
    assert written.count == 3
    with Image.open(tmp_path / f"a.{ending}") as picture:
        for index, duration in enumerate((70, 80, 90)):
            picture.seek(index)
            picture.load()
            assert picture.info["duration"] == duration
    assert any(note.startswith("the cover was left out") for note in photo.notes)


def test_a_gif_of_colours_behind_a_grey_frame_is_refused(tmp_path: Path) -> None:
    grey = Image.fromarray(np.arange(512, dtype=np.uint8).reshape(16, 32))
    colours = Image.fromarray(pixels(16, 32)).quantize(64)
    grey.save(tmp_path / "a.gif", save_all=True, append_images=[colours])
    photo = open_photo(tmp_path / "a.gif")
    assert photo.count == 2
    with pytest.raises(ValueError, match="a.gif: .*colours behind a grey frame"):
        [*photo.frames()]


def test_a_gif_has_frames_of_one_size(tmp_path: Path) -> None:
    pages = [Image.fromarray(noise(seed=1)), Image.fromarray(noise()[:20])]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    photo = open_photo(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="a.tif: can't be written as GIF"):
        photo.write(tmp_path / "a.gif", photo.frames())


def test_of_an_animation_the_first_frame_is_written_where_there_is_room_for_one(
    tmp_path: Path,
) -> None:
    frames = [Image.fromarray(noise(seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    photo = open_photo(tmp_path / "a.webp")
    photo.write(tmp_path / "a.bmp", photo.frames())
    (read,) = open_photo(tmp_path / "a.bmp").frames()
    assert np.array_equal(read.pixels, noise())
    assert photo.notes == ["of 3 frames the first was written: BMP has no more"]


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
def test_avif_keeps_its_subsampling_and_metadata(tmp_path: Path, subsampling: str) -> None:
    picture = Image.fromarray(np.dstack([pixels(40, 60), pixels(40, 60)[..., 0]]))
    picture.save(
        tmp_path / "a.avif",
        subsampling=subsampling,
        exif=exif_block(1),
        xmp=xmp_packet(),
        icc_profile=ICC,
    )
    (before,) = open_photo(tmp_path / "a.avif").frames()
    target = rewritten(tmp_path / "a.avif")
    heads = [path.read_bytes() for path in (tmp_path / "a.avif", target)]
    assert len({head[head.index(b"av1C") + 6] for head in heads}) == 1
    with Image.open(target) as again:
        assert again.info["icc_profile"] == ICC and again.info["xmp"] == xmp_packet()
        exif = again.getexif()
        assert exif[0x010F] == "ABC" and exif.get_ifd(0x8769)[0x927C] == MAKER_NOTE
        assert exif.get_ifd(0x8825)[2] == (48, 51, 29.99)
    (after,) = open_photo(target).frames()
    assert np.abs(before.pixels.astype(int) - after.pixels).mean() < 4
    assert before.alpha is not None and after.alpha is not None


def test_avif_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels(40, 60)).save(tmp_path / "a.avif", exif=exif, quality=95)
    photo = open_photo(tmp_path / "a.avif")
    (read,) = photo.frames()
    assert photo.size == (40, 60) and read.pixels.shape == (60, 40, 3)
    again = open_photo(rewritten(tmp_path / "a.avif"))
    (after,) = again.frames()
    assert again.size == (40, 60) and np.abs(read.pixels.astype(int) - after.pixels).mean() < 4


def test_bmp_keeps_its_density(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.bmp", dpi=(300, 240))
    target = rewritten(tmp_path / "a.bmp")
    assert target.read_bytes()[38:46] == (tmp_path / "a.bmp").read_bytes()[38:46]


def test_a_still_gif_is_written_back_as_gif_and_it_is_said(tmp_path: Path) -> None:
    Image.fromarray(pixels(30, 40)).quantize(64).save(tmp_path / "a.gif")
    photo = open_photo(tmp_path / "a.gif")
    photo.write(tmp_path / "b.gif", photo.frames())
    (before,), (after,) = photo.frames(), open_photo(tmp_path / "b.gif").frames()
    assert same(before, after)
    assert photo.notes == ["colours were chosen anew: GIF has 256 a frame"]


def test_partly_clear_pixels_become_clear_or_not_in_a_gif(tmp_path: Path) -> None:
    alpha = np.linspace(0, 255, 23 * 37).reshape(23, 37).astype(np.uint8)
    Image.fromarray(np.dstack([noise(), alpha])).save(tmp_path / "a.png")
    photo = open_photo(tmp_path / "a.png")
    photo.write(tmp_path / "a.gif", photo.frames())
    (read,) = open_photo(tmp_path / "a.gif").frames()
    assert read.alpha is not None and np.array_equal(read.alpha, (alpha >= 128) * np.uint8(255))
    assert any(
        note.startswith("partly clear pixels became clear or opaque") for note in photo.notes
    )


def test_a_pgm_of_16_bits_keeps_them(tmp_path: Path) -> None:
    deep = noise(1, deep=True)
    (tmp_path / "a.pgm").write_bytes(b"P5 37 23 65535\n" + deep.astype(">u2").tobytes())
    photo = open_photo(tmp_path / "a.pgm")
    (read,) = photo.frames()
    assert same(read, Frame(deep, None))
    assert (
        rewritten(tmp_path / "a.pgm").read_bytes()
        == b"P5\n37 23\n65535\n" + deep.astype(">u2").tobytes()
    )


@pytest.mark.parametrize("white", [256, 1023, 4095, 65534, 65535])
@pytest.mark.parametrize("kind", ["P5", "P6"])
def test_a_ppm_of_more_than_8_bits_is_read_at_its_depth(
    tmp_path: Path, kind: str, white: int
) -> None:
    samples = noise(3 if kind == "P6" else 1, deep=True).astype(np.int64) % (white + 1)
    samples[0, :2] = [[0], [white]]
    head = f"{kind} 37 23 {white}\n".encode()
    (tmp_path / "a.ppm").write_bytes(head + samples.astype(">u2").tobytes())
    photo = open_photo(tmp_path / "a.ppm")
    (read,) = photo.frames()
    assert read.pixels.dtype == np.uint16 and photo.notes == []
    assert np.abs(read.pixels - samples * 65535 / white).max() <= 0.5
    assert read.pixels[0, :2, 0].tolist() == [0, 65535]
    cut = (tmp_path / "a.ppm").read_bytes()[:-9]
    with pytest.raises(ValueError, match="not a readable picture"):
        [*open_photo(BytesIO(cut)).frames()]


def test_a_ppm_as_text_is_read_as_8_bits_and_it_is_said(tmp_path: Path) -> None:
    for white, notes in (
        (255, []),
        (1023, ["10 bits were rounded to 8: PPM as text is read so"]),
        (65535, ["16 bits were rounded to 8: PPM as text is read so"]),
    ):
        (tmp_path / "a.ppm").write_text(f"P3 2 1 {white}\n{white} 0 0 0 {white} 0\n")
        photo = open_photo(tmp_path / "a.ppm")
        (read,) = photo.frames()
        assert read.pixels.dtype == np.uint8 and photo.notes == notes
        assert read.pixels[0].tolist() == [[255, 0, 0], [0, 255, 0]]


def test_an_animated_avif_keeps_its_times(tmp_path: Path) -> None:
    frames = [Image.fromarray(pixels(32, 48, shift)) for shift in (0, 2, 4)]
    frames[0].save(
        tmp_path / "a.avif", save_all=True, append_images=frames[1:], duration=[40, 500, 70]
    )
    photo = open_photo(tmp_path / "a.avif")
    target = rewritten(tmp_path / "a.avif")
    assert photo.count == open_photo(target).count == 3
    for one, other in zip(photo.frames(), open_photo(target).frames(), strict=True):
        assert np.abs(one.pixels.astype(int) - other.pixels).mean() < 4
    with Image.open(target) as picture:
        times = []
        for index in range(3):
            picture.seek(index)
            picture.load()
            times.append(picture.info["duration"])
    assert times == [40, 500, 70]


@pytest.mark.parametrize(
    "ending, lost",
    [
        ("gif", "EXIF, XMP, ICC profile, density"),
        ("bmp", "EXIF, XMP, ICC profile, comment"),
        ("ppm", "EXIF, XMP, ICC profile, density, comment"),
        ("webp", "density, comment"),
        ("avif", "density, comment"),
        ("tif", "comment"),
        ("png", ""),
        ("jpg", ""),
    ],
)
def test_what_a_format_cannot_hold_is_said(tmp_path: Path, ending: str, lost: str) -> None:
    about = {"exif": b"Exif\0\0" + exif_block(1), "xmp": xmp_packet(), "icc_profile": ICC}
    Image.fromarray(noise()).save(tmp_path / "a.jpg", **about, dpi=(300, 300), comment="hello")
    photo = open_photo(tmp_path / "a.jpg")
    photo.write(tmp_path / "b", photo.frames(), format=ending)
    said = [note for note in photo.notes if "cannot hold" in note]
    names = {"tif": "TIFF"}.get(ending, ending.upper())
    assert said == ([f"left out what {names} cannot hold: {lost}"] if lost else [])


@pytest.mark.parametrize("name, what", [(b"XMP DataXMP", "XMP"), (b"ICCRGBG1012", "ICC profile")])
def test_what_pillow_does_not_read_of_a_gif_is_said(tmp_path: Path, name: bytes, what: str) -> None:
    Image.fromarray(noise(1)[..., 0]).save(tmp_path / "a.gif", comment="hello")
    content = (tmp_path / "a.gif").read_bytes()
    block = b"\x21\xff\x0b" + name + bytes([4]) + b"<x/>" + b"\0"
    place = content.index(b"\x21\xfe")
    (tmp_path / "a.gif").write_bytes(content[:place] + block + content[place:])
    (note,) = open_photo(tmp_path / "a.gif").notes
    assert f"{what} was left out" in note


def test_a_profile_of_a_bmp_is_said_to_be_lost(tmp_path: Path) -> None:
    head = struct.pack("<IiiHHIIiiII", 124, 2, 1, 1, 24, 0, 8, 0, 0, 0, 0) + bytes(16)
    body = head + b"DEBM" + bytes(124 - len(head) - 4) + bytes(range(8))
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, 138) + body)
    assert open_photo(tmp_path / "a.bmp").notes == ["the ICC profile was left out"]


@pytest.mark.parametrize("masks", [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)])
def test_a_bmp_of_sixteen_bits_a_pixel_is_read(tmp_path: Path, masks: tuple[int, ...]) -> None:
    row = struct.pack("<4H", *masks, sum(masks))
    head = struct.pack("<IiiHHIIiiII", 40, 4, 2, 1, 16, 3, 16, 0, 0, 0, 0)
    body = head + struct.pack("<3I", *masks) + row * 2
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, 66) + body)
    (read,) = open_photo(tmp_path / "a.bmp").frames()
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    assert read.pixels.dtype == np.uint8
    assert np.abs(read.pixels[1].astype(int) - colours).max() <= 9
    assert read.pixels[0, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("lossless", [False, True])
def test_what_follows_a_webp_is_said(tmp_path: Path, lossless: bool) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.webp", lossless=lossless)
    assert open_photo(tmp_path / "a.webp").notes == []
    with open(tmp_path / "a.webp", "ab") as file:
        file.write(b"behind")
    assert open_photo(tmp_path / "a.webp").notes == ["6 bytes behind the picture were left out"]
