"""The page in a real browser, before a real server."""

import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from model_samples import save_model
from PIL import Image, ImageChops
from playwright.sync_api import Browser, Locator, Page, expect

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
from deblur.web.restoration_queue import Job
check = Job.check

def hold(job):
    check(job)
    while job.begun and os.path.exists(os.environ["HOLD"]):
        time.sleep(0.05)
        check(job)

Job.check = hold
sys.exit(main(["web", *sys.argv[1:]]))
"""
"""The verb, a line for every other computer that it asks for something, and a file that holds its
work up while it is there."""
PATIENCE = 240_000
"""Milliseconds; machines can be busy."""
SETTLE = """async () => {
    for (let last, equal = 0; equal < 10;) {
        await new Promise(requestAnimationFrame);
        equal = scrollY === last ? equal + 1 : 0;
        last = scrollY;
    }
}"""
"""Waits until what has changed is drawn and the page scrolls no more."""
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
    for name, width in (("tiny", 4), ("wide", 8)):
        save_model(folder / f"{name}.safetensors", width)
    models = [f"--model={folder / name}.safetensors" for name in ("tiny", "wide")]
    command = [sys.executable, "-c", PROGRAM, *models, "--port=0", *options]
    temporary, log, hold = (folder / name for name in ("temporary", "log", "hold"))
    temporary.mkdir()
    with open(log, "wb") as out:
        set_ = {"TMPDIR": str(temporary), "HOLD": str(hold), "http_proxy": "http://10.0.0.1:1"}
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **set_})
    while not (told := re.match(r"(http://127\.0\.0\.1:\d+/) ", log.read_text())):
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
    return Server(told[1], temporary, log, hold, process)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the page, with tight limits; at the end it has asked nobody and left nothing."""
    limits = ("--max-megapixels=1.5", "--max-mb=1", "--queue=1")
    started = start(tmp_path_factory.mktemp("web"), *limits)
    yield started
    assert [*started.folder.glob("deblur-web-*")]
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(60) == 128 + signal.SIGTERM
    assert not [*started.folder.glob("deblur-web-*")]
    first, *more, last = started.log.read_text().splitlines()
    assert (first, last) == (f"{started.url} (Ctrl-C ends it)", "stopped by SIGTERM")
    # On a busy machine a request may last longer than uvicorn waits at the end.
    assert not more or "timeout graceful shutdown exceeded" in more[0]
    assert not [line for line in more if line.startswith("asked for")]


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
        page.on("dialog", lambda one: wrong.append(f"dialog: {one.message}"))
        page.goto(server.url)
        expect(page.locator("#examples button")).to_have_count(5)
        return page

    yield go
    server.hold.unlink(missing_ok=True)
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder for screenshots: $DEBLUR_SHOTS, to look at them."""
    folder = Path(os.environ.get("DEBLUR_SHOTS") or tmp_path_factory.mktemp("shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def photograph(path: Path, size: tuple[int, int] = (600, 400), **settings: object) -> Path:
    """Write a photo with EXIF."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8))
    exif = Image.Exif()
    exif.update(CAMERA)
    noise.resize(size, Image.Resampling.BICUBIC).save(path, exif=exif, **settings)
    return path


def add(page: Page, *paths: Path) -> None:
    page.locator("#files").set_input_files(paths)


def row(page: Page, name: str) -> Locator:
    return page.locator("#photos li").filter(has_text=name)


def wait_for_result(page: Page, count: int = 1) -> None:
    expect(page.locator("#photos canvas:nth-of-type(2):visible")).to_have_count(count)
    expect(page.locator("#viewer")).to_be_visible()
    settle(page)


def settle(page: Page) -> None:
    page.locator("#base").evaluate("image => image.decode()")
    page.evaluate(SETTLE)


def shot(page: Page) -> Image.Image:
    settle(page)
    return Image.open(BytesIO(page.locator("#scene").screenshot())).convert("RGB")


def apart(one: Image.Image, other: Image.Image) -> float:
    left, right = (np.asarray(image, float) for image in (one, other))
    return float(np.abs(left - right).mean())


