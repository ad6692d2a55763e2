"""What a writer may ask of the file that its frames come from."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from deblur.media.formats.frame import Frame
from deblur.media.formats.metadata import Metadata
from deblur.media.formats.source import Source

QUALITY = 90
"""The quality of a lossy format if the original's is unknown."""
UNSIGNED = "content credentials were left out: they are for the old pixels"
"""The note on a file whose pixels were signed (C2PA)."""
SIGNATURE_BOX = b"uuid" + bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""How the box of a signature begins in an AVIF or a HEIC (C2PA, A.5)."""


class Timing(NamedTuple):
    """How an animation plays."""

    durations: list[float]
    """The duration of each frame, in milliseconds."""
    loop: int | None = None
    """How often it plays in all, 0 without end; None where the file does not say: once."""
    background: tuple[int, ...] = (0, 0, 0, 0)
    """The background's colour, RGBA."""
    cover: bool = False
    """Whether the first frame is only for programs that show no animations."""


class Original(Protocol):
    """The file that frames come from, opened."""

    source: Source
    format: str
    """As Pillow names it: JPEG, PNG, WEBP, TIFF, GIF, BMP, PPM or AVIF; or HEIF."""
    size: tuple[int, int]
    """Width and height of the first frame, upright."""
    count: int
    """The number of frames or pages."""
    pixels: int
    """The number of pixels of all frames, by the file's headers."""
    metadata: Metadata

    def frames(self) -> Iterator[Frame]:
        """Decode the frames, one at a time."""

    def timing(self) -> Timing:
        """Find out how the frames play."""
