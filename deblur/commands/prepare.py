"""Unpack pairs into arrays that load fast.

deblur prepare datasets/GOPRO_Large datasets/gopro_arrays
python train.py experiment=paper data.root=datasets/gopro_arrays

A training crop is then read without decoding its frame, a hundredth of the work. The arrays take
about twice the space of PNG files. The same command resumes where it was stopped. The loaders
refuse the arrays once the source files have changed.
"""

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from rich.progress import Progress

from deblur.commands import add_data_set
from deblur.commands.numbers import whole
from deblur.data.prepared import prepare
from deblur.data.search import choose_layout
from deblur.terminal import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_data_set(parser)
    parser.add_argument("out", type=Path, help="the folder to write the arrays to")
    parser.add_argument(
        "--split",
        action="append",
        choices=["train", "val", "test"],
        default=[],
        help="unpack only this split; may be repeated",
    )
    parser.add_argument("--workers", type=whole(1), default=2, help="threads (default %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Unpack, and say how to use it."""
    layout = options.layout or choose_layout(options.path)
    steps = prepare(
        options.path,
        options.out,
        layout=layout,
        blur=options.blur,
        splits=options.split,
        workers=options.workers,
    )
    with Progress(disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("unpacking", total=None)
        for done, count in steps:
            progress.update(task, completed=done, total=count)
    size = sum(array.stat().st_size for array in options.out.glob("*.npy"))
    free = shutil.disk_usage(options.out).free
    out, path = printable(options.out), printable(options.path)
    print(f"{out}: {count} pairs of {path}, layout {layout}")
    print(f"{size / 1e9:.1f} GB of arrays ({free / 1e9:.0f} GB left on the disk)")
    root = shlex.quote(f"data.root={out}")
    print(f"train on them:  python train.py experiment=... {root}")
    return 0
