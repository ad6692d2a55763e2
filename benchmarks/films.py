"""Measure what restoring the blurred frames of made clips gains:  python benchmarks/films.py

python benchmarks/films.py --model maxim
python benchmarks/films.py --adapt 60        # also with the model adapted to each clip
python benchmarks/films.py --adapt 60 --reds datasets/REDS/train

A clip is a pan of 5 pixels a frame over a built-in photo of the validation and test splits, nine
frames of 320x240, of which every third one is blurred over 15 pixels in linear light and the right
third stands still; as FFV1, which loses nothing. Gains are those of the PSNR of the blurred frames,
as --only-blurred restores them, to the sharp ones. Real clips of REDS are restored as a whole,
their frames in order, and compared with their sharp partners.
"""

import argparse
import csv
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from deblur.checkpoints import load_generator
from deblur.checkpoints.shipped import find_model
from deblur.data.photos import BUILT_IN
from deblur.evaluation.tables import markdown
from deblur.media.images import list_pictures, read
from deblur.restoration.adaptation import NotAdaptedError, adapt_restorer
from deblur.restoration.restorer import Restorer
from deblur.restoration.video import NotBlurredError, restore_video

WIDTH, HEIGHT, STEP, LENGTH, COUNT = 320, 240, 5, 15, 9
STILL = WIDTH // 3
"""Columns at the right that stand still."""
BLURRED = range(1, COUNT, 3)
Pixels = NDArray[Any]


class Clip(NamedTuple):
    """A clip, and what it should look like."""

    name: str
    filmed: list[Pixels]
    sharp: list[Pixels]
    blurred: list[int]
    """The places of blurred frames; of real clips all."""


def main() -> None:
    """Restore all clips, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", default="small")
    parser.add_argument("--adapt", type=float, metavar="SECONDS")
    parser.add_argument("--steps", type=int, help="of --adapt: end after these, on a busy machine")
    parser.add_argument("--reds", type=Path, help="the folder of train_blur and train_sharp")
    parser.add_argument("--only", default="", help="clips whose names contain this")
    options = parser.parse_args()
    restorer = Restorer.load(options.model)
    clips = pan_all() if options.reds is None else read_reds(options.reds)
    rows = []
    for clip in clips:
        if options.only in clip.name:
            rows.append(measure(clip, restorer, options, made=options.reds is None))
            print(*rows[-1], sep=" | ", flush=True)
    head = ["clip", "blurred (dB)", "found", "gain", "least", "gain adapted", "least", "adaptation"]
    print(markdown(head, [row[: len(head)] for row in rows]))
    for place in (3, 5):
        gains = [float(row[place]) for row in rows if row[place]]
        if gains:
            print(f"{head[place]}: {np.mean(gains):+.2f} on average over {len(gains)} clips")


def measure(
    clip: Clip, restorer: Restorer, options: argparse.Namespace, *, made: bool
) -> list[str]:
    """Restore a clip, without and with adaptation; return a row of the table."""
    with TemporaryDirectory() as folder:
        source = write(Path(folder) / "clip.mkv", clip.filmed)
        before = [psnr(clip.filmed[place], clip.sharp[place]) for place in clip.blurred]
        cells = [clip.name, f"{np.mean(before):.2f}"]
        adapted, told = restorer, ""
        if options.adapt:
            generator = load_generator(find_model(options.model)).network
            try:
                start = time.monotonic()
                adapted, notes = adapt_restorer(
                    restorer, generator, source, seconds=options.adapt, most=options.steps
                )
                told = f"{notes[0]}; {time.monotonic() - start:.0f} s in all"
            except NotAdaptedError as reason:
                told = f"not adapted: {reason}"
        for one in (restorer, adapted) if options.adapt else (restorer,):
            target = source.with_name("restored.mkv")
            note = f"all {len(clip.filmed)}"
            try:
                notes = restore_video(source, target, one.restore, only_blurred=made)
                note = notes[0].split(",")[0] if made else note
                restored = read_film(target)
            except NotBlurredError:
                note, restored = "none", clip.filmed
            gains = [
                psnr(restored[place], clip.sharp[place]) - was
                for place, was in zip(clip.blurred, before)
            ]
            cells += [*([note] if len(cells) == 2 else []), f"{np.mean(gains):+.2f}"]
            cells.append(f"{min(gains):+.2f}")
        return [*cells, *([""] * 2 if not options.adapt else []), told]


def pan_all() -> Iterator[Clip]:
    """Make a clip of each built-in photo that no bundled model has seen."""
    with open(BUILT_IN / "ATTRIBUTION.csv", newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] != "train"]
    for name in sorted(names):
        yield pan(name, read(BUILT_IN / name))


def pan(name: str, photo: Pixels, *, count: int = COUNT, blurred: Sequence[int] = BLURRED) -> Clip:
    """Pan over a photo (H, W, 3), 8 bits, beside what stands still."""
    light = (photo / 255.0) ** 2.2
    top = (light.shape[0] - HEIGHT) // 2
    rows = light[top : top + HEIGHT]
    filmed, sharp = [], []
    for place in range(count):
        left = LENGTH + STEP * place
        moments = [rows[:, left + at : left + at + WIDTH] for at in range(LENGTH)]
        middle = moments[LENGTH // 2]
        for frames, seen in (
            (filmed, np.mean(moments, 0) if place in blurred else middle),
            (sharp, middle),
        ):
            frame = seen.copy()
            frame[:, -STILL:] = rows[:, :STILL]
            frames.append((255 * frame ** (1 / 2.2)).round().astype(np.uint8))
    return Clip(name, filmed, sharp, [*blurred])


def read_reds(folder: Path) -> Iterator[Clip]:
    """Read each clip of REDS' folders."""
    for blur in sorted((folder / "train_blur").iterdir()):
        paths = sorted(list_pictures(blur))
        sharp = [read(folder / "train_sharp" / blur.name / path.name) for path in paths]
        yield Clip(blur.name, [read(path) for path in paths], sharp, [*range(len(paths))])


def write(path: Path, frames: list[Pixels]) -> Path:
    """Write frames as a lossless film."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for place, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")
            picture.pts = place
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def read_film(path: Path) -> list[Pixels]:
    """Read a film's frames."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def psnr(first: Pixels, second: Pixels) -> float:
    """Return the PSNR of two frames, in dB."""
    error = np.square(first.astype(float) - second).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


if __name__ == "__main__":
    main()
