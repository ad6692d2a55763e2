"""HEIC, by pillow-heif where it is installed (its wheels hold x265, which is under the GPL)."""

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np

from deblur.extras import install_command
from deblur.media.formats.frame import Frame
from deblur.media.formats.metadata import EXIF_HEAD, Cicp, Metadata, fitting_profile
from deblur.media.formats.original import QUALITY, SIGNATURE_BOX, UNSIGNED, Original, Timing
from deblur.media.formats.source import Source

KEPT = (
    *("nclx_profile", "icc_profile_type", "pixel_aspect_ratio", "content_light_level"),
    *("mastering_display_colour_volume", "ambient_viewing_environment"),
)
"""The keys of what pillow-heif reads about colours, and writes again."""
VIDEO = re.compile(rb"mpvd\0\0\0.ftyp", re.DOTALL)
"""Where the box of a motion photo's video begins."""
LIGHT = KEPT[3:]
CICP = ("color_primaries", "transfer_characteristics")


def is_heif(head: bytes) -> bool:
    """Return whether a file is a HEIC, by its first 64 bytes; Pillow reads AVIF."""
    brands = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
    return head[4:8] == b"ftyp" and head[8:12] in brands and b"avif" not in head


class HeifReader:
    """A HEIC picture; libheif turns it upright itself."""

    format = "HEIF"
    count = 1

    def __init__(self, source: Source, limit: int) -> None:
        self.source = source
        with source.open() as stream, source.reading():
            heif, content = import_heif(), stream.read()
            file = heif.open_heif(BytesIO(content), convert_hdr_to_8bit=False)
            if not len(file):
                raise ValueError("found no picture in it that can be decoded")
            source.check_size(file.size, limit)
            self.size: tuple[int, int] = file.size
            self.pixels = self.size[0] * self.size[1]
            self.bits = int(file.info.get("bit_depth", 8))
            info = file.info
            if len(file) > 1 or info.get("depth_images") or info.get("aux"):
                source.note("other pictures in the file (bursts, depth, gain maps) were left out")
            if VIDEO.search(content):
                source.note("the video of a motion photo was left out")
            if SIGNATURE_BOX in content:
                source.note(UNSIGNED)
            tags = info.get("nclx_profile") or {}
            self.metadata = Metadata(
                (info.get("exif") or b"").removeprefix(EXIF_HEAD),
                info.get("xmp") or b"",
                info.get("icc_profile") or b"",
                cicp=Cicp(*(int(tags[key]) for key in CICP)) if tags else None,
                own=tuple(key.replace("_", " ") for key in LIGHT if info.get(key)),
            )
            self.settings = {key: info[key] for key in KEPT if info.get(key)}
            self.settings |= {"chroma": info.get("chroma", 420), "bit_depth": self.bits}

    def frames(self) -> Iterator[Frame]:
        """Decode the main picture; 10 and 12 bits are widened to 16."""
        with self.source.open() as stream, self.source.reading():
            heif = import_heif()
            file = heif.open_heif(BytesIO(stream.read()), convert_hdr_to_8bit=False)
            samples = np.asarray(file)
            samples = samples.reshape(*samples.shape[:2], -1)
            if samples.dtype == np.uint16:
                samples = samples | samples >> self.bits
            samples = np.require(samples, requirements=["C", "W"])
        alpha = samples.shape[2] in (2, 4)
        colours = samples.shape[2] - alpha
        yield Frame(samples[..., :colours], samples[..., colours] if alpha else None)

    def timing(self) -> Timing:
        """Return the timing of a still picture."""
        return Timing([0])


def write(
    file: BinaryIO, frames: Iterable[Frame], original: Original, quality: int | None = None
) -> None:
    """Write the first frame, of 8 bits or of as many as the original has (10 where it is no HEIC).

    Raises ValueError where pillow-heif is not installed.
    """
    heif, frame = import_heif(), next(iter(frames))
    settings: dict[str, Any] = {"bit_depth": 10}
    if isinstance(original, HeifReader):
        settings = original.settings
    elif cicp := original.metadata.cicp:
        settings |= dict(zip(CICP, cicp))
    pixels, alpha = frame
    samples = pixels if alpha is None else np.concatenate([pixels, alpha[..., None]], -1)
    height, width, channels = samples.shape
    deep = samples.dtype == np.uint16
    if deep and not isinstance(original, HeifReader):
        original.source.note("16 bits were rounded to 10: HEIC is written with no more")
    mode = ("L", "LA", "RGB", "RGBA")[channels - 1] + ";16" * deep
    picture = heif.from_bytes(
        mode, (width, height), samples.astype("<u2" if deep else "u1").tobytes()
    )
    metadata = original.metadata.upright()
    settings = settings | {
        "icc_profile": fitting_profile(metadata.icc, pixels.shape[2]) or None,
        "exif": metadata.exif and EXIF_HEAD + metadata.exif or None,
        "xmp": metadata.xmp or None,
    }
    if not deep:
        settings.pop("bit_depth")
    coded = BytesIO()
    with original.source.writing("HEIF"):
        picture.save(coded, quality=quality or QUALITY, **settings)
    file.write(coded.getbuffer())


def import_heif() -> Any:
    """Import pillow-heif; raise ValueError that says how to install it."""
    try:
        return import_module("pillow_heif")
    except ImportError as error:
        raise ValueError(f"HEIC requires pillow-heif: {install_command('heif')}") from error
