"""Measure how often `deblur look` is right:  python benchmarks/looking.py

200 pictures with known blur, made from the built-in photos, none of which it was tuned on: 100
sharp ones (25 each as they are, with bokeh, in fog and under a large sky), 70 with motion blur, 20
out of focus, and 10 sharp but noisy. Seeds are fixed. Then the time of one photo of 12 megapixels.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from PIL import Image

from deblur.blur.labelled import SCENES, Labelled, make_labelled
from deblur.data.photos import BUILT_IN
from deblur.media.images import list_pictures, read
from deblur.restoration.diagnosis import Diagnosis, diagnose, diagnose_luma, to_luma

PLAN = [
    *(("sharp", scene, 25, 0.0) for scene in SCENES),
    ("motion", "plain", 50, 0.0),
    ("motion", "fog", 10, 0.0),
    ("motion", "sky", 10, 0.0),
    ("defocus", "plain", 20, 0.0),
    ("sharp", "noisy", 10, 12.0),
]
"""Kind, scene, number, and the standard deviation of the added noise, in 8-bit levels."""
FOUND = 8
"""The least motion blur that should be found, in pixels."""


class Looked(NamedTuple):
    """A picture, its true blur, and the diagnosis."""

    photo: str
    scene: str
    made: Labelled
    said: Diagnosis


def look_at_all(photos: list[Path], share: float = 1.0, most: int = 700) -> Iterator[Looked]:
    """Make pictures and diagnose each; share: of PLAN's numbers. most: the limit of their sides."""
    pixels = {path: read(path)[:most, :most] for path in photos}
    for number, (kind, scene, count, noise) in enumerate(PLAN):
        for index in range(round(count * share)):
            rng = np.random.default_rng([2026, number, index])
            path = photos[(7 * number + index) % len(photos)]
            extent = (9.0, 44.0) if kind == "motion" else (6.0, 24.0)
            made = make_labelled(
                np.ascontiguousarray(pixels[path]),
                rng,
                kind=kind,  # type: ignore[arg-type]
                scene="plain" if scene == "noisy" else scene,
                extent=extent,
            )
            if noise:
                noisy = made.pixels + rng.normal(0, noise, made.pixels.shape)
                made = made._replace(pixels=noisy.clip(0, 255).round().astype(np.uint8))
            yield Looked(path.name, scene, made, diagnose_luma(to_luma(made.pixels)))


def count(looked: list[Looked]) -> dict[str, float]:
    """Return the shares of correct results, and the median errors."""
    sharp = [one for one in looked if one.made.kind == "sharp"]
    motion = [one for one in looked if one.made.kind == "motion" and one.made.smear.length >= FOUND]
    defocus = [one for one in looked if one.made.kind == "defocus"]
    noisy = [one for one in looked if one.scene == "noisy"]
    found = [one for one in motion if one.said.kind == "motion"]
    errors = [abs(one.said.length / one.made.smear.length - 1) for one in found]
    straight = [one for one in found if one.made.smear.width < 0.4 * one.made.smear.length]
    turns = [
        abs((one.said.direction - one.made.smear.direction + 90) % 180 - 90) for one in straight
    ]
    blurred = ("motion", "defocus")

    def share(wanted: list[Looked], *kinds: str) -> float:
        return sum(one.said.kind in kinds for one in wanted) / max(1, len(wanted))

    return {
        "sharp called blurred": share(sharp, *blurred),
        "motion found": share(motion, "motion"),
        "motion called blurred": share(motion, *blurred),
        "defocus found": share(defocus, "defocus"),
        "defocus called blurred": share(defocus, *blurred),
        "noise found": share(noisy, "noise"),
        "length, median relative error": float(np.median(errors)) if errors else 1.0,
        "direction, median error in degrees": float(np.median(turns)) if turns else 90.0,
    }


def time_photo(path: Path) -> float:
    """Return the least processor seconds, of five trials, for one photo."""
    seconds = []
    for _ in range(5):
        start = time.process_time()
        diagnose(path)
        seconds.append(time.process_time() - start)
    return min(seconds)


def main() -> None:
    """Print the figures, and the pictures with a wrong result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--wrong", action="store_true", help="list the pictures that it got wrong")
    options = parser.parse_args()
    photos = list_pictures(BUILT_IN)
    looked = []
    for one in look_at_all(photos):
        looked.append(one)
        wrong = one.said.kind != ("noise" if one.scene == "noisy" else one.made.kind)
        if options.wrong and wrong:
            print(one.photo, one.scene, one.made.kind, one.made.smear, one.said, file=sys.stderr)
    for name, value in count(looked).items():
        print(f"{name:36} {value:.3f}")
    for scene in (*SCENES, "noisy"):
        said = Counter(
            one.said.kind for one in looked if one.scene == scene and one.made.kind == "sharp"
        )
        print(f"  sharp, {scene}: {dict(said)}")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        Image.fromarray(read(photos[0])).resize((4000, 3000)).save(path, quality=92)
        print(f"{'CPU seconds, a JPEG of 12 megapixels':36} {time_photo(path):.3f}")


if __name__ == "__main__":
    main()
