"""The documentation site, opened from files at the widths of a desktop and of a phone."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from .conftest import Watch

pytestmark = pytest.mark.web
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
PAGES = ("index", "docs/gallery", "docs/results", "docs/api/index", "docs/api/networks")


@pytest.mark.parametrize("size", SIZES.values(), ids=[*SIZES])
def test_pages_fit_and_are_found(browser: Browser, site: Path, size: tuple[int, int]) -> None:
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height})
    watch = Watch(page)
    for name in PAGES:
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        pictures = "[...document.images].filter(one => one.complete && !one.naturalWidth).length"
        assert page.evaluate(pictures) == 0
    if width < 1000:
        page.click("label.md-header__button[for=__search]")
    page.locator(".md-search__input").press_sequentially("Restorer")
    page.locator(".md-search-result__item").first.wait_for()
    page.locator(".md-search-result__link").first.click()
    page.wait_for_url("**/docs/api/index.html*")
    assert not watch.wrong
    page.close()
