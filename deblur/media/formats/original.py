"""What a writer may ask of the file that its frames come from."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from deblur.media.formats.frame import Frame
from deblur.media.formats.metadata import Metadata
from deblur.media.formats.source import Source

QUALITY = 90
"""Of a lossy format, where the original's is not known."""


class Timing(NamedTuple):
    """How an animation plays."""

    durations: list[float]
    """Milliseconds, of each frame."""
    loop: int | None = None
    """How often it plays, 0 for ever; None where the file does not say, so once."""
    background: tuple[int, ...] = (0, 0, 0, 0)
    """RGBA."""
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
    """How many frames or pages."""
    pixels: int
    """Of all frames, by the file's headers."""
    metadata: Metadata

    def frames(self) -> Iterator[Frame]:
        """Decode the frames, one at a time."""

    def timing(self) -> Timing:
        """Find out how the frames play."""