def fetch(page: Page, button: Locator, folder: Path) -> Path:
    with page.expect_download() as waiting:
        button.click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def set_range(page: Page, name: str, value: int) -> None:
    page.locator(name).evaluate(
        "(one, value) => { one.value = value; one.dispatchEvent(new Event('input')); }", value
    )


def test_photos_are_restored_compared_and_downloaded(
    visit: Callable[..., Page], tmp_path: Path
) -> None:
    page = visit()
    names = ["# Zoë *1*.jpg", "<b>two.png"]
    paths = [photograph(tmp_path / names[0], quality=80), photograph(tmp_path / names[1])]
    add(page, *paths)
    wait_for_result(page, 2)
    assert page.locator("#photos .name").all_inner_texts() == names  # and no headings
    expect(page.locator("#title")).to_have_text(names[0])
    expect(row(page, "two")).to_contain_text("600 × 400 pixels, tiny")
    middle = shot(page)
    set_range(page, "#split", 90)
    assert apart(middle, shot(page)) > 1

    got = fetch(page, page.get_by_role("button", name="Download #"), tmp_path)
    assert got.name == "# Zoë _1__restored.jpg"
    with Image.open(paths[0]) as blurred, Image.open(got) as restored:
        assert (restored.format, restored.size) == ("JPEG", (600, 400))
        assert {key: restored.getexif()[key] for key in CAMERA} == CAMERA
        assert restored.quantization == blurred.quantization
        assert ImageChops.difference(blurred.convert("RGB"), restored.convert("RGB")).getbbox()

    kept = got.read_bytes()

    page.locator("#format").select_option("png")
    expect(page.locator("#quality")).to_be_disabled()
    page.locator("#format").select_option("jpg")
    sizes = []
    for quality in ("20", "90"):
        page.locator("#quality").fill(quality)
        page.locator("#quality").blur()
        button = page.get_by_role("button", name="Download #")
        sizes.append(fetch(page, button, tmp_path).stat().st_size)
    assert sizes[0] < sizes[1]
    page.locator("#format").select_option("")
    page.locator("#quality").fill("")
    page.locator("#quality").blur()

    archive = fetch(page, page.get_by_role("button", name="Download all 2"), tmp_path)
    with zipfile.ZipFile(archive) as packed:
        assert packed.namelist() == ["# Zoë _1__restored.jpg", "_b_two_restored.png"]
        assert packed.read(packed.namelist()[0]) == kept


def test_strength_and_region_are_blended_without_the_network(
    visit: Callable[..., Page], server: Server, tmp_path: Path
) -> None:
    page = visit()
    path = photograph(tmp_path / "a.png")
    add(page, path)
    wait_for_result(page)
    set_range(page, "#split", 0)
    whole = shot(page)
    server.hold.touch()  # nothing more is restored
    set_range(page, "#strength", 0)
    before = shot(page)
    set_range(page, "#strength", 50)
    half = shot(page)
    assert apart(half, before) == pytest.approx(apart(whole, before) / 2, rel=0.1)
    set_range(page, "#strength", 100)
    page.locator("#kind").select_option("rectangle")
    for edge, value in (("left", 0), ("top", 0), ("width", 50), ("height", 100)):
        page.locator(f"[data-edge={edge}]").fill(str(value))
    set_range(page, "#feather", 0)
    limited = shot(page)
    width, height = limited.size
    left, right = (3, 0, width // 2 - 6, height), (width // 2 + 6, 0, width, height)
    assert apart(limited.crop(right), before.crop(right)) < 0.5
    assert apart(limited.crop(left), whole.crop(left)) < 2  # but for the frame's dashes

    got = fetch(page, page.get_by_role("button", name="Download a"), tmp_path)
    blurred, part = (np.asarray(Image.open(one), int) for one in (path, got))
    assert (part[:, 310:] == blurred[:, 310:]).all() and (part[:, :290] != blurred[:, :290]).any()

    page.locator("#kind").select_option("brush")
    page.locator("#scene").evaluate("scene => scene.scrollIntoView({ block: 'center' })")
    box = page.locator("#scene").bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.9 * box["height"], steps=5)
    page.mouse.up()
    got = fetch(page, page.get_by_role("button", name="Download a"), tmp_path)
    part = np.asarray(Image.open(got), int)
    assert (part[200, 470:490] != blurred[200, 470:490]).any()
    assert (part[:, :300] == blurred[:, :300]).all()
    server.hold.unlink()


