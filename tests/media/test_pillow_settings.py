import logging
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from deblur.media import images
from deblur.media.photo import open_photo
from deblur.media.pillow_settings import noting, read_any_picture
from deblur.training.loggers import Events


def settings() -> list[Any]:
    """List what of a process could be changed."""
    return [
        *(Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY),
        *([*warnings.filters], [*logging.getLogger("PIL").handlers], threading.excepthook),
    ]


def test_a_program_has_them_until_it_ends() -> None:
    before = settings()
    with read_any_picture():
        assert Image.MAX_IMAGE_PIXELS is None
        with read_any_picture():
            pass
        assert Image.MAX_IMAGE_PIXELS is None
    assert settings() == before


def test_uses_that_overlap_end_with_the_last() -> None:
    before, first, second = settings(), read_any_picture(), read_any_picture()
    first.__enter__()
    second.__enter__()
    during = settings()
    first.__exit__(None, None, None)
    assert settings() == during != before
    second.__exit__(None, None, None)
    assert settings() == before


def test_the_library_leaves_all_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    before, seen = settings(), []
    opened = Image.open

    def watch(*arguments: Any, **named: Any) -> Any:
        seen.append(settings())
        return opened(*arguments, **named)

    monkeypatch.setattr(Image, "open", watch)
    [*open_photo(tmp_path / "a.png").frames()]
    images.read_size(tmp_path / "a.png")
    Events(folder=str(tmp_path))
    assert len(seen) > 1 and all(one == before for one in seen) and settings() == before


def test_warnings_are_noted_for_a_program_alone() -> None:
    notes: list[str] = []
    with read_any_picture(), noting(notes.append):
        warnings.warn("one\n two", stacklevel=1)
    with pytest.warns(UserWarning, match="three"), noting(notes.append):
        warnings.warn("three", stacklevel=1)
    assert notes == ["one two"]
