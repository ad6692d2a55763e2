"""Render pages of text into a folder of photos, so that a model trained on them knows letters.

python scripts/render_text.py datasets/photos [--pages 16]

The files' names come last in their folder, so that the split of the photos does not change. Words,
fonts (of matplotlib: pip install -e '.[docs]'), sizes and colours are a function of the page's
number. Some fonts are kept for testing, see benchmarks/text.py.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FACES = ("DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "STIXGeneralBol", "cmss10")
SIZE = (1280, 960)
WORDS = (
    "about above after again air along also always animal answer avenue baker bank before begin "
    "between book boy bridge bus café car carry castle change children church city close coffee "
    "come corner country daily day different door down earth east enter evening every exit eye "
    "family far father feet find first flower follow food form free friday from garden gate get "
    "girl give glass good great group grow hand hard head hear help high home hotel hour house "
    "idea into jazz just keep kind king know land large last late learn left letter life light "
    "line list little live long look make market mile monday morning mother mountain museum near "
    "never next night north notice number office often once open order other over page paper park "
    "part people pharmacy picture place plant platform point press price private quick quiet read "
    "right river road room run sale school sea second see sentence service shop should show small "
    "song sound south spell stand start state station stop story street study sunday take taxi tea "
    "tell theatre thing think three ticket time together town tree try turn under until upper view "
    "visit walk watch water way week welcome west white wine word work world year young zone"
).split()


def main() -> None:
    """Render the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path, help="the photos' folder")
    parser.add_argument("--pages", type=int, default=16)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for number in range(options.pages):
        render(number).save(options.out / f"zz-text-{number:02}.webp", quality=95, method=5)
    print(f"{options.out}: {options.pages} pages of text")


def render(number: int) -> Image.Image:
    """Render page `number`: blocks of lines, each with its font, size and colours."""
    rng = np.random.default_rng((2412, number))
    page = Image.fromarray(_paper(rng))
    draw = ImageDraw.Draw(page)
    top = 8
    while top < SIZE[1]:
        size = int(np.exp(rng.uniform(np.log(12), np.log(72))))
        font = ImageFont.truetype(FONTS / f"{rng.choice(FACES)}.ttf", size)
        below = min(SIZE[1], top + round(1.35 * size * rng.integers(1, 4)))
        under, ink = _colours(rng)
        if rng.random() < 0.5:
            draw.rectangle((0, top, SIZE[0], below), fill=under)
        else:
            under = page.crop((0, top, SIZE[0], below)).resize((1, 1), Image.Resampling.BOX)
            light = sum(under.getpixel((0, 0))) > 384  # type: ignore[arg-type]
            ink = tuple(int(level) for level in (rng.integers(0, 70, 3) + (0 if light else 185)))
        for line in range(top, below - size, round(1.35 * size)):
            draw.text((int(rng.integers(0, 40)), line), _line(rng, font), font=font, fill=ink)
        top = below + int(rng.integers(0, 24))
    return page


def _paper(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a sheet of one colour, in uneven light and with some grain: (H, W, 3)."""
    width, height = SIZE
    slope = np.linspace(-1, 1, width) * rng.normal() + np.linspace(-1, 1, height)[:, None]
    levels = rng.uniform(40, 245, 3) + 12 * slope[..., None]
    grain = rng.normal(scale=rng.uniform(0, 4), size=(height, width, 1))
    pixels: NDArray[np.uint8] = (levels + grain).clip(0, 255).astype(np.uint8)
    return pixels


def _colours(rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return two colours with enough contrast."""
    dark, light = rng.integers(0, 110, 3), rng.integers(145, 256, 3)
    both = [tuple(int(level) for level in colour) for colour in (dark, light)]
    return both if rng.random() < 0.5 else both[::-1]


def _line(rng: np.random.Generator, font: ImageFont.FreeTypeFont) -> str:
    """Return a line of words, numbers and capitals that is as wide as the page."""
    line = ""
    while font.getlength(line) < SIZE[0]:
        word = str(rng.choice(WORDS))
        style = rng.random()
        if style < 0.2:
            word = str(rng.integers(1, 10 ** int(rng.integers(1, 5))))
        elif style < 0.45:
            word = word.upper()
        elif style < 0.6:
            word = word.capitalize() + str(rng.choice([",", ".", ":", "!", "?"]))
        line += word + " "
    return line


if __name__ == "__main__":
    main()
