"""Write pairs whose target is what a model makes of them: trained on, they keep what it can do.

python scripts/teacher_pairs.py datasets/teacher --teacher maxim-gopro
python train.py experiment=wide data.root=datasets/photos 'data.dataset.without=[]' \\
    data.dataset.listed=datasets/teacher/pairs.csv data.dataset.roots.rebuilt=datasets/teacher \\
    'data.dataset.shares={photos:2,gopro:0,reds:0,rebuilt:1,avg8:0}'

The blurred frames are those of GOPRO_rebuilt and GOPRO_avg8 in DEBLUR_DATA (default datasets), and
means of three consecutive ones of GOPRO_rebuilt, which are blurred three times as far. At the first
step the error is 0; later it tells what the training forgets (Li and Hoiem, "Learning without
Forgetting", ECCV 2016). --truth writes the sharp frames as targets, to compare.
"""

import argparse
import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from deblur import Restorer
from deblur.media.images import read

ROOT = Path(os.environ.get("DEBLUR_DATA", "datasets"))
SETS = ("GOPRO_avg8", "GOPRO_rebuilt")


def main() -> None:
    """Read the options, and write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path, help="the folder to write to")
    parser.add_argument("--teacher", default="maxim-gopro", help="a model (default: maxim-gopro)")
    parser.add_argument("--truth", action="store_true", help="write the sharp frames as targets")
    options = parser.parse_args()
    try:
        write_pairs(options.out, None if options.truth else options.teacher)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def write_pairs(out: Path, teacher: str | None) -> None:
    """Write the pairs, and the list of them; without a teacher, with the sharp frames."""
    frames = [*list_frames()]
    if not frames:
        raise ValueError(f"{ROOT} has no frames of {' or '.join(SETS)}; set DEBLUR_DATA")
    restorer = Restorer.load(teacher, guard=False) if teacher else None
    for scene, blurred, sharp in track(frames, "writing", disable=not sys.stderr.isatty()):
        mean = np.mean([read(path) for path in blurred], axis=0).round().astype(np.uint8)
        target = restorer.restore(mean) if restorer else read(sharp)
        for kind, picture in (("blur", mean), ("sharp", target)):
            path = out / "train" / scene / kind / f"{sharp.stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
    with open(out / "pairs.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("set", "scene", "frame", "split"))
        rows.writerows(("rebuilt", scene, sharp.stem, "train") for scene, _, sharp in frames)
    print(f"{out}: {len(frames)} pairs")


def list_frames() -> Iterator[tuple[str, list[Path], Path]]:
    """Yield the scene, the blurred frames to average, and the sharp frame in their middle."""
    for name in SETS:
        for scene in sorted(ROOT.glob(f"{name}/train/*")):
            blurred = sorted((scene / "blur").iterdir())
            sharp = sorted((scene / "sharp").iterdir())
            label = f"{scene.name}_{name[6:]}"
            yield from ((label, [blur], still) for blur, still in zip(blurred, sharp, strict=True))
            if name == "GOPRO_rebuilt":  # means of 11 frames each, without a gap
                for place in range(1, len(blurred) - 1):
                    near = blurred[place - 1 : place + 2]
                    yield f"{label}_33", near, sharp[place]


if __name__ == "__main__":
    main()
