"""Measure how much text that is unreadable by blur can be read in restored pictures.

python benchmarks/text.py [small gan ...] [--sheet text.png]

48 lines: 36 rendered on the test photos (words and fonts that no training page of
scripts/render_text.py has), and six lines of a photographed page (skimage.data.page), each blurred
twice. RapidOCR reads each line sharp, blurred and restored; what it reads of the sharp one is the
truth. The edit distance to it counts letters and digits that are wrong, missing or invented.
Requires pip install -e '.[dev,docs,ocr]'. The guard is off.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import skimage.data
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rapidocr_onnxruntime import RapidOCR
from rich.progress import track
from torchmetrics.functional.text import edit_distance

from deblur import Restorer
from deblur.blur.camera import Camera
from deblur.data.photos import BUILT_IN
from deblur.evaluation.tables import markdown

CONF = Path(__file__).resolve().parent.parent / "conf"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FACES = ("DejaVuSans", "DejaVuSansMono-Bold", "DejaVuSerif-Bold", "STIXGeneral", "cmr10")
PHOTOS = ("gatewayofIndia.webp", "qutubMinar.webp", "polar_bear.webp", "cincinnati-bridge.jpg")
SIGNS = (
    *("Harbour Lane 27", "Emergency exit", "Fresh bread daily", "No parking 8-18", "Gate B42"),
    *(
        "Opening hours",
        "Fragile: this side up",
        "Maximum speed 50",
        "Botanical society",
        "KX71 VRM",
    ),
    *("Tram 14 to Linden", "Caution wet floor", "Second-hand records", "Dr. M. Feldmann"),
    *("Cash machine", "Lost property", "Bicycles forbidden", "Queue here", "Vegetable soup 4.90"),
    *(
        "Founded in 1863",
        "Dentist, 3rd floor",
        "Push button twice",
        "Reserved seats",
        "Wi-Fi: guest",
    ),
    *("Departures", "Elevator to deck 5", "Sculpture workshop", "Unit 208", "Mind your head"),
    *("Galaxy Cinema", "Deliveries only", "Ring for assistance", "Zebra crossing", "Fish & chips"),
    *("Please knock", "Luggage storage"),
)
PAGE = ((11, 35), (48, 66), (65, 84), (82, 101), (99, 118), (116, 138))
"""The rows of each line in skimage's photographed page."""
SCALE = 3
CONTEXT = 64
"""Pixels around a line that are blurred and restored with it."""


class Line(NamedTuple):
    """A line of text with its surroundings: CONTEXT and the camera's margin on each side."""

    kind: str
    pixels: NDArray[np.uint8]


