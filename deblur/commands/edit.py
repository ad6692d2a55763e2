"""One picture for another program: an input, an output, and nothing printed but errors."""

import os
import sys
from argparse import Namespace
from pathlib import Path

from deblur.commands.restore_options import load
from deblur.media.photo import format_of
from deblur.restoration.batch import check_ending
from deblur.restoration.batch_job import explain
from deblur.restoration.in_place import rewrite
from deblur.terminal import printable


def edit(options: Namespace) -> int:
    """Restore a picture for a program that waits for it; return 1 where that fails.

    options: of `deblur restore`.
    """
    source, target = Path(options.edit), Path(options.output)
    if format_of(target) is None:
        raise ValueError(f"{target}: expected the name of a picture's file, such as photo.tif")
    check_ending(target, f".{options.format}" if options.format else None)
    settings = {"format": options.format, "quality": options.quality, "overwrite": True}

    def restore(source: Path, target: Path) -> list[str]:
        notes: list[str] = load(options).restore_file(source, target, **settings)
        return notes

    try:
        if os.path.realpath(source) == os.path.realpath(target):
            rewrite(target, restore)
        else:
            restore(source, target)
    except FileNotFoundError:
        raise
    except Exception as error:  # libraries raise anything
        print(f"error: {printable(explain(error))}", file=sys.stderr)
        return 1
    return 0
