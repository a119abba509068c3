"""A real browser for tests of pages: the Chromium at CHROMIUM or on the PATH."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Request, ViewportSize, sync_playwright

WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=420, height=800)
VIEWPORTS = pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
COLOURS = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
Open = Callable[..., Page]


@contextmanager
def chromium() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("REQUIRE_CHROMIUM") == "1":
            pytest.fail("REQUIRE_CHROMIUM is set and there is no Chromium; name one in CHROMIUM")
        pytest.skip("there is no Chromium; name one in CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opening(browser: Browser, folder: Path) -> Iterator[Open]:
    """Opens HTML, or an address; in the end nothing may have been complained about or asked of the network."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def on_dialog(dialog: Dialog) -> None:
        complaints.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def on_request(request: Request) -> None:
        if not request.is_navigation_request():
            complaints.append(f"request {request.url}")

    def open_page(html: str, viewport: ViewportSize = WIDE, dark: bool = False) -> Page:
        address = html
        if not html.startswith("http://"):
            (folder / "page.html").write_text(html)
            address = (folder / "page.html").as_uri()
        contexts.append(browser.new_context(viewport=viewport, color_scheme="dark" if dark else "light"))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", on_dialog)
        page.on("request", on_request)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def assert_fits(page: Page, viewport: ViewportSize, rows: str, *, dark: bool) -> None:
    """The page is not wider than the window, no column is out of sight, and it has the colours of the system."""
    too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(too_wide) == 0
    hidden = "[...document.querySelectorAll('table')].map(t => t.offsetWidth - t.parentElement.clientWidth)"
    assert max(page.evaluate(hidden)) <= 0, "a column is out of sight"
    widths = f"[...document.querySelectorAll('{rows}')].map(row => row.offsetWidth)"
    assert min(page.evaluate(widths)) > 0.8 * viewport["width"]
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")


def tallest_name(page: Page) -> float:
    """The height of the tallest name in pixels; one line has less than 30."""
    heights = "[...document.querySelectorAll('.name')].map(name => name.getBoundingClientRect().height)"
    return float(max(page.evaluate(heights)))
