"""Open a page on which photos are restored: before and after under a slider, and the download.

deblur web --open
deblur web --model runs/.../generator.safetensors --model small
deblur web --host 0.0.0.0               # for others in this network, too

The download is the whole photo with its metadata. Nothing leaves this computer, and what the page
writes is deleted after an hour, and when it ends.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add = parser.add_argument
    add(
        "--model",
        action="append",
        metavar="NAME_OR_PATH",
        help="a shipped name, or a .ckpt or .safetensors file; several give a choice (default all "
        "that are shipped)",
    )
    add("--host", default="127.0.0.1", help="the address to serve (default %(default)s)")
    add("--port", type=int, default=7860, help="(default %(default)s)")
    add("--max-megapixels", type=float, default=50, help="of a photo (default %(default)s)")
    add("--max-mb", type=float, default=60, help="of an uploaded file (default %(default)s)")
    add("--queue", type=int, default=8, help="photos that may wait (default %(default)s)")
    add("--open", action="store_true", help="open the page in the browser")


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from deblur.checkpoints.shipped import list_shipped

    models = options.model or list_shipped()
    if not models:
        raise ValueError(
            "no models are shipped yet; train one by `python train.py experiment=quick` and name "
            "its file: --model runs/.../generator.safetensors"
        )
    from deblur.web.page import serve

    serve(
        models,
        host=options.host,
        port=options.port,
        megapixels=options.max_megapixels,
        megabytes=options.max_mb,
        queue=options.queue,
        browse=options.open,
    )
    return 0
