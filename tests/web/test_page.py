import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import fill
from PIL import Image, ImageChops
from playwright.sync_api import Browser, Page, expect

from deblur.checkpoints import save_generator
from deblur.networks import ResNet

pytestmark = pytest.mark.web
PROGRAM = """
import os
import sys
import time

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = arguments[1][0] if event == "socket.connect" else arguments[0]
        if host not in ("127.0.0.1", "localhost", None):
            print("asked for", host, flush=True)

sys.addaudithook(watch)
from deblur.__main__ import main
from deblur.web.restoration_queue import RestorationQueue
watch_layer = RestorationQueue._watch

def hold(*arguments):
    watch_layer(*arguments)
    while os.path.exists(os.environ["HOLD"]):
        time.sleep(0.05)
        watch_layer(*arguments)

RestorationQueue._watch = hold
sys.exit(main(["web", *sys.argv[1:]]))
"""
"""The verb, a line for every other computer that it asks for something, and a file that holds its
work up while it is there."""
PATIENCE = 240_000
"""Milliseconds; machines can be busy."""
expect.set_options(timeout=PATIENCE)
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
CAMERA = {271: "Rollei", 272: "35 S", 305: "deblur's tests"}


class Server(NamedTuple):
    url: str
    folder: Path
    """Where its temporary files are."""
    log: Path
    hold: Path
    """A file that holds its work up while it is there."""
    process: subprocess.Popen[bytes]


def start(folder: Path, *options: str) -> Server:
    """Start the page with two networks and wait until it answers."""
    for name, blocks, width in (("tiny", 1, 4), ("wide", 1, 8)):
        config = {"_target_": "deblur.networks.ResNet", "blocks": blocks, "width": width}
        network = fill(ResNet(blocks=blocks, width=width))
        save_generator(folder / f"{name}.safetensors", network, config, {})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    models = [f"--model={folder / name}.safetensors" for name in ("tiny", "wide")]
    command = [sys.executable, "-c", PROGRAM, *models, f"--port={port}", *options]
    temporary, log, hold = (folder / name for name in ("temporary", "log", "hold"))
    temporary.mkdir()
    with open(log, "wb") as out:
        set_ = {"TMPDIR": str(temporary), "HOLD": str(hold), "http_proxy": "http://10.0.0.1:1"}
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **set_})
    server = Server(f"http://127.0.0.1:{port}/", temporary, log, hold, process)
    while server.url not in log.read_text():
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the page, with tight limits; at the end it has asked nobody and left nothing."""
    limits = ("--max-megapixels=1.5", "--max-mb=1", "--queue=1")
    started = start(tmp_path_factory.mktemp("web"), *limits)
    yield started
    assert [*started.folder.glob("deblur-web-*")]
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(60) == 130
    assert not [*started.folder.glob("deblur-web-*")]
    assert started.log.read_text().splitlines() == [f"{started.url} (Ctrl-C ends it)"]


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Give a function that opens the page; at the end nothing else was asked for."""
    contexts, wrong = [], []

    def go(size: str = "desktop", **settings: object) -> Page:
        width, height = SIZES[size]
        touch = {"has_touch": True, "is_mobile": True} if size == "phone" else {}
        viewport = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=viewport, **touch, **settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        local = (server.url, "data:", "blob:")
        page.on("request", lambda one: one.url.startswith(local) or wrong.append(one.url))
        page.goto(server.url)
        expect(restore(page)).to_be_visible()
        return page

    yield go
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder for screenshots: $DEBLUR_SHOTS, to look at them."""
    folder = Path(os.environ.get("DEBLUR_SHOTS") or tmp_path_factory.mktemp("shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def restore(page: Page):
    return page.get_by_role("button", name="Restore", exact=True)


def upload(page: Page, path: Path) -> None:
    page.locator("input[type=file]").set_input_files(path)


def photograph(path: Path, size: tuple[int, int] = (600, 400), **settings: object) -> Path:
    """Write a photo with EXIF."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8))
    exif = Image.Exif()
    exif.update(CAMERA)
    noise.resize(size, Image.Resampling.BICUBIC).save(path, exif=exif, **settings)
    return path


def wait_for_result(page: Page) -> None:
    expect(page.get_by_role("button", name="Download")).to_be_visible()
    expect(restore(page)).to_be_visible()
    for image in page.get_by_test_id("imageslider-image").all():
        image.evaluate("image => image.decode()")
    page.wait_for_timeout(500)


def shot(page: Page) -> Image.Image:
    return Image.open(BytesIO(page.locator("#slider").screenshot())).convert("RGB")


def slide(page: Page, distance: float) -> None:
    box = page.get_by_test_id("slider").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + distance, y, steps=5)
    page.mouse.up()
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)


