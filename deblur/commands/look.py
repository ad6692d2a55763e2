"""Tell for each photo whether it is blurred, how, and whether restoring it would help.

deblur look holiday/                    # a table: motion, defocus, noise, sharp or unclear
deblur look "IMG_*.jpg" --json          # for programs
deblur look photo.jpg && echo "nothing to restore"

It judges the picture alone, by its most detailed parts: a photo with a sharp subject and a blurred
background is sharp. A photo with a side of less than 64 pixels, or without contrast, is unclear.
`length` is how far the camera smeared a point, in pixels, and `direction` the angle, in degrees
counter-clockwise from the horizontal. `noise` is a standard deviation, in values of 0 to 255, and
`sharpness` is one minus the blur of Crete et al. (2007), 0 to 1: compare it with that of the same
photo restored, not with other photos. `deblur FOLDER --only-blurred` restores the photos that are
blurred by motion.

The exit status is 1 if restoring would help any of the photos as they are, and 2 if any cannot be
read. Blur of more than 40 pixels ("scaled down first") does not count: try `deblur --scale auto`.
"""

import argparse
import json
import sys
from pathlib import Path

from deblur.media.photo import format_of
from deblur.restoration.batch_job import explain
from deblur.restoration.diagnosis import Diagnosis, diagnose
from deblur.restoration.skipped_files import describe_passed
from deblur.restoration.source_files import NOWHERE, find_sources, locate, walk
from deblur.terminal import printable

HEAD = ("verdict", "length", "direction", "noise", "sharpness", "restoring helps", "photo")
ROW = "{:8} {:>6} {:>9} {:>6} {:>9}  {:16} {}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="photos, folders or globs")
    add("--json", action="store_true", help="print a list of what was found, as JSON")


def run(options: argparse.Namespace) -> int:
    """Look; return 1 where a restoration would help, and 2 where a photo cannot be read."""
    failed: list[tuple[str, str]] = []
    found: list[tuple[Path, Diagnosis]] = []

    def fail(path: str, reason: str) -> None:
        failed.append((path, reason))

    seen: set[Path] = set()
    if not options.json:
        print(ROW.format(*HEAD))
    for source in find_sources(options.paths, fail):
        for path, _ in walk(source, NOWHERE, _is_picture, fail):
            if locate(path) in seen:
                continue
            seen.add(locate(path))
            try:
                diagnosis = diagnose(path)
            except Exception as error:  # libraries raise anything for a broken file
                fail(str(path), explain(error).removeprefix(f"{path}: "))
                continue
            found.append((path, diagnosis))
            if not options.json:
                print(ROW.format(*_describe(diagnosis), printable(path)), flush=True)
    if options.json:
        told = [{"photo": str(path), **one._asdict(), "helps": one.helps} for path, one in found]
        print(json.dumps(told, indent=2))
    for name, reason in failed:
        print(f"failed: {printable(name)}: {printable(reason)}", file=sys.stderr)
    passed = describe_passed(options.paths, NOWHERE, _is_picture)
    if not found and not failed:
        reason = f"found no photos in {', '.join(options.paths)}"
        raise ValueError(f"{reason}; {passed}" if passed else reason)
    if passed:
        print(printable(passed), file=sys.stderr)
    return 2 if failed else int(any(one.helps for _, one in found))


def _is_picture(file: Path) -> bool:
    """Return whether a file is a picture, by its name."""
    return format_of(file) is not None


def _describe(diagnosis: Diagnosis) -> tuple[str, ...]:
    """Write a row of the table, without the photo's name."""
    smeared = diagnosis.kind == "motion"
    return (
        diagnosis.kind,
        f"{diagnosis.length:.0f} px" if smeared else "",
        f"{diagnosis.direction:.0f}°" if smeared else "",
        f"{diagnosis.noise:.1f}",
        f"{diagnosis.sharpness:.2f}",
        diagnosis.advice,
    )
