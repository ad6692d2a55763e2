"""Formats that Pillow writes by itself: WebP, GIF, BMP, PPM.

All frames of an animation are held in memory: Pillow requires them at once.
"""

from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import islice
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from deblur.media.formats.frame import Frame, as_image, bands
from deblur.media.formats.metadata import Metadata, fitting_profile
from deblur.media.formats.original import QUALITY, UNSIGNED, Original, Timing

LOSSLESS = {"PNG", "TIFF", "GIF", "BMP", "PPM"}
CLEAR = 255
"""The index of GIF's transparent colour in the palette."""
MOST = 65535
"""The largest number of plays, or of repetitions, in a WebP or a GIF."""
HEAD = 1 << 16
LEFT_OUT = {
    "GIF": {
        b"\x21\xff\x0bC2PA_GIF": UNSIGNED,
        b"\x21\xff\x0bXMP DataXMP": "XMP was left out",
        b"\x21\xff\x0bICCRGBG1012": "the ICC profile was left out",
    },
    "BMP": {b"DEBM": "the ICC profile was left out"},
}
"""Notes on what Pillow does not read, by format, and by what it begins with in a file's head."""


def write_webp(
    file: BinaryIO, frames: Iterable[Frame], original: Original, quality: int | None = None
) -> None:
    """Write a picture or an animation. quality: 1 to 100; None is lossless if the original is."""
    timing = read_timing(original)
    images = [as_image(frame) for frame in shown(frames, timing, original)]
    settings = settings_of(original.metadata.upright(), 3)
    if quality is None and _is_lossless(original):
        settings |= {"lossless": True, "exact": True}
    else:
        settings["quality"] = quality or QUALITY
    if len(images) > 1:
        settings |= {"save_all": True, "append_images": images[1:]}
        settings["duration"] = [round(one) for one in timing.durations[timing.cover :]]
        settings["loop"] = 1 if timing.loop is None else min(timing.loop, MOST)
        settings["background"] = timing.background
    save(images[0], file, original, "WEBP", settings)


def write_gif(
    file: BinaryIO, frames: Iterable[Frame], original: Original, quality: int | None = None
) -> None:
    """Write a picture or an animation, each frame in 256 colours of its own."""
    original.source.note("colours were chosen anew: GIF has 256 a frame")
    timing, images = read_timing(original), list[Image.Image]()
    for frame in shown(frames, timing, original):
        if frame.alpha is not None and not np.isin(frame.alpha, (0, 255)).all():
            original.source.note("partly clear pixels became clear or opaque: GIF has no others")
        images.append(_in_palette(frame))
        if images[-1].size != images[0].size:
            with original.source.writing("GIF"):
                raise ValueError("not all frames are of the same size")
    settings: dict[str, Any] = {}
    if original.metadata.comment:
        settings["comment"] = original.metadata.comment
    if len(images) > 1:
        clear = any("transparency" in image.info for image in images)
        settings |= {"save_all": True, "append_images": images[1:], "disposal": 2 if clear else 1}
        settings["duration"] = timing.durations[timing.cover :]
        if timing.loop is not None and timing.loop != 1:
            # GIF counts repetitions.
            settings["loop"] = max(0, min(timing.loop - 1, MOST))
    save(images[0], file, original, "GIF", settings)


def read_timing(original: Original) -> Timing:
    """Return how frames play; one that is alone is not read for that."""
    return original.timing() if original.count > 1 else Timing([0])


def shown(frames: Iterable[Frame], timing: Timing, original: Original) -> Iterable[Frame]:
    """Leave out an animation's first frame if it is a cover, which PNG alone can hold."""
    if not timing.cover:
        return frames
    original.source.note("the cover was left out: the picture of programs without animations")
    return islice(frames, 1, None)


def write_bmp(
    file: BinaryIO, frames: Iterable[Frame], original: Original, quality: int | None = None
) -> None:
    """Write the first frame, which has no alpha, with its density."""
    dpi = original.metadata.upright().dpi
    settings = {"dpi": dpi} if dpi else {}
    save(as_image(next(iter(frames))), file, original, "BMP", settings)


def write_ppm(
    file: BinaryIO, frames: Iterable[Frame], original: Original, quality: int | None = None
) -> None:
    """Write the first frame, which has no alpha: grey as PGM, colour as PPM."""
    pixels = next(iter(frames)).pixels
    height, width, channels = pixels.shape
    kind, top = "P5" if channels == 1 else "P6", np.iinfo(pixels.dtype).max
    file.write(f"{kind}\n{width} {height}\n{top}\n".encode())
    for band in bands(Frame(pixels)):
        file.write(band.astype(band.dtype.newbyteorder(">")).tobytes())


def list_left_out(file: BinaryIO, format: str) -> Iterator[str]:
    """Yield notes on the parts of a file that Pillow does not read."""
    file.seek(0)
    head = file.read(HEAD)
    if format == "BMP":
        head = head[70:74] if head[14] >= 124 else b""  # the kind of colours, of its version 5
    yield from (said for mark, said in LEFT_OUT.get(format, {}).items() if mark in head)
    if format == "WEBP" and any(kind == b"C2PA" for kind in _walk_chunks(file)):
        yield UNSIGNED
    behind = file.seek(0, 2) - 8 - int.from_bytes(head[4:8], "little") if format == "WEBP" else 0
    if behind > 1:  # one may make the length even
        yield f"{behind} bytes behind the picture were left out"


def save(
    image: Image.Image, file: BinaryIO, original: Original, format: str, settings: dict[str, Any]
) -> None:
    """Write an image by Pillow; raise ValueError where it cannot."""
    # Not into the file itself: of a full disk Pillow would say nothing but "encoder error".
    coded = BytesIO()
    with original.source.writing(format):
        image.save(coded, format, **settings)
    file.write(coded.getbuffer())


def settings_of(metadata: Metadata, channels: int) -> dict[str, Any]:
    """Return the metadata as arguments of Pillow's `save`."""
    return {
        "exif": metadata.exif,
        "xmp": metadata.xmp,
        "icc_profile": fitting_profile(metadata.icc, channels),
    }


def _is_lossless(original: Original) -> bool:
    """Return whether a file is lossless; of a WebP, by the kind of its first pixels."""
    if original.format != "WEBP":
        return original.format in LOSSLESS
    with original.source.open() as file:
        kinds = (kind for kind in _walk_chunks(file) if kind in (b"VP8 ", b"VP8L"))
        return next(kinds, b"") == b"VP8L"


def _walk_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the kinds of a WebP's chunks, and of those in its frames."""
    file.seek(4)
    end = 8 + int.from_bytes(file.read(4), "little")
    file.seek(12)
    while file.tell() < end and len(head := file.read(8)) == 8:
        kind, size = head[:4], int.from_bytes(head[4:], "little")
        yield kind
        # A frame holds chunks itself, behind 16 bytes of its own.
        file.seek(16 if kind == b"ANMF" else size + size % 2, 1)


def _in_palette(frame: Frame) -> Image.Image:
    """Choose colours for a frame; what is less than half opaque becomes clear."""
    image = as_image(Frame(frame.pixels))
    if frame.alpha is None:
        return image if image.mode == "L" else image.quantize(256)
    chosen = image.convert("RGB").quantize(CLEAR)
    places = np.where(frame.alpha < 128, np.uint8(CLEAR), np.asarray(chosen))
    clear = Image.fromarray(places, "L")
    clear.putpalette(((chosen.getpalette() or []) + [0] * 768)[:768])
    clear.info["transparency"] = CLEAR
    return clear