def test_a_photo_is_restored_compared_and_downloaded(
    visit: Callable[..., Page], server: Server, tmp_path: Path
) -> None:
    page = visit()
    path = photograph(tmp_path / "Zoë (1).jpg", quality=80)
    upload(page, path)
    wait_for_result(page)
    before = shot(page)
    slide(page, 200)
    after = shot(page)
    changed = ImageChops.difference(before, after).convert("L").point(lambda v: v > 16 and 255)
    left, _, right, _ = changed.getbbox() or (0, 0, 0, 0)
    assert 200 <= right - left < 270

    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").click()
    got = waiting.value
    assert got.suggested_filename == "Zoë (1)_restored.jpg"
    got.save_as(tmp_path / "got.jpg")
    with Image.open(path) as blurred, Image.open(tmp_path / "got.jpg") as restored:
        assert (restored.format, restored.size) == ("JPEG", (600, 400))
        assert {key: restored.getexif()[key] for key in CAMERA} == CAMERA
        assert restored.quantization == blurred.quantization
        difference = ImageChops.difference(blurred.convert("RGB"), restored.convert("RGB"))
        assert difference.getbbox()
    assert "600 × 400 pixels" in page.locator("main").inner_text()


def test_the_wheel_zooms(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator("#examples button").first.click()
    wait_for_result(page)
    image = page.get_by_test_id("imageslider-image").first
    wide = image.bounding_box()["width"]
    image.hover(position={"x": 100, "y": 100})
    for _ in range(10):
        page.mouse.wheel(0, -100)
    page.wait_for_timeout(500)
    assert image.bounding_box()["width"] > 1.3 * wide
    page.get_by_role("button", name="Undo").click()
    page.wait_for_timeout(500)
    assert image.bounding_box()["width"] == pytest.approx(wide, rel=0.01)


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("letter.jpg", None, "letter.jpg: not a readable picture"),
        ("large.jpg", (1600, 1000), "large.jpg: 1.6 megapixels, this page takes 1.5"),
        ("heavy.jpg", 2 << 20, "exceed the maximum allowed size of 1.0 Mb"),
    ],
)
def test_what_is_wrong_is_said(
    visit: Callable[..., Page],
    server: Server,
    tmp_path: Path,
    name: str,
    size: tuple[int, int] | int | None,
    reason: str,
) -> None:
    page, path = visit(), tmp_path / name
    if isinstance(size, tuple):
        photograph(path, size)
    else:
        path.write_bytes(b"Dear Sir, " * (size or 10))
    upload(page, path)
    toast = page.locator(".toast-wrap")
    expect(toast).to_contain_text(reason)
    assert str(server.folder) not in toast.inner_text() and "/" not in toast.inner_text()
    page.get_by_role("button", name="Close").first.click()
    page.locator("#examples button").first.click()
    wait_for_result(page)


def test_restoring_nothing_asks_for_a_photo(visit: Callable[..., Page]) -> None:
    page = visit()
    restore(page).click()
    expect(page.locator(".toast-wrap")).to_contain_text("Choose a photo first.")
    expect(restore(page)).to_be_visible()


def test_work_can_be_stopped_and_the_queue_is_bounded(
    visit: Callable[..., Page], server: Server
) -> None:
    pages = [visit() for _ in range(3)]
    server.hold.touch()
    for page in pages:
        page.get_by_label("wide").check()
        page.locator("#examples button").nth(1).click()
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        page.wait_for_timeout(500)
    expect(pages[2].locator(".toast-wrap")).to_contain_text("currently busy. Please try again.")
    for page in pages[:2]:
        page.get_by_role("button", name="Stop").click()
    for page in pages:
        expect(restore(page)).to_be_visible()
        expect(page.get_by_role("button", name="Download")).to_be_hidden()
    server.hold.unlink()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_fits_the_screen(
    visit: Callable[..., Page], shots: Path, size: str, scheme: str
) -> None:
    page = visit(size, color_scheme=scheme)
    page.wait_for_timeout(500)
    page.screenshot(path=shots / f"{size}-{scheme}-empty.png", full_page=True)
    page.locator("#examples button").nth(1).click()
    wait_for_result(page)
    page.screenshot(path=shots / f"{size}-{scheme}-seen.png")
    page.screenshot(path=shots / f"{size}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
    expect(
        page.get_by_text("Runs on this computer; nothing is uploaded elsewhere.")
    ).to_be_visible()


def test_a_taken_port_is_said(server: Server, tmp_path: Path) -> None:
    port = server.url.rstrip("/").rpartition(":")[2]
    model = server.folder.parent / "tiny.safetensors"
    command = [sys.executable, "-m", "deblur", "web", f"--model={model}", f"--port={port}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE / 1000)
    assert ended.returncode == 2
    assert f"cannot serve at 127.0.0.1, port {port}" in ended.stderr
