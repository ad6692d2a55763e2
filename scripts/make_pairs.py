"""Blur photos once, for trainings that would wait for it: crops are then cut out of these pairs.

python scripts/make_pairs.py datasets/made data.root=datasets/photos blur=camera data.crop=384
python train.py experiment=unet data=folder data.root=datasets/made data.crop=128

The settings are those of train.py. On two cores the full camera takes a third of a training's time.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from rich.progress import Progress
from torch.utils.data import DataLoader

from deblur.data.prepared import keep
from deblur.media.images import Pixels
from deblur.pair import Pair, decode

CONF = Path(__file__).resolve().parent.parent / "conf"


def main() -> None:
    """Blur photos, and write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path, help="the folder to write to")
    parser.add_argument("--train", type=int, default=8000, help="pairs (default %(default)s)")
    parser.add_argument("--val", type=int, default=48, help="pairs (default %(default)s)")
    parser.add_argument("settings", nargs="*", help="settings of data and blur, as for train.py")
    options = parser.parse_intermixed_args()
    counts = {"train": options.train, "val": options.val}
    try:
        for split, count in counts.items():
            with Progress(disable=not sys.stderr.isatty(), transient=True) as progress:
                task = progress.add_task(split, total=count)
                for done in keep(options.out, split, _make(options.settings, split, count)):
                    progress.update(task, completed=done)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"train on them:  python train.py experiment=... data=folder data.root={options.out}")


def _make(settings: list[str], split: str, count: int) -> Iterator[tuple[str, Pixels]]:
    """Yield names and pairs (2, H, W, 3)."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", ["data=photos", *settings]).data
    held_out = {"crop": cfg.crop, "val": count, "test": count}
    make = instantiate(cfg.dataset, _convert_="all", size=count, held_out=held_out)
    dataset = make(root=cfg.root, split=split, crop=cfg.crop, seed=cfg.seed)
    places = [(0, index) for index in range(count)]
    drawn = Counter[str]()  # real pairs are drawn more than once
    pair: Pair
    for pair in DataLoader(dataset, None, sampler=places, num_workers=cfg.workers or 1):
        both = decode(torch.stack([pair.blur, pair.sharp]))
        drawn[pair.name] += 1
        again = f"-{drawn[pair.name]}" if drawn[pair.name] > 1 else ""
        yield f"{pair.name.replace('/', '-')}{again}", both.permute(0, 2, 3, 1).contiguous().numpy()


if __name__ == "__main__":
    main()
