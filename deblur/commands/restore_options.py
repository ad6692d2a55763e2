"""The options of `deblur restore`, and the restorer and the number of processes they set."""

import argparse
import os
import re
from pathlib import Path
from typing import Any

from deblur.checkpoints.shipped import AUTO, DEFAULT, FAST, FASTEST
from deblur.commands.numbers import whole
from deblur.media.photo import FORMATS, format_of
from deblur.restoration.batch import is_known

ENDING = re.compile(r"\w\.[a-z][a-z0-9]{1,3}$", re.IGNORECASE)
"""Of a file's name, rather than a folder's."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH", help="pictures, videos, folders, globs, or - for stdin")
    add(
        *("-o", "--out"),
        help="a folder, whose files are not restored again, or a file's name for a single file "
        "(default restored/); - for stdout",
    )
    add(
        "--model",
        metavar="NAME_OR_PATH",
        help="maxim, strong and true to the photo; gan, as slow, with the finest detail, some of "
        "it invented; fast, in a quarter of the time, and better with noise; small, fastest and "
        "cautious; maxim-gopro, as Google published it; a .ckpt or .safetensors file; or "
        f"{AUTO}: {DEFAULT}, and {FAST} for noisy photos (default {AUTO}; for videos {FASTEST}, "
        f"with --only-blurred but without --adapt {DEFAULT})",
    )
    add("--fast", action="store_true", help=f"use {FAST} where the default is {AUTO} or {DEFAULT}")
    about = "stages of maxim or maxim-gopro: 2 restores finer detail in over twice the time"
    add("--stages", type=whole(1, 3), metavar="1..3", help=f"{about} (default as its file says)")
    add("--trust", metavar="MODULE", help="a module whose networks a model file may name")
    add(
        "--overwrite", action="store_true", help="restore pictures whose result already exists, too"
    )
    names = ", ".join(FORMATS).lower()
    add("--format", type=_format, metavar="NAME", help=f"{names} (default the picture's own)")
    about = (
        "quality of JPEG, WebP, HEIC, AVIF and video (default: JPEG as it was, lossless pictures "
        "as lossless WebP, the other pictures 90, video 80)"
    )
    add("--quality", type=whole(1, 100), metavar="1..100", help=about)
    add("--strength", type=float, default=1.0, help="share of the change, 0 to 1 (default 1)")
    add(
        "--scale",
        choices=("auto", "1", "2", "4"),
        default="1",
        help="2 or 4 for blur of more than about 30 pixels: restores the picture at a half or a "
        "quarter of its size and adds the change; auto chooses for each (default %(default)s)",
    )
    add(
        "--self-ensemble",
        action="store_true",
        help="the mean of eight orientations: 8 times slower",
    )
    add("--no-guard", action="store_true", help="keep the network's output even where it diverges")
    about = (
        "write NAME_compare.png beside each: a picture's first frame before and after, a video's "
    )
    about += "most changed one"
    add("--compare", action="store_true", help=about)
    add("--in-place", action="store_true", help="restore photos in their place, keeping NAME~")
    add("--backup", type=Path, metavar="DIR", help="folder of the copies that --in-place keeps")
    add("--edit", metavar="INPUT", help="restore one picture quietly; overwrites --output")
    add("--output", metavar="OUTPUT", help="file that --edit writes")
    about = "restore the photos, and the frames of videos, that are blurred by motion; the others "
    about += "stay as they are"
    add("--only-blurred", action="store_true", help=about)
    about = (
        "before a video is restored, train the model on its sharp frames for so many seconds (60), "
    )
    about += "blurred as its blurred frames are; it is used where it is better"
    add("--adapt", nargs="?", type=whole(1), const=60, metavar="SECONDS", help=about)
    about = "print the sharpness of each photo before and after, 0 to 1 (Crete et al. 2007)"
    add("--sharpness", action="store_true", help=about)
    add("--json", action="store_true", help="print what was done to each file as JSON")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default %(default)s)")
    add(
        "--precision",
        default="auto",
        help="auto, the fastest on this machine, float32, bfloat16 or, on a CPU, winograd, float32 "
        "with fewer multiplications, or int8: faster, not as exact (default %(default)s)",
    )
    add("--tile", type=int, metavar="PIXELS", help="side of the tiles (default as memory allows)")
    about = "on this machine (default one for each CUDA device)"
    add("--processes", type=whole(1), metavar="COUNT", help=about)


def _format(text: str) -> str:
    """Read a format's name or file ending, with or without a dot."""
    name = text.lower().removeprefix(".")
    if format_of(Path(f"a.{name}")) is None:
        names = ", ".join(FORMATS).lower()
        raise argparse.ArgumentTypeError(f"{text!r}, expected one of {names}")
    return name


def check_options(options: argparse.Namespace) -> None:
    """Raise ValueError for options that contradict each other."""
    if options.fast and options.model is not None:
        raise ValueError(f"--fast is --model {FAST}: leave out --model {options.model}")
    if (options.edit is None) != (options.output is None):
        raise ValueError("--edit INPUT and --output OUTPUT must both be set")
    if bool(options.paths) == (options.edit is not None):
        raise ValueError("expected PATH ..., or --edit INPUT --output OUTPUT")
    others = (options.out, options.in_place, options.only_blurred, options.compare, options.json)
    if options.edit is not None and any((*others, options.sharpness)):
        raise ValueError(
            "--edit INPUT --output OUTPUT is for one picture: leave out -o, --in-place, "
            "--only-blurred, --compare, --json and --sharpness"
        )
    if options.in_place and (options.out or options.format or options.compare):
        raise ValueError("--in-place writes over the photos: leave out -o, --format and --compare")
    if options.backup is not None and not options.in_place:
        raise ValueError("--backup DIR is for --in-place")
    if options.adapt is not None and (options.edit or "-" in (*options.paths, options.out)):
        raise ValueError("--adapt is for videos' files: leave it out for single pictures")
    out, alone = options.out or "", len(options.paths) == 1 and os.path.isfile(options.paths[0])
    if alone and ENDING.search(out) and not is_known(Path(out)) and not os.path.exists(out):
        raise ValueError(f"-o {out}: of no format that can be written; as a folder, type {out}/")


def name_best(options: argparse.Namespace) -> str:
    """Return the model for a photo if none is named."""
    if options.fast:
        return FAST
    return AUTO if options.stages is None else DEFAULT  # the model for noisy photos has no stages


def load(options: argparse.Namespace, local: int = 0) -> Any:
    """Return a Restorer with a command's options, on the device of this process.

    local: this process' number on this machine, which chooses its CUDA device.
    """
    from deblur.hardware import keep_memory
    from deblur.restoration.restorer import Restorer

    keep_memory()
    devices = count_devices()
    several = options.device in ("auto", "cuda") and devices > 1
    return Restorer.load(
        options.model or name_best(options),
        trust=options.trust,
        stages=options.stages,
        device=f"cuda:{local % devices}" if several else options.device,
        precision=options.precision,
        tile=options.tile,
        strength=options.strength,
        self_ensemble=options.self_ensemble,
        scale=options.scale if options.scale == "auto" else int(options.scale),
        guard=not options.no_guard,
    )


def count_devices() -> int:
    """Count the CUDA devices of this machine."""
    import torch

    return torch.cuda.device_count()


def count_processes(options: argparse.Namespace, ranks: int) -> int:
    """Return how many processes a command starts here: one, or one for each CUDA device."""
    if options.processes is not None:
        return int(options.processes)
    return max(1, count_devices()) if ranks == 1 and options.device in ("auto", "cuda") else 1
