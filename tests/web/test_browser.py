"""The page that restores in the browser: `make browser`, in a real one."""

import json
import os
import re
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_page import PLAIN, SIZES, compute_psnr, restore, serving, write_photo
from conftest import ROOT
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from deblur import Restorer
from deblur.media.formats.metadata import orientation, upright_exif
from deblur.restoration.tiling import plan_tiles, weigh

pytestmark = pytest.mark.web
MAKE, ORIENTATION, GPS = 271, 274, 34853
WIDE = (1300, 830)
"""Pixels, too many for one tile."""


def test_the_result_is_pythons(visit: Callable[..., Page], isolated: str, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "bear.jpg", WIDE)
    page = visit(isolated)
    saved = restore(page, photo)
    restorer = Restorer.load("small", device="cpu", precision="float32", tile=1024, guard=False)
    with Image.open(photo) as blurred:
        expected = np.asarray(restorer.restore(blurred))
        assert compute_psnr(np.asarray(blurred), expected) < 40  # something was restored
    assert (2 * (restorer.tiles.reach or 0), restorer.tiles.stride) == (240, 8)  # TILES
    psnr = compute_psnr(saved.pixels, expected)
    print(f"PSNR to Python's result: {psnr:.1f} dB")
    assert psnr > 60
    jpeg = np.asarray(Image.open(BytesIO(saved.jpeg)))
    assert compute_psnr(jpeg, expected) > 35


def test_one_file_works_without_a_server(
    visit: Callable[..., Page], built: Path, isolated: str, tmp_path: Path
) -> None:
    photo = write_photo(tmp_path / "bear.jpg", (160, 120))
    offline = visit((built / "offline.html").as_uri())
    assert offline.locator("#threads").inner_text() == "Computes on 1 processor core."
    alone = restore(offline, photo)
    assert compute_psnr(alone.pixels, restore(visit(isolated), photo).pixels) > 60


def test_the_other_file_says_so(visit: Callable[..., Page], built: Path) -> None:
    page = visit((built / "index.html").as_uri())
    expect(page.get_by_role("status")).to_contain_text("open offline.html instead")
    expect(page.get_by_role("button", name="Remove blur")).to_be_disabled()


def test_any_server_will_do(visit: Callable[..., Page], built: Path, tmp_path: Path) -> None:
    with serving(*PLAIN, built) as url:
        page = visit(url)
        expect(page.locator("#threads")).to_contain_text("Cross-Origin-Embedder-Policy")
        restore(page, write_photo(tmp_path / "bear.jpg", (160, 120)))
        expect(page.get_by_role("status")).to_contain_text("1 processor core")


def test_threads_are_used_where_the_server_allows_them(
    visit: Callable[..., Page], isolated: str
) -> None:
    page = visit(isolated)
    cores = page.evaluate("navigator.hardwareConcurrency")
    told = f"{min(cores, 8)} processor core"
    expect(page.locator("#threads")).to_contain_text(told)


@pytest.mark.parametrize("orientation", [1, 6])
def test_exif_is_kept_and_the_photo_upright(
    visit: Callable[..., Page], isolated: str, tmp_path: Path, orientation: int
) -> None:
    colours = np.zeros((48, 64, 3), np.uint8)
    colours[:, :32] = (200, 40, 40)  # red is left, or above after a quarter turn
    colours[:, 32:] = (40, 40, 200)
    exif = Image.Exif()
    exif[MAKE], exif[ORIENTATION] = "Rollei", orientation
    exif.get_ifd(GPS)[1] = "N"
    photo = tmp_path / "camera.jpg"
    Image.fromarray(colours).save(photo, exif=exif, quality=95)
    saved = restore(visit(isolated), photo)
    for content in saved:
        with Image.open(BytesIO(content)) as image:
            kept = image.getexif()
            assert (kept[MAKE], kept[ORIENTATION], kept.get_ifd(GPS)[1]) == ("Rollei", 1, "N")
            assert image.size == ((64, 48) if orientation == 1 else (48, 64))
            red, _, blue = image.convert("RGB").getpixel((12, 12))
            assert red > blue
            red, _, blue = image.convert("RGB").getpixel((image.width - 12, image.height - 12))
            assert red < blue


