"""Write the pictures that a model is measured on as files, for other programs.

python scripts/write_pairs.py datasets/synthetic_crops --crop 384 --every 3 data=synthetic
python eval.py ckpt=small data=folder data.root=datasets/synthetic_crops unsharp=false

They are test pairs of any data, whole or central squares: OUT/test/{blur,sharp}/*.png. The settings
are those of eval.py.
"""

import argparse
import sys
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image
from rich.progress import track
from torchvision.transforms.functional import center_crop

from deblur.pair import decode

CONF = Path(__file__).resolve().parent.parent / "conf"


def main() -> None:
    """Write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path, help="the folder to write to")
    parser.add_argument("--crop", type=int, help="the side of the squares (default: whole)")
    parser.add_argument("--every", type=int, default=1, help="write every n-th pair")
    parser.add_argument("settings", nargs="*", help="settings of data and blur, as for eval.py")
    options = parser.parse_intermixed_args()
    try:
        if any(options.out.glob("test/*/*")):
            raise FileExistsError(f"{options.out}: already holds test pairs")
        with initialize_config_dir(str(CONF), version_base="1.3"):
            data = instantiate(compose("config", options.settings).data, _convert_="all")
        data.setup("test")
        pairs = data.test_dataloader().dataset
        chosen = range(0, len(pairs), options.every)
        for index in track(chosen, "writing", disable=not sys.stderr.isatty()):
            pair = pairs[0, index]
            for kind, picture in (("blur", pair.blur), ("sharp", pair.sharp)):
                levels = decode(picture)
                if options.crop:
                    if min(levels.shape[1:]) < options.crop:
                        raise ValueError(f"{pair.name}: smaller than --crop {options.crop}")
                    levels = center_crop(levels, [options.crop, options.crop])
                path = options.out / "test" / kind / f"{pair.name.replace('/', '-')}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, levels)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"{options.out}: {len(chosen)} pairs")


def write(path: Path, levels: torch.Tensor) -> None:
    """Write 8-bit values (3, H, W)."""
    Image.fromarray(levels.permute(1, 2, 0).numpy()).save(path)


if __name__ == "__main__":
    main()
