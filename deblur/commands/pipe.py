"""One picture from stdin, or to stdout, or both."""

import sys
from argparse import Namespace
from io import BytesIO
from pathlib import Path

from deblur.commands.restore_options import load
from deblur.media.video_content import is_video_content
from deblur.restoration.batch import check_ending, is_known, is_video
from deblur.restoration.batch_job import explain
from deblur.terminal import printable


def pipe(options: Namespace) -> int:
    """Restore one picture from stdin, or to stdout, or both; return 1 where that fails."""
    if options.in_place or options.only_blurred or options.sharpness:
        raise ValueError("--in-place, --only-blurred and --sharpness require files")
    if len(options.paths) > 1:
        raise ValueError("- is stdin or stdout, which is a single picture; expected a single PATH")
    if options.compare or options.json:
        raise ValueError("--compare and --json require files; - is stdin or stdout")
    source, target = _open_source(options), _open_target(options)
    restorer = load(options)
    try:
        notes = restorer.restore_file(
            source,
            target,
            format=options.format,
            quality=options.quality,
            overwrite=options.overwrite,
        )
    except Exception as error:  # libraries raise anything
        print(f"error: {printable(explain(error))}", file=sys.stderr)
        return 1
    for note in notes:
        print(printable(note), file=sys.stderr)
    if isinstance(target, BytesIO):
        sys.stdout.buffer.write(target.getvalue())
    return 0


def _open_source(options: Namespace) -> Path | BytesIO:
    """Read stdin, or return the picture's path."""
    (name,) = options.paths
    if name == "-":
        content = sys.stdin.buffer.read()
        if is_video_content(content):
            raise ValueError(
                "stdin is a video, expected a picture: give a video's file by its name"
            )
        return BytesIO(content)
    path = Path(name)
    if is_video(path) or not path.is_file():
        raise ValueError(f"{name}: expected a picture's file, to be written to stdout")
    return path


def _open_target(options: Namespace) -> Path | BytesIO:
    """Check the target's path and return it, or what will be written to stdout."""
    if options.out in (None, "-"):
        return BytesIO()
    path = Path(options.out)
    if not is_known(path) or is_video(path) or path.is_dir():
        raise ValueError(f"{path}: expected the name of a picture's file, such as photo.jpg")
    check_ending(path, f".{options.format}" if options.format else None)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
