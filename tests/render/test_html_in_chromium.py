"""The HTML page in a real browser: the Chromium at CHROMIUM or on the PATH."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Request, ViewportSize, sync_playwright

from tests.render.scenes import (
    HOSTILE,
    busy_plan,
    failed_report,
    hostile_plan,
    long_names,
    many,
    plan_html,
    report_html,
)

WIDE, NARROW = ViewportSize(width=1200, height=900), ViewportSize(width=390, height=800)
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("REQUIRE_CHROMIUM") == "1":
            pytest.fail("REQUIRE_CHROMIUM is set and there is no Chromium; name one in CHROMIUM")
        pytest.skip("there is no Chromium; name one in CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens a page; in the end nothing may have been complained about or asked of the network."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def on_dialog(dialog: Dialog) -> None:
        complaints.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def on_request(request: Request) -> None:
        if not request.is_navigation_request():
            complaints.append(f"request {request.url}")

    def open_page(html: str, viewport: ViewportSize = WIDE, dark: bool = False) -> Page:
        (tmp_path / "page.html").write_text(html)
        contexts.append(browser.new_context(viewport=viewport, color_scheme="dark" if dark else "light"))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", on_dialog)
        page.on("request", on_request)
        page.goto((tmp_path / "page.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def seen(page: Page) -> list[str]:
    return page.locator("li.alias:visible").all_inner_texts()


def test_the_filter_shows_what_matches_words_and_kind(opened: Open) -> None:
    page = opened(report_html(failed_report()))
    assert len(seen(page)) == 4
    page.get_by_label("Filter").fill("REVIEWS_v2")
    assert seen(page) == ["search_reviews"]
    assert page.locator("#shown").inner_text() == "1 of 4 shown"
    page.get_by_label("Filter").fill("")
    page.get_by_label("Show").select_option("blocked")
    assert seen(page) == ["search_ads"]
    page.get_by_label("Filter").fill("no such thing")
    assert seen(page) == []
    assert page.get_by_text("Nothing matches the filter.").is_visible()


def test_the_filter_is_reached_by_the_keyboard(opened: Open) -> None:
    page = opened(plan_html(busy_plan()))
    page.keyboard.press("Tab")
    page.keyboard.type("legacy")
    page.keyboard.press("Enter")
    assert seen(page) == ["search_legacy"]


def test_hostile_names_are_seen_as_text_and_run_nothing(opened: Open) -> None:
    page = opened(plan_html(hostile_plan(*HOSTILE)))
    assert "<script>alert(1)</script>" in seen(page)
    assert page.locator("script").count() == 1
    assert page.locator("img, a, iframe").count() == 0


def test_markup_that_slipped_through_would_run_nothing(opened: Open, browser: Browser, tmp_path: Path) -> None:
    """The policy holds by itself; its own complaint is the proof."""
    broken = plan_html(busy_plan()).replace("<main>", "<main><script>document.title='owned'</script>")
    (tmp_path / "broken.html").write_text(broken)
    page = browser.new_page()
    page.goto((tmp_path / "broken.html").as_uri())
    assert page.title() == "aliasctl plan: 3 changes, 1 blocked"
    page.close()


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_is_never_wider_than_the_window_and_follows_the_colours(
    opened: Open, viewport: ViewportSize, dark: bool
) -> None:
    for html in (report_html(failed_report()), plan_html(hostile_plan(*HOSTILE, "x" * 255))):
        page = opened(html, viewport, dark)
        too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(too_wide) == 0
        hidden = "[...document.querySelectorAll('table')].map(t => t.offsetWidth - t.parentElement.clientWidth)"
        assert max(page.evaluate(hidden)) <= 0, "a column is out of sight"
        rows = "[...document.querySelectorAll('.move')].map(row => row.offsetWidth)"
        assert min(page.evaluate(rows)) > 0.8 * viewport["width"]
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_usual_names_stay_on_one_line(opened: Open, viewport: ViewportSize) -> None:
    page = opened(plan_html(long_names()), viewport)
    heights = "[...document.querySelectorAll('.name')].map(name => name.getBoundingClientRect().height)"
    assert max(page.evaluate(heights)) < 30, "two lines have more"


@pytest.mark.parametrize(("viewport", "kind"), [(WIDE, "wide"), (NARROW, "narrow")], ids=["wide", "narrow"])
def test_the_picture_that_fits_is_shown_in_letters_that_can_be_read(
    opened: Open, viewport: ViewportSize, kind: str
) -> None:
    page = opened(plan_html(long_names()), viewport)
    shown = page.locator("svg:visible")
    assert [svg.get_attribute("class") for svg in shown.all()] == [kind]
    scale = "svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width"
    assert shown.evaluate(f"svg => 13 * ({scale})(svg)") >= 12, "pixels"
    excess = "box => box.querySelector('text').getBBox().width - box.querySelector('rect').getBBox().width"
    assert max(box.evaluate(excess) for box in shown.locator(".box").all()) < 0, "a name leaves its box"


def test_the_aliases_of_a_move_are_filtered_one_by_one(opened: Open) -> None:
    page = opened(plan_html(long_names()))
    page.get_by_label("Filter").fill("canary products_embedding_2026_11_v8")
    assert seen(page) == ["search_products_canary"]
    assert page.locator(".batch:visible").count() == 1
    assert page.locator("#shown").inner_text() == "1 of 4 shown"


def test_paper_is_white_and_has_no_controls(opened: Open) -> None:
    page = opened(plan_html(many(40)), dark=True)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("#filter").is_visible()
    assert len(seen(page)) == 40
