"""The status page in a real browser, from the web server of the operator and the agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, ViewportSize, expect

from reconciler.render import status_page
from reconciler.render.status_page import StatusPage
from reconciler.service.web import Web, page_of
from tests.render.browser import COLOURS, VIEWPORTS, Open, assert_fits, chromium, opening, tallest_name
from tests.render.scenes import HOSTILE
from tests.render.status_scenes import busy_page, hostile_page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    with opening(browser, tmp_path) as open_page:
        yield open_page


@contextmanager
def served(*pages: StatusPage) -> Iterator[str]:
    """The address of a page, which is the next one at each read."""
    left = [*pages]

    def next_page() -> StatusPage:
        return left.pop(0) if left[1:] else left[0]

    web = Web(
        "127.0.0.1:0",
        {
            "/": page_of(lambda: status_page.status_page(next_page()), 0),
            "/problems": page_of(lambda: status_page.status_page(next_page(), problems=True), 0),
        },
    )
    try:
        yield f"http://127.0.0.1:{web.port}/"
    finally:
        web.close()


@VIEWPORTS
@COLOURS
def test_the_page_fits_the_window_and_follows_the_colours(opened: Open, viewport: ViewportSize, dark: bool) -> None:
    with served(busy_page()) as address:
        page = opened(address, viewport, dark)
        assert_fits(page, viewport, ".move", dark=dark)
        assert tallest_name(page) < 30
        assert page.get_by_text("need ≥ 0.60").first.is_visible()
    with served(hostile_page(*HOSTILE, "x" * 255)) as address:
        assert_fits(opened(address, viewport, dark), viewport, ".move", dark=dark)


def test_hostile_names_are_seen_as_text_and_run_nothing(opened: Open) -> None:
    with served(hostile_page(*HOSTILE)) as address:
        page = opened(address)
        assert "<script>alert(1)</script>" in page.locator(".listing .name").all_inner_texts()
        assert page.locator("script, img, main a, iframe").count() == 0


def test_the_page_refreshes_itself(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_page, "REFRESH_SECONDS", 1)
    with served(busy_page(), replace(busy_page(), verdict="all is new")) as address:
        page = opened(address)
        assert page.locator("h1").inner_text() == "1 of 3 sets up to date"
        expect(page.locator("h1")).to_have_text("All is new")
        page.close()


def test_a_reader_can_ask_for_problems_only_and_they_stay_so_after_a_refresh(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_page, "REFRESH_SECONDS", 1)
    with served(busy_page(), busy_page(), replace(busy_page(), verdict="all is new")) as address:
        page = opened(address)
        page.get_by_role("link", name="Show only problems").click()
        expect(page.locator("h1")).to_have_text("All is new")
        expect(page.get_by_role("heading", name="search/reviews")).to_have_count(0)
        expect(page.get_by_role("heading", name="search/ads")).to_have_count(1)
        page.get_by_role("link", name="Show all").click()
        expect(page.get_by_role("heading", name="search/reviews")).to_have_count(1)
        page.close()


def test_no_site_can_frame_the_page(browser: Browser) -> None:
    with served(busy_page()) as address:
        page = browser.new_page()
        page.set_content(f"<iframe src='{address}'></iframe>")
        frame = page.frames[1]
        frame.wait_for_load_state()
        assert "sets up to date" not in frame.content()
        page.close()
