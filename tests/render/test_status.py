"""Status: it fits a terminal and loses nothing there; and hostile names do no harm in Markdown, HTML and CSV."""

from __future__ import annotations

import csv as standard
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.model import Target
from reconciler.core.plan import BlockReason
from reconciler.inspect.alias_status import State, StatusRow
from reconciler.inspect.all_databases import UnreadDatabase
from reconciler.inspect.collection_status import by_collection
from reconciler.inspect.unreferenced import Unreferenced
from reconciler.render.csv import csv
from reconciler.render.documents import status_document
from reconciler.render.fitted import wrapped
from reconciler.render.html_tables import html_tables
from reconciler.render.markdown_tables import markdown_tables
from reconciler.render.status import Status, status_lines, status_tables
from tests.render.markup import Parsed
from tests.render.test_markdown import GITHUB, TEXTS, drawn

TARGET = Target("localhost:19530", "default")
NAMES = st.text(st.sampled_from("abc_-. 7"), min_size=1, max_size=80)


def row(
    alias: str,
    desired: str | None = "v1",
    live: str | None = "v1",
    state: State = State.IN_SYNC,
    note: str | None = None,
    blocked: BlockReason | None = None,
    *,
    of_set: str | None = "shop",
    target: Target = TARGET,
) -> StatusRow:
    return StatusRow(target, "prod", of_set, alias, desired, live, state, note, blocked)


SHOP = Status(
    (
        row("autocomplete_products", "products_2026_11_bge_m3", "products_2026_10_bge_m3", State.PENDING),
        row(
            "homepage",
            "recs_v5",
            None,
            State.MISSING,
            "blocked: no recs_v5",
            BlockReason.COLLECTION_MISSING,
        ),
        row("reviews", "reviews_v2", "reviews_v1", State.DRIFTED, f"changed by someone else since run {'2' * 22}"),
        row("same"),
        row("x", None, "v1", State.UNMANAGED, of_set=None, target=Target("localhost:19530", "tenant")),
    )
)


def drawn_at(status: Status, width: int | None = 80) -> list[str]:
    return [line.plain for line in status_lines(status, width)]


def test_at_80_columns_it_reads_like_this() -> None:
    assert drawn_at(SHOP) == [
        "  ALIAS                  DESIRED                LIVE                   STATE",
        "prod / default   shop",
        "  autocomplete_          products_2026_11_      products_2026_10_      Pending",
        "  products               bge_m3                 bge_m3",
        "  homepage               recs_v5                -                      Missing",
        "      blocked: no recs_v5",
        "  reviews                reviews_v2             reviews_v1             Drifted",
        "      changed by someone else since run 2222222222222222222222",
        "  same                   v1                     v1                     InSync",
        "prod / tenant   not managed",
        "  x                      -                      v1                     Unmanaged",
        "1 InSync, 1 Pending, 1 Missing, 1 Drifted, 1 Unmanaged",
    ]


def test_neighbors_share_one_note() -> None:
    missing = [row(name, "v2", state=State.PENDING, note="blocked: v2 is not loaded") for name in "ab"]
    assert drawn_at(Status((*missing, row("c"))))[2:-1] == [
        "  a       v2        v1     Pending",
        "  b       v2        v1     Pending",
        "      all 2: blocked: v2 is not loaded",
        "  c       v1        v1     InSync",
    ]


def test_without_a_terminal_a_row_is_one_line_however_long() -> None:
    lines = drawn_at(Status((row("a" * 200, "b" * 255, note="why " * 100 + "so"),)), None)
    assert len(lines) == 3
    assert "a" * 200 in lines[1]
    assert lines[1].endswith("so")


@given(st.lists(NAMES, min_size=1, max_size=4), NAMES, st.text(max_size=300), st.integers(60, 200))
def test_at_a_terminal_no_line_is_wider_and_nothing_is_lost(
    names: list[str], collection: str, note: str, width: int
) -> None:
    rows = tuple(row(name, collection, None, State.PENDING_VERIFICATION, note or None) for name in names)
    for by in (False, True):
        lines = drawn_at(Status(rows, by_collection=by), width)
        assert max(map(len, lines)) <= width
        assert len([line for line in lines if "PendingVerification" in line]) >= 1
    assert "".join(wrapped(collection, 10)).replace(" ", "") == collection.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("search_products_canary", ["search_products_", "canary"]),
        ("a" * 20, ["a" * 16, "a" * 4]),
        ("one, search_products_x", ["one,", "search_products_", "x"]),
        ("", [""]),
    ],
)
def test_names_break_after_a_separator(text: str, parts: list[str]) -> None:
    assert wrapped(text, 16) == parts


