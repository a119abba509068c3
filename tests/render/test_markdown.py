"""Markdown for a pull request: what it says, that nobody else's words are markup in it, and that it fits."""

from __future__ import annotations

import re

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.plan import Block, BlockReason, Verdict
from reconciler.core.report import Outcome
from reconciler.core.text import printable
from tests.render.markup import Parsed
from tests.render.scenes import (
    HOSTILE,
    blocked,
    busy_plan,
    failed_report,
    gate,
    hostile_plan,
    many,
    move,
    plan_markdown,
    plan_of,
    report_markdown,
    report_of,
    result,
    together,
)

GITHUB = 60_000
"""Bytes; GitHub refuses a comment of more than 65,536 characters."""
SIGNS = "<>&|`[]()@#\\!*_~$\"'\n\r\t/-{}: \u202e\u2028é日😀"
SPECIAL = st.sampled_from([*SIGNS, "</code>", "<!--", "-->", "```"])
TEXTS = st.lists(st.text() | st.lists(SPECIAL, min_size=1).map("".join), min_size=1, max_size=3, unique=True)


def drawn(markdown: str) -> Parsed:
    """A comment as GitHub's own renderer makes it, with its extensions and before its filter of tags."""
    return Parsed(cmarkgfm.github_flavored_markdown_to_html(markdown, options=Options.CMARK_OPT_UNSAFE))


def test_a_plan_reads_like_this() -> None:
    assert plan_markdown(plan_of(move("a", "v1", "v2", wave=1), blocked("b", "v9 does not exist"))).splitlines() == [
        "<!-- aliasctl:plan -->",
        "## aliasctl plan: 1 change, 1 blocked",
        "",
        "**Plan: 0 to create, 1 to alter, 0 to drop, 1 blocked, 0 unchanged.**",
        "",
        "<ul>",
        "<li><b>blocked</b> <code>b</code>: <code>v9 does not exist</code></li>",
        "</ul>",
        "",
        "<p><b><code>prod</code> / <code>default</code></b> "
        "<code>Milvus 2.6.4 at http://localhost:19530 (manifest) · 2 aliases, 8 calls</code></p>",
        "<table>",
        "<tr><th></th><th>change</th><th>aliases</th><th>gates</th><th>note</th></tr>",
        "<tr><td>~</td><td><code>v1</code> → <code>v2</code></td><td>wave 1: <code>a</code></td>"
        "<td></td><td></td></tr>",
        "<tr><td>!</td><td><code>v1</code> → <code>v9</code></td><td>wave 0: <code>b</code></td>"
        "<td></td><td></td></tr>",
        "</table>",
        "",
        f"<p><sub>digest <code>{plan_of(move('a', 'v1', 'v2', wave=1), blocked('b', '')).digest}</code>, "
        "created <code>2026-11-24T03:00:00Z</code>, aliasctl <code>0.1.0</code></sub></p>",
    ]


def test_gates_are_told_with_their_figures_and_skipped_ones_in_capitals() -> None:
    markdown = plan_markdown(busy_plan())
    assert "! <code>rows</code> SKIPPED<br>✓ <code>loaded</code>, ✓ <code>canary</code> <code>overlap" in markdown
    assert "in scope, not listed" in markdown


def test_what_a_gate_says_is_not_said_twice() -> None:
    few = "v2 has 60 rows, 60 % of v1 (100)"
    held = move(
        "a",
        "v1",
        "v2",
        gate_results=(gate("rows", Verdict.FAIL, few, rows=60),),
        blocked=Block(BlockReason.GATE_FAILED, f"rows: {few}; also canary: overlap@5 is 0.41"),
    )
    top, _, table = plan_markdown(plan_of(held)).partition("<table>")
    assert "<code>a</code>: <code>rows: v2 has 60 rows" in top
    assert "✗ <code>rows</code></td><td></td></tr>" in table


def test_the_aliases_of_one_move_are_one_row_and_a_reason_stands_once() -> None:
    few = "v2 has 60 rows, 60 % of v1 (100)"
    held = [
        move(
            name,
            "v1",
            "v2",
            wave=int(name > "b"),
            gate_results=(gate("rows", Verdict.FAIL, few), gate("loaded", Verdict.PASS)),
            blocked=Block(BlockReason.GATE_FAILED, f"rows: {few}"),
        )
        for name in "abcdefg"
    ]
    markdown = plan_markdown(plan_of(*held))
    assert markdown.count(few) == 1
    names = ", ".join(f"<code>{name}</code>" for name in "abcde")
    assert f"<li><b>blocked</b> {names} and 2 more: <code>rows: {few}</code></li>" in markdown
    [row] = re.findall(r"<tr><td>.*", markdown)
    assert row == (
        "<tr><td>!</td><td><code>v1</code> → <code>v2</code></td><td>wave 0: <code>a</code>, <code>b</code><br>"
        "wave 1: <code>c</code>, <code>d</code>, <code>e</code>, <code>f</code>, <code>g</code></td>"
        "<td>✗ <code>rows</code><br>✓ <code>loaded</code></td><td></td></tr>"
    )


