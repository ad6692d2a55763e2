"""Pack training data into one archive for a machine that is lent for minutes.

python scripts/pack_data.py data.tar --photos datasets/photos --pairs datasets --megabytes 45

The archive has the folder photos, and GoPro's and REDS' with the pairs of a list, as WebP of
the highest quality at which all is small enough. scripts/train_shipped.sh trains from it.
"""

import argparse
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from rich.progress import track

from deblur.data.lists import find_list, read_rows
from deblur.media.images import list_pictures

QUALITIES = (95, 92, 88, 84, 80, 75, 70)
SAMPLE = 60
"""The number of files by which the size is estimated."""
SETS = {"gopro": "GOPRO_Large", "reds": "REDS", "rebuilt": "GOPRO_rebuilt", "avg8": "GOPRO_avg8"}
"""The folder of each set of a list."""


def main() -> None:
    """Pack, and print the archive's size and quality."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("archive", type=Path, help="the .tar to write")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of sharp photos")
    parser.add_argument("--pairs", type=Path, help="the folder of GOPRO_Large, REDS and others")
    parser.add_argument("--listed", default="wide.csv", help="the list of pairs to pack")
    parser.add_argument("--megabytes", type=float, default=45, help="the largest size (MiB)")
    options = parser.parse_args()
    files = {f"photos/{path.stem}.webp": path for path in list_pictures(options.photos)}
    if options.pairs:
        for path in list_pairs(options.pairs, options.listed):
            name = path.relative_to(options.pairs).with_suffix(".webp")
            files[name.as_posix()] = path
    if not files:
        sys.exit(f"error: {options.photos}: has no pictures")
    most = options.megabytes * 2**20
    sample = [*files.values()][:: max(1, len(files) // SAMPLE)]
    for quality in QUALITIES:
        if (
            len(files) / len(sample) * sum(len(encode(path, quality)) for path in sample)
            > 0.97 * most
        ):
            continue
        pack(options.archive, files, quality)
        size = options.archive.stat().st_size
        if size <= most:
            print(f"{options.archive}: {len(files)} files, {size / 2**20:.1f} MiB, WebP {quality}")
            return
    options.archive.unlink(missing_ok=True)
    sys.exit(
        f"error: more than {options.megabytes:g} MiB at WebP quality {QUALITIES[-1]}: "
        "leave out photos or pairs"
    )


def list_pairs(root: Path, listed: str) -> Iterator[Path]:
    """Yield both files of each pair of a list that is in a folder."""
    for row in read_rows(find_list(listed), ("set", "scene", "frame")):
        train = root / SETS[row["set"]] / "train"
        for side in ("blur", "sharp"):
            reds = row["set"] == "reds"
            folder = train / (f"train_{side}/{row['scene']}" if reds else f"{row['scene']}/{side}")
            yield from folder.glob(f"{row['frame']}.*")


def pack(archive: Path, files: dict[str, Path], quality: int) -> None:
    """Write the archive."""
    with tarfile.open(archive, "w") as tar:
        for name, path in track([*files.items()], f"WebP {quality}"):
            packed = encode(path, quality)
            entry = tarfile.TarInfo(name)
            entry.size = len(packed)
            tar.addfile(entry, io.BytesIO(packed))


def encode(path: Path, quality: int) -> bytes:
    """Encode a picture as WebP."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(buffer, "WEBP", quality=quality)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
