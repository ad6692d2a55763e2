"""Measure the page of `make browser`: seconds a megapixel in a headless Chromium, by WebAssembly.

python benchmarks/browser.py [dist/browser] [--side 1024] [--rounds 3]

Of one thread and of as many as there are cores, at most 8, the best of the rounds is printed: the
wall time, and the processor time of all of the browser's processes. On a machine that is shared the
latter means more. The runtime is loaded and warm. Photos of several tiles take more, as tiles
overlap.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

PHOTO = Path("deblur/assets/examples/bear.jpg")
PLAIN = ("-m", "http.server", "0", "--bind", "127.0.0.1", "--directory")
PATIENCE = 600_000
"""Milliseconds."""


def main() -> None:
    """Measure and print a row for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, nargs="?", default=Path("dist/browser"))
    parser.add_argument("--side", type=int, default=1024, help="of the photo, in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    servers = [(*PLAIN, options.folder), (options.folder / "serve.py", 0)]
    print("| computed on | s a megapixel | processor s a megapixel |\n|---|---:|---:|")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        photo = Path(folder) / "photo.png"
        with Image.open(PHOTO) as image:
            image.resize((options.side, options.side)).save(photo)
        megapixels = options.side**2 / 1e6
        arguments = ["--no-sandbox", "--disable-gpu"]
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        for server in servers:
            # A browser each, so that its processor time is that of one way to compute.
            browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
            with serving(*server) as url:
                where, wall, processor = measure(browser, url, photo, options.rounds)
            print(f"| {where} | {wall / megapixels:.1f} | {processor / megapixels:.1f} |")
            browser.close()


@contextmanager
def serving(*arguments: object) -> Iterator[str]:
    """Run a server by Python and return its address, which is in its first line."""
    command = [sys.executable, "-u", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as server:
        found = re.search(r"http://[\d.:]+/", server.stdout.readline())
        try:
            yield found[0]
        finally:
            server.terminate()


def measure(browser: Browser, url: str, photo: Path, rounds: int) -> tuple[str, float, float]:
    """Restore a photo; return what computed, and the least wall and processor seconds."""
    expect.set_options(timeout=PATIENCE)
    page = browser.new_page()
    page.goto(url)
    page.set_input_files("#photo", photo)
    devtools = browser.new_browser_cdp_session()
    times = []
    for _ in range(rounds + 1):  # the first loads the runtime
        start, used = time.perf_counter(), read_processor_time(devtools)
        page.get_by_role("button", name="Remove blur").click()
        expect(page.get_by_role("status")).to_contain_text("Done in")
        used = read_processor_time(devtools) - used
        times.append((time.perf_counter() - start, used))
    told = page.get_by_role("status").inner_text()
    walls, processors = zip(*times[1:])
    return told.rpartition(" on ")[2].rstrip("."), min(walls), min(processors)


def read_processor_time(devtools) -> float:
    """Return the seconds that the browser's processes have computed."""
    found = devtools.send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(process["cpuTime"] for process in found)


if __name__ == "__main__":
    main()
