"""Measure what each ingredient of the blur contributes: train a network on each, test it on all.

python benchmarks/blurs.py OUT [--photos FOLDER] [--gopro FOLDER] [--reds FOLDER] [--only ROW ...]

Trains quick's generator on each row's blur (Charbonnier loss, LARS, 96-pixel crops, batch 8), for
each seed, and prints how many decibels it gains over the blurry pictures of each column: synthetic
blur on 32 crops of the built-in test photos and, if the folders of GoPro and REDS are given, every
third of their frames in deblur/assets/lists/mixed.csv, whole. Weights and scores are kept in OUT,
so that a stopped run can be resumed.
"""

import argparse
import csv
import json
import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader

from deblur.atomic import write_text
from deblur.data.crops import EpochSampler
from deblur.data.folder import PairedFolder
from deblur.data.lists import find_list
from deblur.hardware import has_bfloat16, pick_device, place
from deblur.losses.content import Charbonnier
from deblur.networks import ResNet
from deblur.pair import Pair, quantize
from deblur.training.optimizers.lars import LARS

CONF = Path(__file__).resolve().parent.parent / "conf"
SENSOR = ("optics", "highlights", "noise", "mosaic", "jpeg")
MOTION = "blur.motion.motions"
# A shakier hand, used to train the first rows and to make the columns.
SHAKY = {
    "trajectory": ["blur=trajectory", "blur.motion.anxiety=[0.003,0.01]"],
    "shake": ["blur=shake", "blur.motion.anxiety=[0.003,0.01]"],
    "objects": [
        "blur=objects",
        "blur.motion.anxiety=[0,0.01]",
        "blur.motion.background.anxiety=[0.003,0.01]",
    ],
    "camera": [
        "blur=camera",
        f"{MOTION}.trajectory.anxiety=[0.003,0.01]",
        f"{MOTION}.shake.anxiety=[0.003,0.01]",
        f"{MOTION}.objects.anxiety=[0,0.01]",
        f"{MOTION}.objects.background.anxiety=[0.003,0.01]",
    ],
}
TRAJECTORY, CAMERA = SHAKY["trajectory"], SHAKY["camera"]
NAMES = ("shake", "trajectory", "objects")
ROWS = {
    "trajectory": TRAJECTORY,
    "trajectory, averaged pixels": [*TRAJECTORY, "+blur.shares={linear: 0}"],
    **{f"trajectory + {name}": [*TRAJECTORY, f"+blur.shares={{{name}: 1}}"] for name in SENSOR},
    "shake": SHAKY["shake"],
    "objects": SHAKY["objects"],
    "all motions": [*CAMERA, *(f"blur.shares.{name}=0" for name in SENSOR)],
    "all motions, sensor": CAMERA,
    "the same, half in averaged pixels": [*CAMERA, "blur.shares.linear=0.5"],
    "the same, paths up to 12": [*CAMERA, *(f"{MOTION}.{n}.length=[0,12]" for n in NAMES)],
    "the same, paths up to 40": [*CAMERA, *(f"{MOTION}.{n}.length=[0,40]" for n in NAMES)],
    "all motions, sensor, calm hand": ["blur=camera"],
    "the same, calm, paths up to 40": [
        "blur=camera",
        *(f"{MOTION}.{n}.length=[0,40]" for n in NAMES),
    ],
    "trajectory, calm hand": ["blur=trajectory"],
}


