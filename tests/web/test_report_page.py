import math
import re
from collections.abc import Callable
from dataclasses import asdict
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageColor
from playwright.sync_api import Locator, Page, expect
from report_samples import COLOURS, HOSTILE, document, example, row, summary

from deblur.evaluation.html_report import page
from deblur.evaluation.table4 import TABLE4

pytestmark = pytest.mark.web
Load = Callable[[str], Page]


@pytest.fixture
def report(load: Load) -> Page:
    """Open a page with a few rows and three pictures."""
    values = [("a1", 100.0), ("a10", math.inf), ("a2", 9.5), ("b1", None), ("b2", 10.25)]
    values.append(("b3", math.nan))
    rows = [row(name, psnr, seconds=0.5 if name < "b" else 0.25) for name, psnr in values]
    shown = [example("a1", width=480), example("a2", "worst"), example("b1", "best")]
    return load(page(document(), rows, shown))


def seen(frame: Locator, across: float) -> str:
    """Name the picture that shows at a place of the frame, from 0 (left) to 1 (right)."""
    with Image.open(BytesIO(frame.screenshot())) as shot:
        pixels = shot.convert("RGB")
    pixel = pixels.getpixel((int(across * pixels.width), pixels.height * 9 // 10))

    def distance(side: str) -> int:
        return sum(abs(a - b) for a, b in zip(pixel, ImageColor.getrgb(COLOURS[side])))

    return min(COLOURS, key=distance)


def column(report: Page, title: str) -> list[str]:
    """Give the texts of a column of the table of images."""
    titles = report.locator(".images thead th").all_inner_texts()
    return report.locator(
        f".images tbody td:nth-child({titles.index(title) + 1})"
    ).all_inner_texts()


def test_blurred_is_left_and_restored_right(report: Page) -> None:
    frame = report.locator(".frame").first
    assert [seen(frame, x) for x in (0.1, 0.45, 0.55, 0.9)] == [*["blurred"] * 2, *["restored"] * 2]


def test_keys_move_the_divider(report: Page) -> None:
    frame = report.locator(".frame").first
    slider = report.get_by_role("slider", name="Where the blurred picture of a1 ends")
    before = frame.locator(".divider").bounding_box()
    slider.focus()
    for _ in range(20):
        report.keyboard.press("ArrowRight")
    after = frame.locator(".divider").bounding_box()
    assert before and after and after["x"] > before["x"] + 50
    assert seen(frame, 0.6) == "blurred" and seen(frame, 0.8) == "restored"
    expect(slider).to_have_attribute("aria-valuetext", "70% blurred")
    report.keyboard.press("Home")
    assert seen(frame, 0.05) == "restored"


def test_the_mouse_drags_the_divider_from_anywhere(report: Page) -> None:
    frame = report.locator(".frame").first
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    assert box
    y = box["y"] + box["height"] / 4
    report.mouse.move(box["x"] + 0.2 * box["width"], y)
    report.mouse.down()
    assert seen(frame, 0.3) == "restored"
    report.mouse.move(box["x"] + 0.8 * box["width"], y + 20, steps=5)
    report.mouse.up()
    assert seen(frame, 0.75) == "blurred" and seen(frame, 0.85) == "restored"
    report.mouse.move(box["x"] + 0.1 * box["width"], y)
    assert seen(frame, 0.75) == "blurred"
    expect(frame.locator("input")).to_be_focused()
    assert seen(report.locator(".frame").nth(1), 0.55) == "restored"


@pytest.mark.parametrize(("title", "side"), [("sharp", "sharp"), ("error map", "error")])
def test_buttons_choose_the_right_side(report: Page, title: str, side: str) -> None:
    figure = report.locator(".compare").first
    frame = figure.locator(".frame")
    button = figure.get_by_role("button", name=title)
    button.click()
    assert seen(frame, 0.9) == side and seen(frame, 0.1) == "blurred"
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(figure.locator(".tag.right")).to_have_text(title)
    back = figure.get_by_role("button", name="restored")
    expect(back).to_have_attribute("aria-pressed", "false")
    back.click()
    assert seen(frame, 0.9) == "restored"


def test_headings_sort_numbers_both_ways(report: Page) -> None:
    heading = report.get_by_role("columnheader", name="PSNR (dB)").last
    heading.click()
    assert column(report, "PSNR (dB)") == ["9.50", "10.25", "100.00", "inf", "", "nan"]
    expect(heading).to_have_attribute("aria-sort", "ascending")
    heading.click()
    assert column(report, "PSNR (dB)") == ["inf", "100.00", "10.25", "9.50", "", "nan"]
    expect(heading).to_have_attribute("aria-sort", "descending")


def test_sorting_is_stable_and_works_with_keys(report: Page) -> None:
    headings = report.locator(".images thead th")
    headings.get_by_role("button", name="name").focus()
    report.keyboard.press("Enter")
    assert column(report, "name") == ["a1", "a2", "a10", "b1", "b2", "b3"]
    seconds = headings.filter(has_text="seconds")
    seconds.click()
    assert column(report, "name") == ["b1", "b2", "b3", "a1", "a2", "a10"]
    seconds.click()
    assert column(report, "name") == ["a1", "a2", "a10", "b1", "b2", "b3"]
    expect(report.locator(".images [aria-sort]")).to_have_count(1)
    headings.filter(has_text="name").click(click_count=2)
    assert column(report, "name") == ["b3", "b2", "b1", "a10", "a2", "a1"]


def test_the_filter_keeps_rows_with_all_words(report: Page) -> None:
    box = report.get_by_role("searchbox", name="Filter")
    box.fill("A1 restored")
    assert column(report, "name") == ["a1", "a10"]
    expect(report.locator("output")).to_have_text("2 of 6 rows")
    box.fill("nothing")
    expect(report.locator("output")).to_have_text("0 of 6 rows")
    box.fill("")
    assert len(column(report, "name")) == 6


def test_long_tables_begin_with_200_rows(load: Load) -> None:
    names = [f"scene-{n:04d}" for n in range(1111)]
    methods = ("blurry input", "unsharp mask", "restored")
    rows = [
        row(name, 20.0 + n % 7, method, protocol=protocol, blur_sigma=n / 200)
        for n, name in enumerate(names)
        for method in methods
        for protocol in ("wang-rgb", "matlab-rgb")
    ]
    report = load(page(document(), rows, []))
    lines = report.locator(".images tbody tr")
    expect(lines).to_have_count(200)
    button = report.get_by_role("button", name="Show all 6666 rows")
    button.click()
    expect(lines).to_have_count(6666)
    expect(button).to_be_hidden()
    report.get_by_role("searchbox").fill("scene-1110 restored wang")
    expect(lines).to_have_count(1)


@pytest.mark.parametrize("width", [360, 760, 1280])
def test_tables_scroll_in_boxes_and_the_page_does_not(load: Load, width: int) -> None:
    published = {"system": "x" * 80, "psnr": 1.0, "ssim": 0.5, "seconds": None}
    published |= {"protocol": "y", "differs": True, "measured": "z" * 200}
    long = "runs/" + "long" * 80
    text = page(
        document(title=long, command=long, published=[published]), [row(long, 2.0)], [example(long)]
    )
    report = load(text)
    report.set_viewport_size({"width": width, "height": 800})
    assert report.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("width", [390, 1280, 1440, 1920])
def test_no_figure_is_cut(load: Load, width: int) -> None:
    """But for the rows of every image on a phone, which scroll."""
    results: dict[str, Any] = {}
    for method in ("blurry input", "unsharp mask (sigma 1.5, amount 0.8)", "x/last", "y" * 60):
        ends = {"low": 24.15, "high": 25.65}
        results[method] = {
            **{name: summary(24.9, **ends) for name in ("psnr", "psnr_overflowed")},
            **{"psnr_pooled": {"mean": 24.1}, "ssim": summary(0.7008, low=0.6, high=0.7)},
            "seconds": summary(12.391),
        }
    protocols = {"li-2024-crop": {"title": "8-bit RGB, centre crops", "results": results}}
    time = document()["times"][0] | {"size": "640x360 to 1280x720", "images": 1111}
    published = [{**asdict(row), "differs": True} for row in TABLE4]
    rows = [row("GOPR0384_11_00-000001", 24.5, method, psnr_overflowed=28.1) for method in results]
    times = [{**time, "method": method} for method in results]
    report = load(page(document(protocols=protocols, times=times, published=published), rows, []))
    report.set_viewport_size({"width": width, "height": 900})
    tables = ["summary", "published", "times"] + ["images"] * (width > 1000)
    for name in tables:
        box = report.locator(f".box:has(.{name})")
        widths = box.evaluate("box => [box.scrollWidth, box.clientWidth]")
        assert widths[0] <= widths[1], name
    expect(report.locator(".summary tbody").nth(3)).to_contain_text("SSIM")


def test_hostile_names_are_only_text(load: Load) -> None:
    rows = [row(HOSTILE, 20.0, HOSTILE)]
    report = load(page(document(title=HOSTILE, command=HOSTILE), rows, [example(HOSTILE)]))
    assert column(report, "name") == [HOSTILE]
    expect(report.locator("h1")).to_have_text(HOSTILE)
    slider = report.locator(".frame input")
    expect(slider).to_have_attribute("aria-label", f"Where the blurred picture of {HOSTILE} ends")
    expect(report).to_have_title(re.compile("^<script>"))


def test_the_scheme_is_the_readers(report: Page) -> None:
    def lightness() -> int:
        colour = report.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    report.emulate_media(color_scheme="light")
    assert lightness() > 600
    report.emulate_media(color_scheme="dark")
    assert lightness() < 150


def test_paper_shows_the_pictures_side_by_side(report: Page) -> None:
    report.emulate_media(media="print")
    frame = report.locator(".frame").first
    assert [seen(frame, x) for x in (0.1, 0.35, 0.6, 0.9)] == [*COLOURS]
