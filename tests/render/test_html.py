"""The HTML page, as text; `test_html_in_chromium` has it in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import unescape

import pytest
from hypothesis import given, settings

from reconciler.core.plan import Verdict
from reconciler.core.text import printable
from reconciler.documents.plan_file import plan_document
from reconciler.documents.report_file import report_document
from reconciler.render.picture import MOST
from tests.render.markup import Parsed
from tests.render.scenes import (
    HOSTILE,
    blocked,
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
from tests.render.test_markdown import TEXTS


def test_a_page_loads_nothing_and_allows_only_its_own_style_and_script() -> None:
    page = plan_html(busy_plan())
    policy = unescape(re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[0])
    style, script = (re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[0] for tag in ("style", "script"))
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digests[0]}'",
        f"script-src 'sha256-{digests[1]}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    attributes = {name for _, pairs in Parsed(page).tags for name, _ in pairs}
    assert not attributes & {"src", "href", "style", "srcset", "action"}
    assert "url(" not in style
    assert "@import" not in style


def test_the_json_of_the_page_is_the_document() -> None:
    assert json.loads(Parsed(plan_html(hostile_plan(*HOSTILE))).inside("pre")) == plan_document(hostile_plan(*HOSTILE))
    assert json.loads(Parsed(report_html(failed_report())).inside("pre")) == report_document(failed_report())


def test_a_page_says_what_a_reader_needs() -> None:
    parsed = Parsed(report_html(failed_report()))
    assert parsed.inside("h1") == "Incomplete"
    for words in ("failed", "search_reviews", "the old collection still answers", "SKIPPED", "overlap", "0.98"):
        assert words in parsed.inside("tbody")
    assert "20261124-030000-4f2a9c" in parsed.inside("footer")
    assert "3 changes, 1 blocked" in Parsed(plan_html(busy_plan())).inside("h1")
    refused = Parsed(plan_html(plan_of(refusals=["12 of 12 aliases would be dropped"])))
    assert "12 of 12 aliases would be dropped" in refused.inside("section")


def test_what_went_wrong_stands_before_everything_that_went_well() -> None:
    page = report_html(failed_report())
    top, _, _ = page.partition("<table")
    assert re.findall(r'class="badge \w+">([\w ]+)</span> <bdi class="name">(\w+)', top) == [
        ("failed", "search_reviews"),
        ("not attempted", "search_legacy"),
        ("blocked", "search_ads"),
    ]
    assert "the old collection still answers" in Parsed(top).inside("ul")
    steps = [blocked(f"a{number}", f"v{number} does not exist") for number in range(12)]
    assert "And 2 more, in the table." in Parsed(plan_html(plan_of(*steps))).inside("p")


def test_a_reason_that_many_aliases_have_is_said_once_at_the_top_and_once_in_their_row() -> None:
    page = plan_html(plan_of(*(blocked(f"a{number}", "v9 does not exist") for number in range(12))))
    shown, _, _ = page.partition('<details class="raw"')
    assert shown.count("v9 does not exist") == 2
    assert "and 7 more" in Parsed(page).inside("ul")


def test_a_move_is_one_row_with_its_aliases_by_wave() -> None:
    parsed = Parsed(plan_html(long_names()))
    assert parsed.tags["tr", (("class", "move"),)] == 1
    assert parsed.inside("th").split() == [
        *("Action", "Move", "and", "aliases", "Gates", "and", "notes"),
        *("products_embedding_2026_11_v7", "→", "products_embedding_2026_11_v8"),
        *("wave", "0", "search_products_canary"),
        *("wave", "1", "autocomplete_products", "products_live", "search_products_eu_west_1_mobile"),
    ]


def test_a_step_with_a_gate_that_was_not_evaluated_is_not_plain_green() -> None:
    def page(verdict: Verdict) -> str:
        return plan_html(plan_of(move("a", None, "v2", gate_results=(gate("rows", verdict),))))

    def colours(page: str) -> set[str]:
        return set(re.findall(r'class="(?:badge|box alias) (create[\w ]*)"', page))

    assert colours(page(Verdict.PASS)) == {"create"}
    assert colours(page(Verdict.NOT_EVALUATED)) == {"create risky"}
    assert "not evaluated" in Parsed(page(Verdict.NOT_EVALUATED)).inside("tbody")


def test_the_next_step_is_at_the_top() -> None:
    assert "aliasctl rollback 20261124-030000-4f2a9c" in Parsed(report_html(failed_report())).inside("header")


def test_figures_of_gates_are_rows_of_a_table() -> None:
    page = plan_html(busy_plan())
    assert re.findall(r'<tr><th scope="row"><bdi>(\w+)</bdi></th><td><bdi>([\d.]+)</bdi></td></tr>', page) == [
        ("k", "10"),
        ("overlap", "0.98"),
    ]


def test_a_picture_of_many_changes_is_cut_and_says_so() -> None:
    parsed = Parsed(plan_html(many(1000)))
    boxes = parsed.inside("svg")
    assert parsed.tags["g", (("class", "box alias alter"),)] == 2 * (MOST - 2), "for wide windows and for phones"
    assert "zz_held" in boxes, "what matters most is drawn"
    assert f"The picture has {MOST} of 1,000 changes; the table has all." in parsed.inside("p")
    assert parsed.tags["li", (("class", "alias"),)] == 1000


def test_a_plan_without_changes_has_no_table_to_filter() -> None:
    names = Parsed(plan_html(plan_of(unchanged=3))).names
    assert not names["table"] + names["svg"] + names["form"]


def check_harmless(*texts: str) -> None:
    page = plan_html(hostile_plan(*texts))
    assert all(c.isprintable() for c in page if c != "\n")
    parsed = Parsed(page)
    plain = Parsed(plan_html(hostile_plan(*(f"n{number}" for number in range(len(texts))))))
    assert parsed.names == plain.names
    assert {pair for _, pairs in parsed.tags for pair in pairs if pair[0] not in {"content", "d", "y"}} == {
        pair for _, pairs in plain.tags for pair in pairs if pair[0] not in {"content", "d", "y"}
    }
    assert not parsed.comments
    for text in texts:
        assert printable(text) in parsed.inside("tbody")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_text(text: str) -> None:
    check_harmless(text)


@settings(max_examples=30)  # each is two whole pages
@given(TEXTS)
def test_no_text_at_all_becomes_markup(texts: list[str]) -> None:
    check_harmless(*(text + "x" for text in texts))
