"""The page that restores in the browser, by WebGPU: in Chromium's software adapter."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from browser_page import compute_psnr, restore, write_photo
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from deblur import Restorer

from .conftest import Launch

pytestmark = pytest.mark.web
SMALL = (128, 96)
"""Pixels, so few because the software adapter takes a minute or more on a busy machine."""
SLOW = 600_000
"""Milliseconds."""
# Counts what the worker dispatches to the adapter, and loses that at one of them.
COUNT = """
"use strict";
let dispatches = -Infinity; // stays so until a photo is restored
addEventListener("message", ({ data }) => { if (data.restore) dispatches = 0; });
const dispatch = GPUComputePassEncoder.prototype.dispatchWorkgroups;
GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...sizes) {
    dispatches += 1;
    if (dispatches === LAST) ort.env.webgpu.device.destroy();
    return dispatch.apply(this, sizes);
};
"""


@pytest.fixture(scope="module")
def browser(launch: Launch) -> Iterator[Browser]:
    """Start Chromium with its software adapter, which is the same on every machine.

    Without the watchdog, which ends an adapter that is slow, as on a busy machine.
    """
    adapter = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
    started = launch(*adapter, "--disable-gpu-watchdog")
    yield started
    started.close()


def open_with_gpu(visit: Callable[..., Page], url: str, last: int = 0) -> Page:
    """Open the page and wait until it finds the adapter; last: the dispatch that loses it."""
    page = visit(url)
    code = COUNT.replace("LAST", str(last))
    page.locator("#worker").evaluate("(worker, code) => worker.prepend(code)", code)
    expect(page.get_by_label("Compute on the graphics processor")).to_be_visible()
    return page


def test_webgpus_result_is_pythons(
    visit: Callable[..., Page], built: Path, isolated: str, tmp_path: Path
) -> None:
    photo = write_photo(tmp_path / "bear.jpg", SMALL)
    page = open_with_gpu(visit, isolated)
    saved = restore(page, photo, SLOW)
    expect(page.get_by_role("status")).to_contain_text("on the graphics processor")
    nodes = onnx.load(built / "small.onnx").graph.node
    dispatches = page.workers[0].evaluate("dispatches")
    assert dispatches >= sum(node.op_type == "Conv" for node in nodes)
    restorer = Restorer.load("small", device="cpu", precision="float32", guard=False)
    with Image.open(photo) as blurred:
        expected = np.asarray(restorer.restore(blurred))
    psnr = compute_psnr(saved.pixels, expected)
    print(f"PSNR to Python's result: {psnr:.1f} dB, {dispatches} dispatches")
    assert psnr > 60


def test_the_processor_takes_over_if_the_adapter_is_lost(
    visit: Callable[..., Page], isolated: str, tmp_path: Path
) -> None:
    page = open_with_gpu(visit, isolated, last=20)
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url.rpartition("/")[2]))
    photo = write_photo(tmp_path / "bear.jpg", SMALL)
    for _ in range(2):  # the second photo is not tried on the adapter
        restore(page, photo, SLOW)
        expect(page.get_by_role("status")).to_contain_text("processor core")
        expect(page.get_by_label("Compute on the graphics processor")).not_to_be_checked()
        assert asked.count("ort.webgpu.bundle.min.mjs") == 1
        assert asked.count("ort.wasm.bundle.min.mjs") == 1


def test_webgpu_can_be_declined(visit: Callable[..., Page], isolated: str, tmp_path: Path) -> None:
    page = open_with_gpu(visit, isolated)
    page.get_by_label("Compute on the graphics processor").uncheck()
    restore(page, write_photo(tmp_path / "bear.jpg", SMALL))
    expect(page.get_by_role("status")).to_contain_text("processor core")
