"""AVIF, by Pillow, with the colour tags (CICP) that Pillow neither reads nor writes."""

import struct
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import BinaryIO

from deblur.media.formats.frame import Frame, as_image
from deblur.media.formats.metadata import Cicp, hide_orientation
from deblur.media.formats.original import QUALITY, SIGNATURE_BOX, UNSIGNED, Original
from deblur.media.formats.plain import read_timing, save, settings_of, shown

HEAD = 1 << 20
"""The most bytes of a file's beginning that are searched for what it holds."""
TAGS = b"colrnclx"
"""What precedes the colour tags: primaries and transfer, of two bytes each, and then the matrix."""
LEFT_OUT = {
    SIGNATURE_BOX: UNSIGNED,
    b"tmap": "the gain map was left out",
    b"clli": "the content's light level was left out",
    b"mdcv": "the mastering display's colours were left out",
}


def write(
    file: BinaryIO, frames: Iterable[Frame], original: Original, quality: int | None = None
) -> None:
    """Write a picture or an animation, with the original's subsampling. quality: 1 to 100."""
    timing = read_timing(original)
    images = [as_image(frame) for frame in shown(frames, timing, original)]
    grey = all(image.mode == "L" for image in images)
    settings = settings_of(original.metadata.upright(), 1 if grey else 3)
    settings["quality"] = quality or QUALITY
    exif = settings["exif"]
    # Pillow would take the orientation out and move all else, such as maker notes.
    settings["exif"] = hidden = hide_orientation(exif)
    if not grey:
        settings["subsampling"] = _subsampling(original)
    if len(images) > 1:
        settings |= {"save_all": True, "append_images": images[1:]}
        settings["duration"] = [round(one) for one in timing.durations[timing.cover :]]
    coded = BytesIO()
    save(images[0], coded, original, "AVIF", settings)
    content = coded.getvalue().replace(hidden, exif) if exif else coded.getvalue()
    file.write(_tagged(content, original.metadata.cicp))


def _tagged(content: bytes, cicp: Cicp | None) -> bytes:
    """Replace the colour tags in a file's head; they override those in the coded pixels."""
    end = content.find(b"mdat")
    head, place = bytearray(content[:end]), -1
    while cicp and (place := head.find(TAGS, place + 1)) >= 0:
        start = place + len(TAGS)
        head[start : start + 4] = struct.pack(">HH", *cicp)
    return bytes(head) + content[end:]


def read_cicp(file: BinaryIO) -> Cicp | None:
    """Read the colour tags; None for none, and if one exceeds a byte, as no known kind does."""
    tags = _head(file).partition(TAGS)[2]
    cicp = Cicp(*struct.unpack(">HH", tags[:4])) if len(tags) > 4 else None
    return cicp if cicp and max(cicp) < 256 else None


def list_left_out(file: BinaryIO) -> Iterator[str]:
    """Yield notes on the parts of a file that Pillow does not read."""
    if _flags(file) & 64:
        yield "10 or 12 bits were read as 8"
    head = _head(file)
    yield from (said for mark, said in LEFT_OUT.items() if mark in head)


def _subsampling(original: Original) -> str:
    """Return an AVIF's chroma subsampling; 4:4:4 for files of other formats."""
    if original.format != "AVIF":
        return "4:4:4"
    with original.source.open() as file:
        return {3: "4:2:0", 2: "4:2:2"}.get(_flags(file) >> 2 & 3, "4:4:4")


def _flags(file: BinaryIO) -> int:
    """Read how an AVIF is coded (AV1 in ISOBMFF, 2.3.3): bit 6 for depth, 2 and 3 for chroma."""
    head = _head(file)
    place = head.find(b"av1C")
    return head[place + 6] if 0 < place < len(head) - 6 else 0


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(HEAD).partition(b"mdat")[0]
