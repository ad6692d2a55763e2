"""Draw the paper's Figures 1 to 3 from the modules themselves:  make figures

Figure 1 is the training scheme, Figures 2 and 3 the generator's and the discriminator's layers
with kernel, stride, output size and parameters.
"""

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from deblur.networks import DenseDiscriminator, ResNet  # noqa: E402
from deblur.networks.layers import Layer, list_layers  # noqa: E402

COLOURS = {"Conv2d": "#cfe2f3", "Linear": "#fce5cd", "BatchNorm2d": "#eeeeee"}
SHAPE = (3, 256, 256)


def box(axes: Axes, x: float, y: float, text: str, colour: str, size: float = 9) -> None:
    """Write text in a coloured box around (x, y)."""
    style = {"boxstyle": "round,pad=0.5", "facecolor": colour, "edgecolor": "#666666"}
    axes.text(x, y, text, ha="center", va="center", fontsize=size, bbox=style)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw an arrow."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "#444444"})


def figure_1(path: Path, parameters: dict[str, int]) -> None:
    """Draw the networks, their inputs and their losses."""
    figure, axes = plt.subplots(figsize=(11, 4.2))
    axes.set_xlim(0, 12)
    axes.set_ylim(0, 5)
    axes.axis("off")
    box(axes, 1, 3.2, "blurred\n3x256x256", "#ffffff")
    box(axes, 3.7, 3.2, f"generator\n{parameters['generator']:,}", COLOURS["Conv2d"])
    box(axes, 6.3, 3.2, "restored\n3x256x256", "#ffffff")
    box(axes, 6.3, 1, "sharp\n3x256x256", "#ffffff")
    box(axes, 9, 1, f"discriminator\n{parameters['discriminator']:,}", COLOURS["Linear"])
    box(axes, 9, 4.3, "VGG16 to relu3_3\nfrozen", COLOURS["BatchNorm2d"])
    box(axes, 11.2, 4.3, "perceptual\nEquation 2", "#d9ead3")
    box(axes, 11.2, 1, "minimax\nEquation 1", "#d9ead3")
    arrow(axes, (1.7, 3.2), (2.7, 3.2))
    arrow(axes, (4.7, 3.2), (5.5, 3.2))
    arrow(axes, (7.1, 3.4), (8, 4.1))
    arrow(axes, (7, 1.4), (8.1, 3.9))
    arrow(axes, (7.1, 3), (8.2, 1.5))
    arrow(axes, (7.1, 1), (7.9, 1))
    arrow(axes, (10, 4.3), (10.4, 4.3))
    arrow(axes, (10, 1), (10.5, 1))
    axes.text(11.2, 3.55, "teaches the generator", ha="center", fontsize=8, style="italic")
    axes.text(11.2, 0.25, "teaches both, in turn", ha="center", fontsize=8, style="italic")
    axes.set_title("Figure 1. The networks take turns on each batch: discriminator, then generator")
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)


def rows_of(layers: Sequence[Layer]) -> list[tuple[str, ...]]:
    """Return a line for each layer; equal neighbours (the residual blocks') share one."""
    lines = [
        (la.name, la.kernel, la.stride, la.output, la.parameters, la.statistics) for la in layers
    ]
    pairs = [tuple(lines[i : i + 2]) for i in range(0, len(lines), 2)]
    rows: list[tuple[str, ...]] = []
    for pair, same in groupby(pairs):
        times = len(list(same))
        for name, kernel, stride, output, parameters, statistics in pair:
            count = f"{parameters:,}" + (f" + {statistics:,}" if statistics else "")
            rows.append((f"{times} x {name}" if times > 1 else name, kernel, stride, output, count))
    return rows


def figure_of_layers(path: Path, title: str, layers: Sequence[Layer]) -> None:
    """Draw a network as a table with a row per layer, from its input down to its output."""
    rows = rows_of(layers)
    figure, axes = plt.subplots(figsize=(9, 0.32 * (len(rows) + 3)))
    axes.axis("off")
    heads = ("layer", "kernel", "stride", "output (C x H x W)", "parameters (+ statistics)")
    table = axes.table(
        cellText=rows,
        colLabels=heads,
        loc="center",
        cellLoc="center",
        colWidths=[0.2, 0.1, 0.1, 0.25, 0.3],
    )
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    table.scale(1, 1.35)
    for (line, _), cell in table.get_celld().items():
        kind = rows[line - 1][0].split(" x ")[-1] if line else ""
        cell.set_facecolor(COLOURS.get(kind, "#ffffff"))
    total = sum(layer.parameters + layer.statistics for layer in layers)
    convolutions = sum(layer.name.startswith("Conv") for layer in layers)
    axes.set_title(f"{title}: {convolutions} convolutions, {total:,} parameters")
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)


def main(folder: Path) -> None:
    """Draw all three into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    networks = {"generator": ResNet(), "discriminator": DenseDiscriminator()}
    layers = {name: list_layers(network, SHAPE) for name, network in networks.items()}
    totals = {
        name: sum(la.parameters + la.statistics for la in own) for name, own in layers.items()
    }
    figure_1(folder / "figure1.png", totals)
    figure_of_layers(folder / "figure2.png", "Figure 2. Generator", layers["generator"])
    figure_of_layers(folder / "figure3.png", "Figure 3. Discriminator", layers["discriminator"])
    print(f"{folder}/figure1.png, figure2.png, figure3.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/figures"))