def test_problems_are_what_is_not_in_sync_for_certain() -> None:
    """An alias whose load state may not be read is one; a suspended set is none. The counts are of all."""
    calm = [row("suspended", state=State.SUSPENDED), row("same"), row("other", state=State.UNMANAGED)]
    shown = Status((*calm, row("unclear", note="the load state cannot be read"), row("b", state=State.PENDING)))
    assert [each.alias for each in shown.problems] == ["unclear", "b"]
    only = Status(shown.rows, only_problems=True)
    assert [each["alias"] for each in status_document(only)["aliases"]] == ["unclear", "b"]
    assert drawn_at(only, None)[-1] == "2 InSync, 1 Pending, 1 Suspended, 1 Unmanaged"
    assert drawn_at(Status(tuple(calm), only_problems=True)) == [
        "Nothing needs attention. 1 InSync, 1 Suspended, 1 Unmanaged"
    ]


def test_a_collection_has_the_aliases_that_it_has_and_that_it_should_have() -> None:
    rows = [
        row("moving", "v2", "v1", State.PENDING),
        row("same"),
        row("new", "v2", None, State.MISSING),
        row("stale", None, "v1", State.UNWANTED),
        row("gone", None, None),
    ]
    assert [(each.collection, each.aliases, each.expected, dict(each.states)) for each in by_collection(rows)] == [
        (None, ("gone",), (), {"InSync": 1}),
        ("v1", ("moving", "same", "stale"), (), {"Pending": 1, "InSync": 1, "Unwanted": 1}),
        ("v2", (), ("moving", "new"), {"Pending": 1, "Missing": 1}),
    ]
    calm = Status((row("same"), row("b", "v2", "v2", State.NOT_LOADED)), by_collection=True, only_problems=True)
    assert [each["collection"] for each in status_document(calm)["collections"]] == ["v2"]


def test_what_could_not_be_read_is_said_in_every_format() -> None:
    unread = UnreadDatabase(Target("localhost:19530", "secret"), "prod", "PermissionDenied", "no right to list")
    status = Status((row("a"),), unread=(unread,))
    said = "prod / secret: no right to list"
    assert said in drawn_at(status)[0]
    assert "<b>Attention:</b>" in markdown_tables(status_tables(status))
    assert said in Parsed(html_tables(status_tables(status), {})).inside("header")
    assert status_document(status)["unread"][0]["database"] == "secret"


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "x;=cmd", "x;\t@a", "a,=b", '"=1', "'=1", " =1", "|=1"],
)
def test_csv_never_has_a_formula(name: str) -> None:
    """Neither where cells end at commas, nor where they end at semicolons, as in many countries."""
    text = csv(status_tables(Status((row(name, name, name, note=name),))).tables[0])
    for delimiter in ",;":
        cells = [cell for line in standard.reader(io.StringIO(text), delimiter=delimiter) for cell in line]
        assert not any(cell.lstrip()[:1] in tuple("=+-@\uff1d\t\r") for cell in cells if cell)


def test_csv_leaves_ordinary_names_alone_and_is_read_back() -> None:
    text = csv(status_tables(SHOP).tables[0])
    head, first, second, *_ = standard.reader(io.StringIO(text))
    assert head == ["connection", "database", "set", "alias", "desired", "live", "state", "note"]
    assert first == [
        *("prod", "default", "shop", "autocomplete_products"),
        *("products_2026_11_bge_m3", "products_2026_10_bge_m3", "Pending", ""),
    ]
    assert second[5:] == ["", "Missing", "blocked: no recs_v5"]


@settings(max_examples=25)  # each makes two pages
@given(TEXTS.filter(all), st.text())
def test_hostile_names_are_text_in_markdown_and_html(names: list[str], note: str) -> None:
    """Names, notes and alerts: no tag, link or heading comes from them."""
    hostile = Status(tuple(row(name, name, name, State.PENDING, note) for name in names), (note,))
    calm = Status(tuple(row("a", "a", "a", State.PENDING, "a" if note else "") for _ in names), ("a" if note else "",))
    bad, good = status_tables(hostile), status_tables(calm)
    assert drawn(markdown_tables(bad)).names == drawn(markdown_tables(good)).names
    assert Parsed(html_tables(bad, {})).names == Parsed(html_tables(good, {})).names


def test_a_long_comment_leaves_out_the_least_important_rows() -> None:
    many = [row(f"a{number:05}", "c" * 255, "c" * 255) for number in range(500)]
    text = markdown_tables(status_tables(Status((*many, row("zz_problem", "v2", "v1", State.DRIFTED)))))
    assert len(text.encode()) <= GITHUB
    assert "zz_problem" in text
    assert "Left out, because a comment must be short:" in text


def test_a_page_loads_and_runs_nothing() -> None:
    idle = Unreferenced(TARGET, "prod", "c9", 5)
    page = Parsed(html_tables(status_tables(Status(SHOP.rows, unreferenced=(idle,))), {"kind": "Status"}))
    assert {"script", "img", "link", "iframe", "a"}.isdisjoint(page.names)
    policies = [dict(attributes).get("content") for (tag, attributes) in page.tags if tag == "meta"]
    assert any(policy and policy.startswith("default-src 'none'; style-src 'sha256-") for policy in policies)
    assert "c9" in page.inside("table")