def test_a_report_has_its_run_its_outcomes_and_its_failures_first() -> None:
    report = report_markdown(failed_report())
    assert report.startswith("<!-- aliasctl:report -->\n## aliasctl report: incomplete\n")
    top, _, rest = report.partition("<table>")
    assert re.findall(r"<li><b>([\w ]+)</b> <code>(\w+)</code>", top) == [
        ("failed", "search_reviews"),
        ("not attempted", "search_legacy"),
        ("blocked", "search_ads"),
    ]
    assert "<td>done</td>" in rest
    assert "run <code>20261124-030000-4f2a9c</code>" in rest
    assert "exit code <code>5</code>" in rest


@pytest.mark.parametrize(
    ("markdown", "verdict"),
    [
        (plan_markdown(plan_of(unchanged=3)), "plan: nothing to do"),
        (plan_markdown(plan_of(move("a", None, "v1"))), "plan: 1 change"),
        (plan_markdown(plan_of(blocked("a", "no"))), "plan: 1 change blocked"),
        (plan_markdown(plan_of(move("a", None, "v1"), refusals=["too many"])), "plan: refused"),
        (report_markdown(report_of(plan_of())), "report: nothing to do"),
        (
            report_markdown(report_of(plan_of(), result(move("a", None, "v1"), Outcome.DONE))),
            "report: done, 1 change made",
        ),
        (
            report_markdown(report_of(plan_of(), result(move("a", None, "v1"), Outcome.FAILED, "no"))),
            "report: failed, nothing applied",
        ),
    ],
    ids=lambda value: value if len(value) < 50 else "",
)
def test_the_heading_says_how_it_stands(markdown: str, verdict: str) -> None:
    assert markdown.splitlines()[1] == f"## aliasctl {verdict}"


def test_refusals_stand_before_everything_else() -> None:
    markdown = plan_markdown(plan_of(blocked("a", "no"), refusals=["12 of 12 aliases would be dropped"]))
    assert markdown.index("<b>Refused:</b> <code>12 of 12") < markdown.index("<ul>") < markdown.index("<table>")


def test_a_long_table_waits_for_a_click() -> None:
    assert "<details>" not in plan_markdown(many(20))
    parsed = drawn(plan_markdown(many(21)))
    assert parsed.names["details"] == 1
    assert "alias_0000" in parsed.inside("details")


def check_harmless(*texts: str) -> None:
    """The same tags as with plain names, and the texts inside `<code>` only."""
    markdown = plan_markdown(hostile_plan(*texts))
    parsed = drawn(markdown)
    plain = drawn(plan_markdown(hostile_plan(*(f"n{number}" for number in range(len(texts))))))
    assert parsed.tags == plain.tags
    assert [text.strip() for text in parsed.comments] == ["aliasctl:plan"]
    outside = [text for text, tags in parsed.texts if "code" not in tags]
    assert outside == [text for text, tags in plain.texts if "code" not in tags]
    for line in markdown.splitlines():
        assert not line or line.startswith(("<", "## aliasctl", "**")), "no line begins with somebody else's words"
    assert all(c.isprintable() for c in markdown if c != "\n")
    shown = parsed.inside("code")
    for text in texts:
        assert printable(text)[:200] in shown


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_shown_as_they_are_and_do_nothing(text: str) -> None:
    check_harmless(text)
    assert not re.search(r"[@`$]|#\d+(?!;|\d)", plan_markdown(hostile_plan(text)))


@given(TEXTS)
def test_no_text_at_all_becomes_markup(texts: list[str]) -> None:
    check_harmless(*(text + "x" for text in texts))


def test_a_comment_fits_and_what_matters_stays() -> None:
    markdown = plan_markdown(many(4000))
    assert 50_000 < len(markdown.encode()) < GITHUB
    _, _, table = markdown.partition("<table>")
    shown = re.findall(r"<code>(alias_\d+|old_one|zz_held)</code>", table)
    assert f"Left out, because a comment must be short: {4000 - len(shown):,} changes." in markdown
    assert shown[-2:] == ["old_one", "zz_held"]
    assert "and 1 more" not in table
    [last] = re.findall(r"<code>alias_\d+</code> and (\d+) more", table)
    assert int(last) < 100, "a move that does not fit shows as many aliases as do"


@pytest.mark.parametrize("text", ["x" * 700, "<" * 700, "\U000e0001" * 700, "😀" * 700, "日" * 700])
def test_a_comment_fits_whatever_it_is_made_of(text: str) -> None:
    steps = [blocked(f"{text}{number}", text, text) for number in range(100)]
    plans = [plan_of(*steps, refusals=[text] * 50, name=text + str(number)) for number in range(3)]
    markdown = plan_markdown(together(*plans))
    assert len(markdown.encode()) < GITHUB
    assert "<b>Refused:</b>" in markdown
    assert re.search(r"Left out, because a comment must be short: [23]\d\d changes", markdown)
    assert drawn(markdown).names["table"] <= 3


def test_an_endless_sentence_is_cut_and_shows_that_it_is() -> None:
    markdown = plan_markdown(plan_of(blocked("a", "x" * 10_000)))
    assert "xxx…</code>" in markdown
    assert len(markdown) < 5_000


def test_failures_stay_when_refusals_do_not_fill_the_room() -> None:
    plan = many(1000)
    results = [result(step, Outcome.DONE) for step in plan.steps[:-1]]
    report = report_markdown(report_of(plan, *results, result(plan.steps[-1], Outcome.FAILED, "out of memory")))
    assert len(report.encode()) < GITHUB
    assert report.count("out of memory") == report.count("<td>failed</td>") == 1
