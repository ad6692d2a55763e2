"""What tests do with the page of `make browser`: serve it, restore photos, compare the results."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from conftest import ROOT
from PIL import Image
from playwright.sync_api import Page, expect

PATIENCE = 240_000
"""Milliseconds; machines can be busy."""
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
"""Of windows, in pixels."""
PLAIN = ("-m", "http.server", "0", "--bind", "127.0.0.1", "--directory")
"""Python's arguments for a server without the two headers; a folder follows."""
EXAMPLE = ROOT / "deblur" / "assets" / "examples" / "bear.jpg"


@contextmanager
def serving(*arguments: object) -> Iterator[str]:
    """Run a server by Python and return its address, which is in its first line."""
    command = [sys.executable, "-u", *map(str, arguments)]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **options) as server:
        assert server.stdout is not None
        found = re.search(r"http://[\d.:]+/", server.stdout.readline())
        assert found is not None
        try:
            yield found[0]
        finally:
            server.terminate()


class Saved(NamedTuple):
    jpeg: bytes
    png: bytes

    @property
    def pixels(self) -> Any:
        return np.asarray(Image.open(BytesIO(self.png)).convert("RGB"))


def restore(page: Page, photo: Path, patience: int = PATIENCE) -> Saved:
    """Restore a photo in the page and save it in both formats; patience: in milliseconds."""
    page.set_input_files("#photo", photo)
    page.get_by_role("button", name="Remove blur").click()
    expect(page.get_by_role("status")).to_contain_text(
        re.compile("^(Done|Could)"), timeout=patience
    )
    expect(page.get_by_role("status")).to_contain_text("Done in")
    saved = {}
    for kind, ending in {"JPEG": "jpg", "PNG": "png"}.items():
        with page.expect_download() as download:
            page.get_by_role("link", name=f"Save as {kind}").click()
        assert download.value.suggested_filename == f"{photo.stem}_restored.{ending}"
        saved[kind.lower()] = Path(download.value.path()).read_bytes()
    return Saved(**saved)


def compute_psnr(first: Any, second: Any) -> float:
    error = np.square(first.astype(np.float64) - second).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def write_photo(path: Path, size: tuple[int, int]) -> Path:
    """Write the bundled photo of a bear, which motion has blurred, at another size."""
    with Image.open(EXAMPLE) as bear:
        bear.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(path, quality=92)
    return path
