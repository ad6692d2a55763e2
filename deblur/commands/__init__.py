"""The verbs of the `deblur` command, a module each, and the modules that they share.

A verb's module has `add_arguments` and `run`.
"""

import argparse
from pathlib import Path

from deblur.data.layouts import LAYOUTS


def add_data_set(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a data set: its folder, its layout, a variant."""
    parser.add_argument("path", type=Path, help="the data set's folder")
    parser.add_argument(
        "--layout", choices=LAYOUTS, metavar="NAME", help=f"one of {', '.join(LAYOUTS)}"
    )
    parser.add_argument("--blur", help="a variant of the blurred pictures, such as blur_gamma")
