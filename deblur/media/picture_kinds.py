"""Which kinds of picture file there are: their endings, and how large a picture may be."""

from pathlib import Path

ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "HEIF": (".heic", ".heif", ".hif"),
    "AVIF": (".avif",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
"""The endings of each format that can be restored, in the order offered."""
MEDIA_TYPES = {
    **{name: f"image/{name.lower()}" for name in ENDINGS},
    **{"HEIF": "image/heic", "PPM": "image/x-portable-anymap"},
}
"""Media types by format; Python's own table differs between machines."""
DATA = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
"""The formats that data sets and the frames of videos may have."""
LARGEST_PHOTO = 1_100_000_000
"""The most pixels of a picture to restore; a few bytes may claim more than any memory holds."""
LARGEST_DATA = 357_913_940
"""The most pixels of a picture to train on or measure with, held as a whole; Pillow's limit."""


def format_of(path: Path) -> str | None:
    """Return a picture's format, a key of ENDINGS, by its file's ending; None for other files."""
    ending = path.suffix.lower()
    return next((name for name, endings in ENDINGS.items() if ending in endings), None)


def find_media_type(ending: str) -> str:
    """Return the media type of pictures with an ending, given without its dot."""
    return MEDIA_TYPES.get(format_of(Path(f"a.{ending}")) or "", "application/octet-stream")
