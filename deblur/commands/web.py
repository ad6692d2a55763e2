"""Open a page on which photos are restored: before and after under a slider, and the download.

deblur web --open
deblur web --model runs/.../generator.safetensors --model small
deblur web --host 0.0.0.0 --password SECRET     # for others in this network, too

Downloads are whole photos with their metadata. Nothing leaves this computer, and the page's files
are deleted an hour after their last use, and when it ends. Letters, number plates and faces may be
invented: do not take a restored photo as evidence.
"""

import argparse
import os

from deblur.commands.numbers import above_zero, whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_serving(parser, port=7860, waiting=8)
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def add_serving(parser: argparse.ArgumentParser, *, port: int, waiting: int) -> None:
    """Add the arguments of whatever serves: models, address, limits, the token."""
    add = parser.add_argument
    add(
        "--model",
        action="append",
        metavar="NAME_OR_PATH",
        help="a bundled model's name, or a .ckpt or .safetensors file; may be repeated (default "
        "all bundled ones)",
    )
    add("--host", default="127.0.0.1", help="the address to serve (default %(default)s)")
    add(
        "--port", type=whole(0, 65535), default=port, help="0 is any free one (default %(default)s)"
    )
    add(
        *("--token", "--password"),
        default=os.environ.get("DEBLUR_TOKEN"),
        metavar="SECRET",
        help="the clients' token; browsers send it as the password, with any user name; required "
        "for any --host but this computer's own (default $DEBLUR_TOKEN)",
    )
    about = "a name by which the server is called; may be repeated"
    add("--allow-host", action="append", default=[], metavar="NAME", help=about)
    about = "the largest photo accepted (default %(default)s)"
    add("--max-megapixels", type=above_zero, default=50, help=about)
    about = "the largest file accepted (default %(default)s)"
    add("--max-mb", type=above_zero, default=60, help=about)
    about = "time limit of an upload, and of its answer (default %(default)s)"
    add("--max-seconds", type=above_zero, default=600, help=about)
    add(
        "--queue", type=whole(0), default=waiting, help="photos that may wait (default %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    start(options, browse=options.open)
    return 0


def start(options: argparse.Namespace, *, grace: float = 0, browse: bool = False) -> None:
    """Serve with a command's options."""
    # oneDNN keeps what it prepares for 1,024 layers, each size of photo anew: some MB a size.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")
    from deblur.checkpoints.shipped import AUTO, list_shipped

    shipped = list_shipped()
    models = options.model or [AUTO, *shipped]
    if not shipped and not options.model:
        raise ValueError(
            "no models are shipped yet; train one by `python train.py experiment=quick` and name "
            "its file: --model runs/.../generator.safetensors"
        )
    from deblur.web.server import Limits, serve

    limits = Limits(
        megapixels=options.max_megapixels,
        megabytes=options.max_mb,
        seconds=options.max_seconds,
        waiting=options.queue,
    )
    serve(
        models,
        host=options.host,
        port=options.port,
        limits=limits,
        token=options.token,
        hosts=options.allow_host,
        grace=grace,
        browse=browse,
    )
