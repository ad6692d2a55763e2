"""Make blurred pairs from a video, or from a folder of its frames, by averaging.

deblur frames street.mp4 datasets/mine
deblur frames street.mp4 datasets/mine --average 7-13 --curve srgb
python train.py experiment=paper data=gopro data.root=datasets/mine

The blurred picture is the mean of consecutive frames and the sharp one is the frame in the middle,
as in GoPro (Nah et al., CVPR 2017), which was filmed at 240 frames a second. They are written to
OUT/<split>/<scene>/{blur,sharp}/000047.png, where 47 is the middle frame's number, from 0. Existing
pairs are kept: the same command resumes where it was stopped. Another --curve adds its own folder
of blurred pictures to the same sharp ones; --start, --stop and --max-step may differ, too. A scene
is of one video, --average, --step and --seed, which are noted in its frames.json.

Where something moves far from one frame to the next, the mean shows copies of it side by side
(ghosts) and no blur; such pairs are left out. A higher frame rate or slower motion helps. Frames
are not interpolated, as some projects do to reduce the motion: errors of the interpolation would be
part of the blur.
"""

import argparse
import json
import shlex
from itertools import count, islice
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from deblur.atomic import replacing, write_text
from deblur.commands.numbers import above_zero, whole
from deblur.data.frames import CURVES, average, motion
from deblur.media.images import Pixels
from deblur.media.video import Burst, bursts, open_frames
from deblur.terminal import printable

FIRST = 3  # of the pairs that are left out so many get a line of their own
OFTEN = 50  # pairs between lines that say how far it is, where there is no terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add = parser.add_argument
    add("source", type=Path, metavar="VIDEO_OR_FOLDER", help="a video, or a folder of its frames")
    add("out", type=Path, metavar="OUT", help="the data set's folder, new or not")
    add("--scene", help="the scene's name (default the source's)")
    add("--split", choices=["train", "val", "test"], default="train", help="default %(default)s")
    about = "frames in a pair, odd, usually 7 to 13; a range (7-13) is drawn from for each pair"
    add("--average", type=_odd_range, default="7", metavar="N", help=f"{about} (default 7)")
    add("--seed", type=int, default=0, help="for drawing from a range (default %(default)s)")
    about = "frames from a pair's first to the next pair's (default all of the pair)"
    add("--step", type=whole(1), metavar="N", help=about)
    about = (
        "none: pixels are averaged as they are (GoPro's folder blur); gamma: "
        "mean(pixel^2.2)^(1/2.2) (GoPro's blur_gamma); srgb: light is averaged, by the curve of "
        "most videos, nearest to a camera (folder blur_srgb); default %(default)s"
    )
    add("--curve", choices=CURVES, default="none", help=about)
    about = (
        "leave out a pair with more motion between two of its frames (99th percentile over "
        "64-pixel tiles): on real video edges are smooth to 6, striped from 8 (default %(default)s)"
    )
    add("--max-step", type=above_zero, default=6.0, metavar="PIXELS", help=about)
    add("--allow-ghosting", action="store_true", help="write those pairs, too")
    add("--start", type=whole(0), default=0, metavar="FRAME", help="first frame (default 0)")
    add("--stop", type=whole(0), metavar="FRAME", help="the frame after the last")
    add("--overwrite", action="store_true", help="make existing pairs again")


def run(options: argparse.Namespace) -> int:
    """Write the pairs, tell what came of it, and return 1 where there are none."""
    source = open_frames(options.source)
    scene = Scene(options)
    frames = islice(source, options.start, options.stop)
    low, high = options.average
    odd = np.arange(low, high + 1, 2)
    # Each depends on its own place alone.
    sizes = (int(np.random.default_rng((options.seed, place)).choice(odd)) for place in count())
    console = Console()
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("averaging", total=options.stop or source.count)
        for burst in bursts(frames, sizes, step=options.step, first=options.start):
            scene.take(burst)
            progress.update(task, completed=burst.middle)
            if not console.is_terminal and scene.seen % OFTEN == 0:
                print(f"frame {burst.middle}: {scene.written} pairs written, {scene.ghosts} ghosts")
    print(scene.summary())
    return 0 if scene.written or scene.kept else 1


