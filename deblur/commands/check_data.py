"""Check a folder of blurred and sharp pictures before training on it.

deblur check-data datasets/GOPRO_Large
deblur check-data my_pairs --layout input_target

Looks for pictures without a partner, pairs of two sizes, unreadable files, blurred and sharp
pictures that are identical, misaligned or exchanged, and test pictures among the training ones;
counts pairs and scenes, beside the official numbers, and tells how the blur was made. The exit
status is 1 if something is wrong.
"""

import argparse
import sys
from pathlib import Path

from rich.progress import track

from deblur.commands import add_data_set
from deblur.commands.numbers import whole
from deblur.data.check import check
from deblur.data.layouts import LAYOUTS
from deblur.data.search import choose_layout
from deblur.terminal import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_data_set(parser)
    parser.add_argument(
        "--sample",
        type=whole(0),
        default=20,
        help="compare the pixels of this many pairs of a scene (default %(default)s); 0 for all",
    )


def run(options: argparse.Namespace) -> int:
    """Check, print, and return 1 where there are faults."""
    root: Path = options.path
    layout = options.layout or choose_layout(root)
    quiet = not sys.stderr.isatty()
    result = check(
        root,
        layout,
        blur=options.blur,
        sample=options.sample,
        progress=lambda pairs: track(pairs, "comparing", disable=quiet, transient=True),
    )
    guessed = "" if options.layout else ", as it seems (--layout says otherwise)"
    print(f"{printable(root)}\nlayout {layout}: {LAYOUTS[layout].title}{guessed}")
    print("\n".join(f"  {printable(line)}" for line in result.counts))
    for kind, lines in (("FAULT", result.faults), ("note", result.notes)):
        print("".join(f"{kind}: {printable(line)}\n" for line in lines), end="")
    print("faults: " + (str(len(result.faults)) if result.faults else "none"))
    return 1 if result.faults else 0
