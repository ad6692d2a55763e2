"""Serve an HTTP interface that restores photos, with the page of `deblur web` beside it.

deblur serve
deblur serve --host 0.0.0.0 --token SECRET --model small --queue 32
curl -F file=@photo.jpg http://127.0.0.1:8000/v1/restore -o sharp.jpg

/docs describes the interface. Photos are restored one at a time; --queue more may wait, and beyond
that the answer is 429 with Retry-After. After Ctrl-C or SIGTERM the photo in progress is finished,
and those that wait are answered by 503. Letters, number plates and faces may be invented: do not
take a restored photo as evidence.
"""

import argparse

from deblur.commands.numbers import from_zero
from deblur.commands.web import add_serving, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_serving(parser, port=8000, waiting=16)
    about = "time to finish the photo in progress after SIGTERM (default %(default)s)"
    parser.add_argument("--grace", type=from_zero, default=60, metavar="SECONDS", help=about)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal."""
    start(options, grace=options.grace)
    return 0
