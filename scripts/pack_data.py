"""Pack training data into one archive for a machine that is lent for minutes.

python scripts/pack_data.py data.tar --megabytes 45 data.root=datasets/photos

The archive has the folder photos, and the training and validation pairs of data=wide (or of the
settings, as for train.py) in their folders below DEBLUR_DATA, as WebP of the highest quality at
which all is small enough. scripts/train_minutes.sh trains from it.
"""

import argparse
import io
import os
import sys
import tarfile
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image
from rich.progress import track

from deblur.atomic import discard, hide, install
from deblur.data.names import tell_apart
from deblur.media.images import list_pictures

CONF = Path(__file__).resolve().parent.parent / "conf"
QUALITIES = (95, 92, 88, 84, 80, 75, 70)
SAMPLE = 60
"""The number of files by which the size is estimated."""
NEAR = 0.97
"""The share of the size that an estimate may reach."""


def main() -> None:
    """Pack, and print the archive's size and quality."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("archive", type=Path, help="the .tar to write")
    parser.add_argument("--megabytes", type=float, default=45, help="the largest size (MiB)")
    parser.add_argument("settings", nargs="*", help="data.root, the photos' folder, and others")
    options = parser.parse_intermixed_args()
    try:
        files = list_files(options.settings)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    most = options.megabytes * 2**20
    sample = [*files.values()][:: max(1, len(files) // SAMPLE)]
    for quality in QUALITIES:
        mean = sum(len(encode(path, quality)) for path in sample) / len(sample)
        if len(files) * mean > NEAR * most:
            continue
        part = hide(options.archive)
        try:
            pack(part, files, quality)
            size = part.stat().st_size
            if size <= most:
                install(part, options.archive)
                told = f"{len(files)} files, {size / 2**20:.1f} MiB, WebP {quality}"
                print(f"{options.archive}: {told}")
                return
        finally:
            discard(part)
    sys.exit(
        f"error: more than {options.megabytes:g} MiB at WebP quality {QUALITIES[-1]}: "
        "leave out photos or pairs"
    )


def list_files(settings: list[str]) -> dict[str, Path]:
    """Return the files that training reads, by their names in the archive."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        data = instantiate(compose("config", ["data=wide", *settings]).data, _convert_="all")
    if data.root is None:
        raise ValueError("data.root=FOLDER is required: the photos")
    data.setup("validate")  # "fit" would also decode all
    splits = [
        data.splits["val"],
        data.dataset(root=data.root, split="train", crop=data.crop, seed=0),
    ]
    photos = list_pictures(Path(data.root))
    names = tell_apart([one.stem for one in photos], [one.name.replace(".", "-") for one in photos])
    files = {f"photos/{name}.webp": path for name, path in zip(names, photos)}
    root = Path(os.environ.get("DEBLUR_DATA", "datasets"))
    for part in (part for split in splits for part in split.parts.values()):
        for path in (path for pair in part.pairs for path in (*pair.blur, pair.sharp)):
            files[path.relative_to(root).with_suffix(".webp").as_posix()] = path
    return files


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