def test_a_preview_is_unlinked_and_all_else_stays(browser: Browser) -> None:
    page = load_worker(browser, "exif.js")
    # One entry, the orientation, and a link to a second directory, in either byte order.
    little = [
        0x49,
        0x49,
        42,
        0,
        8,
        0,
        0,
        0,
        1,
        0,
        0x12,
        1,
        3,
        0,
        1,
        0,
        0,
        0,
        6,
        0,
        0,
        0,
        26,
        0,
        0,
        0,
    ]
    big = [0x4D, 0x4D, 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 26]
    change = "block => [...makeUpright(new Uint8Array(block))]"
    assert page.evaluate(change, little) == [*little[:18], 1, *little[19:22], 0, 0, 0, 0]
    assert page.evaluate(change, big) == [*big[:19], 1, *big[20:22], 0, 0, 0, 0]
    assert page.evaluate(change, little[:12]) == little[:12]
    page.close()


ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7


def write_exif(
    order: str, orientation: int, kind: int = SHORT, space: int = 1, index: bytes = b"R98\0"
) -> bytes:
    """Write a camera's EXIF block with a link to a preview.

    order: of the bytes, struct's "<" or ">". kind: the type of the orientation and of a width.
    space, index: what it says of the colours.
    """

    def short(value: int) -> bytes:
        return struct.pack(f"{order}HH", value, 0)

    def long(value: int) -> bytes:
        return struct.pack(f"{order}I", value)

    def directory(*entries: tuple[int, int, int, bytes], link: int = 0) -> bytes:
        rows = (struct.pack(f"{order}HHI4s", *entry) for entry in entries)
        return struct.pack(f"{order}H", len(entries)) + b"".join(rows) + long(link)

    either = long if kind == LONG else short
    own, inside, beside = 8, 200, 300  # where the directories are
    densities = 140
    blocks = {
        0: {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, own),
        own: directory(
            (0x0100, kind, 1, either(4000)),
            (0x0101, SHORT, 1, short(3000)),
            (ORIENTATION, kind, 1, either(orientation)),
            (0x011A, RATIONAL, 1, long(densities)),
            (0x011B, RATIONAL, 1, long(densities + 8)),
            (0x8769, LONG, 1, long(inside)),
            link=beside,
        ),
        densities: struct.pack(f"{order}4I", 300, 1, 150, 1),
        inside: directory(
            (0xA001, SHORT, 1, short(space)),
            (0xA002, LONG, 1, long(4000)),
            (0xA003, SHORT, 1, short(3000)),
            (0xA005, LONG, 1, long(beside)),
        ),
        beside: directory((0x0001, ASCII, 4, index), (0x0002, UNDEFINED, 4, b"0100")),
    }
    whole = bytearray(400)
    for place, block in blocks.items():
        whole[place : place + len(block)] = block
    return bytes(whole)


@pytest.mark.parametrize("order", "<>")
def test_blocks_are_pythons(browser: Browser, order: str) -> None:
    kinds = (SHORT, LONG, UNDEFINED)
    blocks = [write_exif(order, at, kind) for at in range(10) for kind in kinds]
    blocks += [blocks[18][:length] for length in range(len(blocks[18]))]
    blocks += [b"XX" + blocks[18][2:]]
    expected = [upright_exif(block) for block in blocks]
    assert orientation(blocks[18], b"") == 6 and expected[18] != expected[3]  # sides are swapped
    assert make_upright(browser, blocks) == expected


@pytest.mark.parametrize("order", "<>")
def test_exif_says_that_the_pixels_are_srgb(browser: Browser, order: str) -> None:
    wide = [(at, 0xFFFF, b"R03\0") for at in (1, 6)]
    blocks = [write_exif(order, at, space=space, index=index) for at, space, index in wide]
    expected = [upright_exif(write_exif(order, at)) for at, *_ in wide]
    assert make_upright(browser, blocks) == expected
    unknown = write_exif(order, 1, index=b"THM\0")
    assert make_upright(browser, [unknown]) == [upright_exif(unknown)]


def make_upright(browser: Browser, blocks: list[bytes]) -> list[bytes]:
    """Change EXIF blocks as the page does."""
    page = load_worker(browser, "exif.js")
    change = "blocks => blocks.map(block => [...makeUpright(new Uint8Array(block))])"
    changed = page.evaluate(change, [list(block) for block in blocks])
    page.close()
    return [bytes(block) for block in changed]


