"""Test on real pairs what explains Li's PSNR of 29.16 dB with an SSIM of 0.746.

python scripts/overflow.py docs/figures datasets/GOPRO_Large datasets/REDS

Scores the blurred pictures of data sets at 256x256 (squashed frames and centre crops), as they are
and with a fifth less contrast, as Li's network returns them. Draws the true PSNR and the one that
overflows in 8 bits over SSIM, and prints both at Li's SSIM.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from rich.progress import track

from deblur.data.search import choose_layout, find_pairs
from deblur.metrics import PROTOCOLS, Comparison
from deblur.pair import encode

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

PSNR, SSIM = 29.16, 0.746
NEAR = 0.05
"""The largest difference to Li's SSIM of pictures that count as having it."""
FADED = 0.2
VIEWS = {"li-2024-squash": "squashed frames", "li-2024-crop": "centre crops"}
SERIES = (
    ("psnr", "true PSNR", 0.0, "tab:blue"),
    ("psnr", "true PSNR, faded", FADED, "lightskyblue"),
    ("psnr_overflowed", "overflowed PSNR", 0.0, "tab:red"),
    ("psnr_overflowed", "overflowed PSNR, faded", FADED, "lightsalmon"),
)


def main() -> None:
    """Score, print, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path, help="the folder for overflow.png")
    parser.add_argument("sets", type=Path, nargs="+", help="data sets as they are unpacked")
    options = parser.parse_args()
    pairs = [pair for root in options.sets for pair in find_pairs(root, choose_layout(root))[0]]
    scores: dict[tuple[str, float], list[dict[str, float]]] = {}
    for pair in track(pairs, "scoring", transient=True):
        blur, sharp = (encode(torch.from_numpy(p).permute(2, 0, 1)[None]) for p in pair.read())
        for name in VIEWS:
            seen, truth = (PROTOCOLS[name].view(image) for image in (blur, sharp))
            for faded in (0.0, FADED):
                found = PROTOCOLS[name].score(Comparison(seen * (1 - faded), truth))
                row = {key: float(value[0]) for key, value in found.items()}
                scores.setdefault((name, faded), []).append(row)
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), sharey=True, layout="constrained")
    for axis, (name, title) in zip(axes, VIEWS.items()):
        print(f"{title}, SSIM {SSIM} +- {NEAR}:")
        for key, label, faded, colour in SERIES:
            rows = scores[name, faded]
            ssim, psnr = (np.array([row[k] for row in rows]) for k in ("ssim", key))
            axis.scatter(ssim, psnr, 16, colour, linewidths=0, label=label)
            near = psnr[np.abs(ssim - SSIM) < NEAR]
            span = f"{near.min():.2f} to {near.max():.2f}"
            print(f"  {label}: {near.mean():.2f} dB ({span}), {len(near)} pictures")
        axis.scatter([SSIM], [PSNR], 130, "black", marker="*", label="Li, 2024")
        axis.scatter(
            [SSIM], [PSNR - 20 * np.log10(2)], 60, "black", marker="x", label="6.02 dB less"
        )
        axis.set(title=f"{title}, 256x256", xlabel="SSIM", ylabel="dB")
        axis.label_outer()
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    figure.savefig(options.out / "overflow.png", dpi=110)
    print(options.out / "overflow.png")


if __name__ == "__main__":
    main()