def main() -> None:
    """Blur, restore, read, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("models", nargs="*", default=["small", "gan"])
    parser.add_argument("--sheet", type=Path, help="a picture of some lines")
    parser.add_argument("--stages", type=int, help="of networks with several, such as maxim-gopro")
    options = parser.parse_args()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        settings = compose("config", ["blur=trajectory", "blur.motion.length=[8,24]"])
    camera = instantiate(settings.blur, _convert_="all")
    restorers = {
        name: Restorer.load(name, guard=False, stages=options.stages) for name in options.models
    }
    rows: dict[str, list[list[str]]] = {}
    strips = []
    for index, line in enumerate(track([*rendered(camera), *photographed(camera)], "reading")):
        pixels = torch.tensor(line.pixels).permute(2, 0, 1)[None].contiguous()
        blurred, sharp = (image[0] for image in camera(pixels, [np.random.default_rng(index)]))
        seen = {"sharp": sharp, "blurred": blurred}
        seen |= {name: restorer.restore(blurred) for name, restorer in restorers.items()}
        cut = [image[:, CONTEXT:-CONTEXT, CONTEXT:-CONTEXT] for image in seen.values()]
        rows.setdefault(line.kind, []).append([read(image) for image in cut])
        strips.append(torch.cat(cut, 1))
    rows["all"] = [texts for kind in rows.values() for texts in kind]
    head = ["lines", "of", "characters", "lost to blur"]
    head += [text for name in restorers for text in (f"lost after {name}", "recovered")]
    print(markdown(head, [tell(kind, texts) for kind, texts in rows.items()]))
    if options.sheet:
        draw(options.sheet, strips)


def rendered(camera: Camera) -> list[Line]:
    """Return SIGNS, rendered on plates on the test photos."""
    lines = []
    rim = CONTEXT + camera.margin
    for index, sign in enumerate(SIGNS):
        rng = np.random.default_rng((91, index))
        size = int(rng.integers(22, 44))
        font = ImageFont.truetype(FONTS / f"{FACES[index % len(FACES)]}.ttf", size)
        width, height = round(font.getlength(sign)) + 2 * size, 2 * size
        photo = Image.open(BUILT_IN / PHOTOS[index % len(PHOTOS)]).convert("RGB")
        canvas = Image.fromarray(padded(np.asarray(photo), width + 2 * rim, height + 2 * rim))
        dark, light = rng.integers(0, 90, 3), rng.integers(165, 256, 3)
        under, ink = (dark, light) if rng.random() < 0.5 else (light, dark)
        draw = ImageDraw.Draw(canvas)
        draw.rectangle((rim, rim, rim + width, rim + height), fill=tuple(map(int, under)))
        place = (rim + width // 2, rim + height // 2)
        draw.text(place, sign, font=font, fill=tuple(map(int, ink)), anchor="mm")
        lines.append(Line("rendered", np.asarray(canvas)))
    return lines


def photographed(camera: Camera) -> list[Line]:
    """Return the page's lines, each of them twice."""
    page = Image.fromarray(skimage.data.page()).convert("RGB")
    page = page.resize((page.width * SCALE, page.height * SCALE), Image.Resampling.BICUBIC)
    rim = CONTEXT + camera.margin
    whole = np.pad(np.asarray(page), ((rim, rim), (rim, rim), (0, 0)), mode="reflect")
    cuts = [whole[SCALE * top : SCALE * bottom + 2 * rim] for top, bottom in PAGE]
    return [Line("photographed", cut) for cut in cuts * 2]


def padded(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Cut (or mirror) a photo to the size."""
    lack = [max(0, length - have) for length, have in zip((height, width), pixels.shape)]
    pixels = np.pad(pixels, [*((0, missing) for missing in lack), (0, 0)], mode="symmetric")
    return np.ascontiguousarray(pixels[:height, :width])


def read(image: torch.Tensor, reader: RapidOCR = RapidOCR()) -> str:
    """Read a strip with one line, (3, H, W): return its letters and digits, in lower case."""
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy()[..., ::-1])
    lines, _ = reader(pixels, use_det=False, use_cls=False)
    return "".join(filter(str.isalnum, "".join(text for text, *_ in lines or []))).lower()


def tell(kind: str, texts: list[list[str]]) -> list[str]:
    """Return a row of the table; texts: those read in the sharp, blurred and restored pictures."""
    truth, blurred, *restored = zip(*texts)
    lost = int(edit_distance(blurred, truth, reduction="sum"))
    row = [kind, f"{len(truth)}", f"{sum(map(len, truth))}", f"{lost}"]
    for model in restored:
        left = int(edit_distance(model, truth, reduction="sum"))
        row += [f"{left}", f"{1 - left / lost:.0%}"]
    return row


def draw(path: Path, strips: list[torch.Tensor]) -> None:
    """Write every sixth line: sharp, blurred and by each model, one above the other."""
    chosen = [strip.permute(1, 2, 0).numpy() for strip in strips[::6]]
    width = max(strip.shape[1] for strip in chosen)
    rows = [np.pad(s, ((0, 12), (0, width - s.shape[1]), (0, 0))) for s in chosen]
    Image.fromarray(np.concatenate(rows)).save(path)


if __name__ == "__main__":
    main()
