"""Pillow's settings of a whole process: a program may change them, the library leaves them alone.

Pillow refuses pictures of more pixels, and PNG files with longer texts, than it deems safe; libtiff
prints what it finds odd. `deblur` looks at a picture's size itself, and tells of each file what was
odd. Its commands therefore run in `read_any_picture`; another program may do so, too.
"""

import ctypes
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import RLock

from PIL import Image, PngImagePlugin, _imaging

LONGEST_TEXT, TEXTS = 1 << 26, 1 << 28
"""The most bytes of a PNG's text, and of all its texts; Pillow's limits are 1 and 64 MiB."""
LOCK = RLock()
_users = 0
_changes = ExitStack()
"""What is to be undone when the last user goes."""


@contextmanager
def read_any_picture() -> Iterator[None]:
    """Let this process read pictures of any size and with any texts, and print nothing of them.

    Uses may overlap, on several threads, too: the first changes the settings, the last restores
    them.
    """
    global _users
    with LOCK:
        if not _users:
            _changes.enter_context(_changed())
        _users += 1
    try:
        yield
    finally:
        with LOCK:
            _users -= 1
            if not _users:
                _changes.close()


@contextmanager
def _changed() -> Iterator[None]:
    silent = logging.NullHandler()  # without one, Python prints what is logged
    logging.getLogger("PIL").addHandler(silent)
    before = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = LONGEST_TEXT, TEXTS
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    handler = _handle_libtiff_errors(None)
    try:
        yield
    finally:
        _handle_libtiff_errors(handler)
        Image.MAX_IMAGE_PIXELS = limit
        PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = before
        logging.getLogger("PIL").removeHandler(silent)


@contextmanager
def noting(note: Callable[[str], None]) -> Iterator[None]:
    """Note what Pillow warns of, within `read_any_picture`; elsewhere warnings stay warnings.

    Python's filters of warnings are of the whole process: one thread at a time has them.
    """
    if not _users:
        yield
        return
    with LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for warning in caught:
                note(" ".join(str(warning.message).split()))


def _handle_libtiff_errors(handler: int | None) -> int | None:
    """Set libtiff's error handler, and return the previous one; its own prints errors."""
    try:
        choose = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (AttributeError, OSError):  # another build of Pillow
        return None
    choose.argtypes, choose.restype = [ctypes.c_void_p], ctypes.c_void_p
    before: int | None = choose(handler)
    return before
