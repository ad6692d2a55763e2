"""Measure the ranges for 8-bit integers of bundled models, and write them if they are accurate.

python scripts/calibrate.py small fast maxim

Ranges are measured on the bundled examples and validation pairs of the built-in photos. Rows of
convolutions, and MAXIM's units, are also tested there, all together and then, where they cost more
than a third of BOUND, each half of them: a single one that still does stays in floating point.
Integers with float32 and with bfloat16 are then compared with float32 on the 64 test crops;
if both are within BOUND, the ranges are written beside the weights, as NAME.int8.json, and "auto"
may choose integers.
"""

import argparse
import json
from itertools import islice
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn

from deblur.checkpoints import load_generator
from deblur.checkpoints.shipped import find_model
from deblur.inference.example_photos import show_examples
from deblur.inference.quantized import Ranges, calibrate, quantize
from deblur.inference.streamline import streamline
from deblur.metrics.comparison import Comparison
from deblur.metrics.protocol import PROTOCOLS
from deblur.pair import Pair

CONF = Path(__file__).parent.parent / "conf"
CPU = torch.device("cpu")
BOUND = {"psnr": 0.03, "ssim": 0.003}
"""The most that integers may cost."""


@torch.inference_mode()
def main() -> None:
    """Calibrate, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="+", help="names of bundled models")
    options = parser.parse_args()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("eval", ["data=photos", "blur=pinned", "ckpt=null", "run_dir=none"])
    data = instantiate(cfg.data, _convert_="all")
    data.setup("validate")
    data.setup("test")
    known = [*islice(data.val_dataloader(), 16)]
    pictures = [*show_examples(256, 256), *(pair.blur for pair in known)]
    pairs = [*data.test_dataloader()]
    for name in options.names:
        model = load_generator(find_model(name))
        network = streamline(model.network, CPU, torch.float32)
        ranges = _leave_out(model.network, calibrate(network, pictures), known)
        exact = _score(network, pairs)
        print(f"{name}: float32 {exact}", flush=True)
        costs = {}
        for rest in ("float32", "bfloat16"):
            swift = quantize(streamline(model.network, CPU, getattr(torch, rest)), ranges)
            found = _score(swift, pairs)
            costs[f"int8 and {rest}"] = {key: round(found[key] - exact[key], 4) for key in BOUND}
        print(f"{name}: {costs}", flush=True)
        right = all(abs(cost[key]) <= BOUND[key] for cost in costs.values() for key in BOUND)
        out = find_model(name).with_suffix(".int8.json")
        out.unlink(missing_ok=True)
        if right:
            told = {"digest": model.about["digest"], "costs": costs, "ranges": ranges}
            out.write_text(json.dumps(told) + "\n", encoding="utf-8")
        print(f"{out}: {'written' if right else 'not written: the loss is too large'}")


def _leave_out(generator: nn.Module, ranges: Ranges, known: list[Pair]) -> Ranges:
    """Replace the ranges of rows that cost too much with None."""
    exact = _score(streamline(generator, CPU, torch.float32), known)

    def keep(rows: range) -> Ranges:
        alone = [own if row in rows else None for row, own in enumerate(ranges)]
        found = _score(quantize(streamline(generator, CPU, torch.float32), alone), known)
        costs = {key: found[key] - exact[key] for key in BOUND}
        right = all(abs(costs[key]) <= BOUND[key] / 3 for key in BOUND)
        told = ", ".join(f"{key} {cost:+.4f}" for key, cost in costs.items())
        print(f"  rows {rows[0]} to {rows[-1]}: {told}", flush=True)
        if right:
            return [ranges[row] for row in rows]
        if len(rows) == 1:
            return [None]
        half = len(rows) // 2
        return keep(rows[:half]) + keep(rows[half:])

    return keep(range(len(ranges)))


def _score(network: nn.Module, pairs: list[Pair]) -> dict[str, float]:
    """Return the means over some pairs of one picture each."""
    protocol = PROTOCOLS["wang-rgb"]
    scores = [protocol.score(Comparison(network(pair.blur), pair.sharp)) for pair in pairs]
    return {key: sum(float(one[key].mean()) for one in scores) / len(scores) for key in BOUND}


if __name__ == "__main__":
    main()