def test_jpeg_shows_the_transparent_as_white(
    visit: Callable[..., Page], isolated: str, tmp_path: Path
) -> None:
    photo = tmp_path / "clear.png"
    colours = np.full((64, 96, 4), (40, 90, 160, 255), np.uint8)
    colours[:, :32, 3] = 0
    colours[:, 32:64, 3] = 128
    Image.fromarray(colours).save(photo)
    saved = restore(visit(isolated), photo)
    with Image.open(BytesIO(saved.png)) as image:
        assert image.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(image)[..., 3], colours[..., 3])
        white = Image.new("RGBA", image.size, "white")
        expected = np.asarray(Image.alpha_composite(white, image).convert("RGB"))
    jpeg = np.asarray(Image.open(BytesIO(saved.jpeg)))
    assert jpeg[:16, :16].min() > 250
    assert compute_psnr(jpeg, expected) > 30


def load_worker(browser: Browser, name: str) -> Page:
    """Open an empty page with the functions of a part of the worker."""
    page = browser.new_page()
    page.add_script_tag(content=(ROOT / "browser" / "worker" / name).read_text("utf-8"))
    return page


@pytest.mark.parametrize("size", [(5, 3), (830, 1300), (140, 9000), (3000, 4000), (16, 65535)])
def test_tiles_are_pythons(browser: Browser, size: tuple[int, int]) -> None:
    page = load_worker(browser, "tiling.js")
    height, width = size
    plan = page.evaluate(f"planTiles({height}, {width}, 1024 ** 2, 240, 8)")
    rows, columns = plan_tiles(size, 1024**2, 240, 8)
    assert plan["rows"] == [span._asdict() for span in rows]
    assert plan["columns"] == [span._asdict() for span in columns]
    for index in range(len(columns)):
        found = page.evaluate(f"[...weigh({json.dumps(plan['columns'])}, {index})]")
        np.testing.assert_allclose(found, weigh(columns, index), atol=1e-6)
    page.close()


@pytest.mark.parametrize("grey", [True, False])
def test_tiles_join_without_seams(browser: Browser, grey: bool) -> None:
    page = load_worker(browser, "tiling.js")
    changed = page.evaluate(
        """async grey => {
            const pixels = new ImageData(70, 90);
            for (let at = 0; at < pixels.data.length; at++) {
                pixels.data[at] = ((grey ? at >> 2 : at) * 7919) % 251;
            }
            const before = pixels.data.slice();
            const told = [];
            const tiles = { area: 1024, overlap: 8, stride: 4 };
            await restorePixels(pixels, tiles, planes => planes, (...done) => told.push(done));
            const count = told.length;
            return [pixels.data.filter((value, at) => value !== before[at]).length,
                count > 8 && told.every(([done, all], at) => done === at + 1 && all === count)];
        }""",
        grey,
    )
    assert changed == [0, True]
    page.close()


def test_work_can_be_cancelled(visit: Callable[..., Page], isolated: str, tmp_path: Path) -> None:
    page = visit(isolated)
    cancel = page.get_by_role("button", name="Cancel")
    expect(cancel).to_be_disabled()
    page.set_input_files("#photo", write_photo(tmp_path / "large.jpg", (3000, 2400)))
    page.get_by_role("button", name="Remove blur").click()
    expect(page.get_by_role("status")).to_contain_text("Removing blur")
    expect(page.get_by_role("progressbar", name="Progress")).to_be_visible()
    cancel.click()
    expect(page.get_by_role("status")).to_have_text("Cancelled.")
    expect(page.get_by_role("progressbar")).to_be_hidden()
    while page.workers:  # Chromium takes a moment to end threads that compute
        page.wait_for_timeout(50)
    restore(page, write_photo(tmp_path / "small.jpg", (160, 120)))


def test_unpacking_can_be_cancelled(
    visit: Callable[..., Page], built: Path, tmp_path: Path
) -> None:
    page = visit((built / "offline.html").as_uri())
    # Cancels while the inlined files are unpacked: after the page says so, before it goes on.
    page.evaluate("""new MutationObserver((changes, self) => {
            if (!find("status").textContent.startsWith("Loading")) return;
            self.disconnect();
            find("cancel").click();
        }).observe(find("status"), { childList: true })""")
    photo = write_photo(tmp_path / "bear.jpg", (160, 120))
    page.set_input_files("#photo", photo)
    page.get_by_role("button", name="Remove blur").click()
    expect(page.get_by_role("status")).to_contain_text(re.compile("^(Cancelled|Done|Could)"))
    expect(page.get_by_role("status")).to_have_text("Cancelled.")
    assert not page.workers
    restore(page, photo)