class Scene:
    """Writes the pairs of a scene that have no ghosts, and counts."""

    def __init__(self, options: argparse.Namespace) -> None:
        source = options.source.resolve()
        name = options.scene or (source.name if source.is_dir() else source.stem)
        if Path(name).name != name:
            raise ValueError(f"--scene {name}: expected a name, without folders")
        self.options = options
        self.folder = options.out / options.split / name
        self.blur = CURVES[options.curve]
        self.seen = self.written = self.kept = self.ghosts = 0
        self.motions: list[float] = []
        kept = {key: getattr(options, key) for key in ("average", "step", "seed")}
        self.origin = json.dumps({"source": source.name, **kept})
        """What the pairs are made from."""
        self.note = self.folder / "frames.json"
        if self.note.exists() and (before := self.note.read_text().strip()) != self.origin:
            raise ValueError(
                f"{self.folder}: its pairs were made with {before}, not {self.origin}: "
                "type another --scene, or delete the folder"
            )

    def take(self, burst: Burst) -> None:
        """Write a pair, unless it is there or has ghosts."""
        self.seen += 1
        name = f"{burst.middle:06}.png"
        sharp, blur = self.folder / "sharp" / name, self.folder / self.blur / name
        if sharp.exists() and blur.exists() and not self.options.overwrite:
            self.kept += 1
            return
        self.motions.append(moved := motion(burst.frames))
        if moved > self.options.max_step:
            self.ghosts += 1
            if not self.options.allow_ghosting:
                if self.ghosts <= FIRST:
                    print(f"left out: {burst.middle:06}, {moved:.1f} pixels from frame to frame")
                return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.note, self.origin + "\n")
        _save(burst.frames[len(burst.frames) // 2], sharp)
        _save(average(burst.frames, self.options.curve), blur)
        self.written += 1

    def summary(self) -> str:
        """Return what was written, how much moved, and what to type next."""
        options, limit = self.options, f"more than {self.options.max_step:g} pixels a step"
        place = f"{self.folder}/{self.blur} and sharp"
        lines = [f"written: {self.written} of {self.seen} pairs, to {place}"]
        if self.kept:
            lines += [f"kept: {self.kept} that already existed (--overwrite makes them again)"]
        if self.ghosts and options.allow_ghosting:
            lines += [f"ghosts: in {self.ghosts} of those written, {limit}"]
        elif self.ghosts:
            lines += [f"left out: {self.ghosts} with {limit} (--allow-ghosting writes them)"]
        if self.motions:
            most, usual = max(self.motions), median(self.motions)
            lines += [f"motion from frame to frame: median {usual:.1f}, largest {most:.1f} pixels"]
        if not self.seen:
            lines += [f"{options.source}: has too few frames for a pair of {options.average[0]}"]
        if self.written or self.kept:
            lines += [f"next:  {self._next()}"]
        return "\n".join(map(printable, lines))

    def _next(self) -> str:
        test = self.options.split == "test"
        verb = "eval.py ckpt=..." if test else "train.py experiment=paper"
        root = shlex.quote(str(self.options.out))
        variant = "" if self.blur == "blur" else f" data.dataset.blur={self.blur}"
        return f"python {verb} data=gopro data.root={root}{variant}"


def _save(pixels: Pixels, path: Path) -> None:
    """Write a PNG whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        Image.fromarray(pixels).save(file, "PNG")


def _odd_range(text: str) -> tuple[int, int]:
    """Read "7" or "7-13"."""
    ends = [int(end) if end.isdecimal() else 0 for end in text.split("-")]
    if len(ends) > 2 or ends != sorted(ends) or any(end < 3 or end % 2 == 0 for end in ends):
        raise argparse.ArgumentTypeError(f"{text!r}, expected an odd number from 3, or as in 7-13")
    return ends[0], ends[-1]