def test_models_are_seen_side_by_side(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit()
    add(page, photograph(tmp_path / "a.png"))
    wait_for_result(page)
    page.locator("#left").select_option(label="restore by wide")
    expect(page.locator("#lefttag")).to_have_text("wide")
    expect(page.locator("#righttag")).to_have_text("tiny")
    expect(page.locator("#before")).to_be_visible()
    page.locator("#scale").select_option("2")
    page.get_by_role("button", name="Restore all with these settings").click()
    expect(page.locator("#righttag")).to_have_text("tiny, half size")


def test_a_large_photo_is_seen_at_full_size(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit()
    add(page, photograph(tmp_path / "a.jpg", (1400, 1000)))
    wait_for_result(page)
    page.locator("#zoom").select_option("full")
    expect(page.locator("#after")).to_have_js_property("width", 864)
    box = page.locator("#scene").bounding_box()
    assert box and box["width"] == 864  # a pixel for a pixel
    first, part = shot(page), page.locator("#base").get_attribute("src")
    assert part
    page.locator("#stage").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#base")).not_to_have_attribute("src", part)
    assert apart(first, shot(page)) > 1


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("letter.jpg", None, "not a readable picture"),
        ("large.jpg", (1600, 1000), "1.6 megapixels, at most 1.5"),
        ("heavy.jpg", 2 << 20, "Larger than the limit of 1 MB"),
    ],
)
def test_what_is_wrong_is_said_beside_the_photo(
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
    add(page, path, photograph(tmp_path / "good.jpg"))
    wait_for_result(page)
    told = row(page, name).locator(".told")
    expect(told).to_contain_text(reason)
    assert "/" not in told.inner_text()
    expect(row(page, "good")).to_contain_text("600 × 400 pixels")


def test_work_is_stopped_by_its_button_and_by_closing_the_tab(
    visit: Callable[..., Page], server: Server, tmp_path: Path
) -> None:
    server.hold.touch()
    page = visit()
    add(page, *(photograph(tmp_path / f"{name}.jpg") for name in "abc"))
    expect(row(page, "a.jpg")).to_contain_text("Restoring.")
    expect(row(page, "b.jpg")).to_contain_text("Waiting for its turn: 1 before it.")
    expect(row(page, "c.jpg")).to_contain_text("Waiting for its turn.")
    page.get_by_role("button", name="Stop a.jpg").click()
    expect(row(page, "a.jpg")).to_contain_text("Stopped.")
    expect(row(page, "b.jpg")).to_contain_text("Restoring.")

    other = visit()
    add(other, photograph(tmp_path / "d.jpg"))
    expect(row(other, "d.jpg")).to_contain_text("Waiting for its turn")
    page.close(run_before_unload=True)
    expect(row(other, "d.jpg")).to_contain_text("Restoring.")
    server.hold.unlink()
    wait_for_result(other)


def test_what_was_not_uploaded_or_waits_takes_the_present_settings(
    visit: Callable[..., Page], server: Server, tmp_path: Path
) -> None:
    page = visit()
    again = page.get_by_role("button", name="Restore all with these settings")
    page.route("**/page/photos", lambda route: route.abort())
    add(page, photograph(tmp_path / "a.jpg"))
    expect(row(page, "a.jpg")).to_contain_text("The server does not answer")
    page.unroute("**/page/photos")
    server.hold.touch()
    again.click()
    expect(row(page, "a.jpg")).to_contain_text("Restoring.")
    add(page, *(photograph(tmp_path / f"{name}.jpg") for name in "bc"))
    expect(row(page, "b.jpg")).to_contain_text("1 before it")
    expect(again).to_be_hidden()
    page.locator("#scale").select_option("2")
    again.click()
    server.hold.unlink()
    wait_for_result(page, 3)
    expect(row(page, "b.jpg")).to_contain_text("pixels, tiny, ")
    expect(row(page, "c.jpg")).to_contain_text("pixels, tiny, half size, ")


def test_a_photo_is_downloaded_under_the_ending_of_its_content(
    visit: Callable[..., Page], tmp_path: Path
) -> None:
    page = visit()
    add(page, photograph(tmp_path / "a.webp").rename(tmp_path / "a.jpg"))
    wait_for_result(page)
    expect(page.locator("#download")).to_have_text("Download a_restored.webp")


def test_photos_are_dropped_and_removed(visit: Callable[..., Page]) -> None:
    page = visit()
    page.evaluate("""async () => {
        const data = new DataTransfer();
        for (const name of ["bear.jpg", "tower.jpg"]) {
            const content = await (await fetch(`/examples/${name}`)).blob();
            data.items.add(new File([content], name, { type: "image/jpeg" }));
        }
        dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
    }""")
    wait_for_result(page, 2)
    page.get_by_role("button", name="Remove bear.jpg").click()
    expect(page.locator("#title")).to_have_text("tower.jpg")
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.locator("#examples")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_fits_the_screen_and_all_can_use_it(
    visit: Callable[..., Page],
    server: Server,
    shots: Path,
    size: str,
    scheme: str,
    tmp_path: Path,
) -> None:
    page = visit(size, color_scheme=scheme)
    page.screenshot(path=shots / f"{size}-{scheme}-empty.png", full_page=True)
    (tmp_path / "letter.jpg").write_text("Dear Sir")
    server.hold.touch()
    add(page, photograph(tmp_path / "a.jpg"), tmp_path / "letter.jpg")
    expect(row(page, "a.jpg")).to_contain_text("Restoring.")
    expect(row(page, "letter.jpg")).to_contain_text("not a readable picture")
    page.evaluate(SETTLE)
    expect(row(page, "a.jpg").locator("progress")).to_be_in_viewport(ratio=1)
    assert not complaints(page)
    page.screenshot(path=shots / f"{size}-{scheme}-busy.png")
    server.hold.unlink()
    wait_for_result(page)
    expect(page.locator("#stage")).to_be_in_viewport(ratio=0.9)  # it scrolls to what is new
    page.screenshot(path=shots / f"{size}-{scheme}-seen.png")
    for kind in ("whole", "rectangle", "brush"):
        page.locator("#kind").select_option(kind)
        settle(page)
        assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
        assert not complaints(page)
    page.screenshot(path=shots / f"{size}-{scheme}.png", full_page=True)
    expect(page.get_by_text("Runs on this computer; nothing is uploaded")).to_be_visible()
    expect(page.get_by_text("may be invented")).to_be_visible()
    page.goto(f"{page.url}docs")
    expect(page.get_by_text("POST /v1/restore")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
    assert not complaints(page)


def test_fingers_hit_what_is_to_be_hit(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit("phone")
    add(page, photograph(tmp_path / "a.jpg"))
    wait_for_result(page)
    for kind in ("rectangle", "brush"):
        page.locator("#kind").select_option(kind)
        controls = page.locator(
            "button:visible, select:visible, input:visible:not(#files, [type=radio])"
        )
        labels = page.locator("fieldset#models label, #drop")
        for one in [*controls.all(), *labels.all()]:
            box = one.bounding_box()
            assert box and box["height"] >= 44, one


def complaints(page: Page) -> list[str]:
    """List what axe-core finds that keeps somebody from using the page."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found]


def test_the_keyboard_is_enough(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    add(page, photograph(tmp_path / "a.jpg"))
    wait_for_result(page)
    page.locator("#stage").focus()
    line = page.locator("#line").bounding_box()
    page.keyboard.press("ArrowRight")
    moved = page.locator("#line").bounding_box()
    assert line and moved and moved["x"] > line["x"]
    page.keyboard.press("Control+ArrowRight")  # the browser's or the desktop's
    assert page.locator("#line").bounding_box() == moved
    page.locator("#strength").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#percent")).to_have_text("99%")


def test_a_taken_port_is_said(server: Server, tmp_path: Path) -> None:
    port = server.url.rstrip("/").rpartition(":")[2]
    model = server.folder.parent / "tiny.safetensors"
    command = [sys.executable, "-m", "deblur", "web", f"--model={model}", f"--port={port}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE / 1000)
    assert ended.returncode == 2
    assert f"cannot serve at 127.0.0.1, port {port}" in ended.stderr
