"""The HTML page in a real browser: the Chromium at CHROMIUM or on the PATH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from reconciler.core.plan import Block, BlockReason, Plan, Verdict
from tests.render.browser import COLOURS, NARROW, VIEWPORTS, WIDE, Open, assert_fits, chromium, opening, tallest_name
from tests.render.scenes import (
    HOSTILE,
    busy_plan,
    failed_report,
    gate,
    hostile_plan,
    long_names,
    many,
    move,
    plan_html,
    plan_of,
    report_html,
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    with opening(browser, tmp_path) as open_page:
        yield open_page


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


@VIEWPORTS
@COLOURS
def test_a_page_is_never_wider_than_the_window_and_follows_the_colours(
    opened: Open, viewport: ViewportSize, dark: bool
) -> None:
    for html in (report_html(failed_report()), plan_html(hostile_plan(*HOSTILE, "x" * 255))):
        assert_fits(opened(html, viewport, dark), viewport, ".move", dark=dark)


@VIEWPORTS
def test_usual_names_stay_on_one_line(opened: Open, viewport: ViewportSize) -> None:
    assert tallest_name(opened(plan_html(long_names(held=True)), viewport)) < 30


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


def test_red_means_blocked_or_failed(opened: Open) -> None:
    """As in the text."""
    red, changes, drop = "rgb(164, 14, 38)", "rgb(125, 78, 0)", "rgb(111, 59, 189)"
    page = opened(plan_html(busy_plan()))
    signs = page.locator(".badge").evaluate_all(
        "all => all.map(each => [each.innerText, getComputedStyle(each).color])"
    )
    colours = {label.split()[-1]: colour for label, colour in signs}
    assert (colours["blocked"], colours["alter"], colours["drop"]) == (red, changes, drop)

    def of_unknown(plan: Plan) -> str:
        sign = opened(plan_html(plan)).locator(".gates .unknown .sign")
        return str(sign.evaluate("sign => getComputedStyle(sign).color"))

    results = (gate("rows", Verdict.UNKNOWN, "not counted"),)
    block = Block(BlockReason.GATE_FAILED, "rows: not counted")
    assert of_unknown(plan_of(move("a", "v1", "v2", gate_results=results))) == changes
    assert of_unknown(plan_of(move("a", "v1", "v2", gate_results=results, blocked=block))) == red


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
