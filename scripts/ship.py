"""Put a trained generator among the models that come along, in half precision.

python scripts/ship.py small runs/small/generator.safetensors --crops 480000 --about "..."

crops: that it was trained on, in all. What is known of a model is written into its file and, with
its figures, into its card, deblur/assets/weights/NAME.md.
"""

import argparse
import sys
from pathlib import Path

import torch

from deblur.checkpoints import load_generator, save_generator
from deblur.checkpoints.shipped import WEIGHTS

TEST = {"data": "synthetic", "blur": "trajectory", "scalars": {}}
"""What eval.py measures them on."""


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", help="such as small")
    parser.add_argument("file", type=Path, help="a .ckpt or .safetensors")
    parser.add_argument("--crops", type=int, required=True, help="seen in training")
    parser.add_argument("--about", required=True, metavar="TEXT", help="how it was trained")
    options = parser.parse_args()
    try:
        model = load_generator(options.file)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    about = {
        "about": options.about,
        "crops": f"{options.crops:,}",
        "license": "MIT, as this project; what it was trained on is in its card",
    }
    out = WEIGHTS / f"{options.name}.safetensors"
    out.parent.mkdir(exist_ok=True)
    save_generator(out, model.network, model.config, TEST, about, precision=torch.float16)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB;  python eval.py ckpt={options.name}")


if __name__ == "__main__":
    main()
