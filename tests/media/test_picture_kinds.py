from pathlib import Path

import pytest

from deblur.media.images import is_picture
from deblur.media.photo import FORMATS
from deblur.media.picture_kinds import DATA, ENDINGS, format_of


def test_each_format_that_is_written_has_its_endings() -> None:
    assert list(FORMATS) == list(ENDINGS) and set(DATA) < set(FORMATS)
    endings = [ending for own in ENDINGS.values() for ending in own]
    assert len(endings) == len({*endings})


@pytest.mark.parametrize(
    "name, found, data",
    [
        *(("a.JPG", "JPEG", True), ("a.jpe", "JPEG", True), ("a.tiff", "TIFF", True)),
        *(("a.heic", "HEIF", False), ("a.gif", "GIF", False), ("a.txt", None, False)),
        (".a.png", "PNG", False),  # hidden
    ],
)
def test_endings_tell_formats_and_what_is_data(name: str, found: str | None, data: bool) -> None:
    assert format_of(Path(name)) == found and is_picture(Path(name)) == data