def make_data(blur: list[str], **changes: Any) -> Any:
    """Build the photos with a blur."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["data=photos", *blur])
    for key, value in changes.items():
        setattr(cfg.data, key, value)
    return instantiate(cfg.data, _convert_="all")


def train(row: str, seed: int, photos: str | None, steps: int) -> nn.Module:
    """Train one small network."""
    torch.manual_seed(seed)
    device = pick_device()
    size = f"data.dataset.size={8 * steps}"
    data = make_data([*ROWS[row], size], root=photos, seed=seed, crop=96)
    data.setup("fit")
    pairs = data.splits["train"]
    sampler = EpochSampler(len(pairs), seed=seed)
    network = place(ResNet(blocks=3, width=24, dropout=0.0), device)
    loss = Charbonnier()
    optimizer = LARS(network.parameters(), lr=0.005, momentum=0.9)
    for step, pair in enumerate(DataLoader(pairs, 8, sampler=sampler)):
        optimizer.param_groups[0]["lr"] = 0.005 * min(1, 2 * (1 - step / steps))
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)):
            restored = network(pair.blur.to(device))
        value = loss(restored.float(), pair.sharp.to(device))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if step % 200 == 0:
            print(f"{row}, seed {seed}, step {step}: {value.item():.4f}", flush=True)
    return network.eval()


@torch.inference_mode()
def score(network: nn.Module, pairs: Iterable[Pair]) -> float:
    """Return the mean gain in PSNR over the blurry pictures, in decibels."""
    device = next(network.parameters()).device
    gains = []
    for pair in pairs:
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)):
            restored = network(pair.blur[None].to(device))
        errors = [
            float((quantize(image) - pair.sharp).square().mean())
            for image in (restored[0].float().cpu(), pair.blur)
        ]
        gains.append(10 * math.log10(errors[1] / errors[0]))
    return statistics.mean(gains)


def test_sets(gopro: str | None, reds: str | None) -> dict[str, list[Pair]]:
    """Load the test pictures, by column; each clip of real frames is a column."""
    columns = {}
    with open(find_list("mixed.csv"), newline="", encoding="utf-8") as file:
        names = {f"{row['scene']}-{row['frame']}" for row in csv.DictReader(file)}
    for column, blur in SHAKY.items():
        data = make_data(blur)
        data.setup("test")
        test = data.splits["test"]
        columns[column] = [test[0, index] for index in range(len(test) // 2)]
    for layout, root in (("gopro", gopro), ("reds", reds)):
        if root is not None:
            real = PairedFolder(root=root, split="test", crop=1, seed=0, layout=layout, whole=True)
            listed = [i for i, pair in enumerate(real.pairs) if pair.name in names]
            for index in (listed or range(len(real)))[::3]:
                columns.setdefault(f"{layout} {real.pairs[index].scene}", []).append(real[0, index])
    return columns


def table(scores: dict[str, dict[str, float]]) -> str:
    """Format the gains: the mean over seeds, and their standard deviation."""
    columns = list(dict.fromkeys(name for gains in scores.values() for name in gains))
    lines = ["| trained on | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for row in ROWS:
        seeds = [gains for run, gains in scores.items() if run.rpartition("-")[0] == row]
        cells = []
        for column in columns if seeds else []:
            values = [gains[column] for gains in seeds if column in gains]
            spread = f" ±{statistics.stdev(values):.2f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):+.2f}{spread}")
        if cells:
            lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Train and score what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the folder for weights and scores")
    parser.add_argument("--photos", help="sharp photos to train on (default: the built-in ones)")
    parser.add_argument("--gopro", help="GoPro's folder, or a part of it")
    parser.add_argument("--reds", help="REDS' folder, or a part of it")
    parser.add_argument("--only", nargs="+", default=list(ROWS), choices=ROWS, metavar="ROW")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1600, help="training steps")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    columns = test_sets(options.gopro, options.reds)
    file = options.out / "scores.json"
    scores = json.loads(file.read_text()) if file.exists() else {}
    for seed in options.seeds:
        for row in options.only:
            weights = options.out / f"{row}-{seed}.safetensors"
            network = place(ResNet(blocks=3, width=24, dropout=0.0), pick_device()).eval()
            if weights.exists():
                network.load_state_dict(load_file(weights))
            else:
                network = train(row, seed, options.photos, options.steps)
                state = {name: value.contiguous() for name, value in network.state_dict().items()}
                save_file(state, weights.with_suffix(".part"))
                weights.with_suffix(".part").rename(weights)
            known = scores.setdefault(f"{row}-{seed}", {})
            for column, pairs in columns.items():
                if column not in known:
                    known[column] = score(network, pairs)
                    write_text(file, json.dumps(scores, indent=1))
    print(table(scores))


if __name__ == "__main__":
    main()