def test_a_reload_during_work_leaves_the_page_usable(
    visit: Callable[..., Page], isolated: str
) -> None:
    page = visit(isolated)
    # Firefox remembers what was disabled unless the form forbids that.
    expect(page.locator("form")).to_have_attribute("autocomplete", "off")
    page.evaluate("showBusy(true); begin();")
    expect(page.get_by_label("Photo")).to_be_enabled()
    expect(page.get_by_role("button", name="Remove blur")).to_be_enabled()
    expect(page.get_by_role("button", name="Cancel")).to_be_disabled()
    expect(page.get_by_role("progressbar")).to_be_hidden()


def test_a_gpu_that_fails_is_not_tried_again(
    visit: Callable[..., Page], isolated: str, tmp_path: Path
) -> None:
    page = visit(isolated)
    # The page finds an adapter, its worker does not.
    adapter = "{ value: { requestAdapter: async () => ({}) } }"
    page.add_init_script(f"Object.defineProperty(navigator, 'gpu', {adapter})")
    page.reload()
    box = page.get_by_label("Compute on the graphics processor")
    expect(box).to_be_checked()
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url.rpartition("/")[2]))
    photo = write_photo(tmp_path / "bear.jpg", (160, 120))
    for _ in range(2):
        restore(page, photo)
        expect(page.get_by_role("status")).to_contain_text("processor core")
        expect(box).not_to_be_checked()
        expect(box).to_be_enabled()
        assert asked.count("ort.webgpu.bundle.min.mjs") == 1
        assert (
            asked.count("ort.wasm.bundle.min.mjs") == 1
        )  # the second photo's worker is the first's


def test_what_is_no_picture_is_told(
    visit: Callable[..., Page], isolated: str, tmp_path: Path
) -> None:
    page = visit(isolated)
    (tmp_path / "notes.txt").write_text("notes")
    page.set_input_files("#photo", tmp_path / "notes.txt")
    page.get_by_role("button", name="Remove blur").click()
    expect(page.get_by_role("status")).to_contain_text("cannot read notes.txt")


SEND = """fetch(url, { mode: 'no-cors', method: 'POST', body: 'photo' })
    .then(() => 'sent', () => 'refused')"""
WORKER = f"""url => new Promise(resolve => {{
    const code = `const url = "${{url}}"; {SEND}.then(postMessage)`;
    const worker = new Worker(URL.createObjectURL(new Blob([code])));
    worker.onmessage = ({{ data }}) => resolve(data);
}})"""


def test_the_policy_forbids_to_send(browser: Browser, built: Path, tmp_path: Path) -> None:
    # Without the two headers, as they refuse another origin, too. The other page is a plain list.
    with serving(*PLAIN, built) as home, serving(*PLAIN, tmp_path) as other:
        pages = {other.replace("127.0.0.1", "localhost"): "sent", home: "refused"}
        pages[(built / "offline.html").as_uri()] = "refused"
        for address, expected in pages.items():
            page = browser.new_page()
            page.goto(address)
            assert page.evaluate(f"url => {SEND}", other) == expected
            assert page.evaluate(WORKER, other) == expected
            page.close()


@pytest.mark.parametrize("size", SIZES)
def test_the_page_is_accessible(
    visit: Callable[..., Page], isolated: str, tmp_path: Path, size: str
) -> None:
    page = visit(isolated, size)
    expect(page.locator(".warning")).to_contain_text("faces in it may be invented")
    assert find_faults(page) == []
    restore(page, write_photo(tmp_path / "bear.jpg", (600, 450)))
    page.locator("summary").click()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert find_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    if folder := os.environ.get("DEBLUR_SHOTS"):
        page.screenshot(path=Path(folder) / f"browser-{size}.png", full_page=True)


def find_faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found]


def test_the_keyboard_is_enough(visit: Callable[..., Page], isolated: str, tmp_path: Path) -> None:
    page = visit(isolated)
    page.set_input_files("#photo", write_photo(tmp_path / "bear.jpg", (160, 120)))
    page.locator("#photo").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Remove blur")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Done in")
    expect(page.get_by_role("button", name="Remove blur")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("slider", name="Position of the dividing line")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator("#stage")).to_have_css("--place", "0%")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Save as JPEG")).to_be_focused()
