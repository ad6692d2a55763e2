"""Downloads the data sets that require no form, and verifies their digests."""

import logging
from pathlib import Path

from deblur.data.layouts import LAYOUTS

log = logging.getLogger(__name__)

_KOHLER = "http://people.kyb.tuebingen.mpg.de/rolfk/BenchmarkECCV2012/"
ARCHIVES = {
    "kohler": {
        _KOHLER + "BlurryImages.zip": "61ffb1434d93fca6c508976a7216d723",
        _KOHLER + "GroundTruth_pngs_Image1.zip": "acb90b6d9bfdb4b2370e08a5fcb80e68",
        _KOHLER + "GroundTruth_pngs_Image2.zip": "da440d3bf43b32bec0b7170ccd828f29",
        _KOHLER + "GroundTruth_pngs_Image3.zip": "3a77c41c951367f35db52eb18496bbac",
        _KOHLER + "GroundTruth_pngs_Image4.zip": "72ce9690c3ed1296358653396cf9576d",
    },
}
"""The archives of each layout, with their MD5 digests (as published by deepinv)."""


def fetch(layout: str | None, root: Path) -> None:
    """Download and unpack a data set into a folder; archives already unpacked there are kept.

    Raises ValueError for a set that can only be downloaded by hand (the message says how), and if
    a download fails or its digest is wrong.
    """
    if layout not in ARCHIVES:
        kind = LAYOUTS.get(layout or "")
        how = f"download it from {kind.page}" if kind and kind.page else "it has no known page"
        raise ValueError(
            f"data.download=true: {layout} cannot be downloaded automatically: {how}, unpack it to "
            f"{root} and leave out data.download (docs/data.md has the details)"
        )
    from torchvision.datasets.utils import download_and_extract_archive

    root.mkdir(parents=True, exist_ok=True)
    for url, md5 in ARCHIVES[layout].items():
        name = url.rpartition("/")[2]
        done = root / f".{name}.unpacked"
        if done.exists():
            continue
        log.info("downloading %s", url)
        try:
            download_and_extract_archive(url, str(root), filename=name, md5=md5)
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{url}: {error}") from error
        done.touch()
        (root / name).unlink()
