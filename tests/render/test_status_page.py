"""The status page as text; `test_status_page_in_chromium` has it in a browser."""

from __future__ import annotations

import re
from html import unescape

import pytest
from msgspec.structs import replace

from reconciler.core.model import Alias
from reconciler.core.plan import Block, BlockReason, PendingRevert, PendingVerification, Plan, Step
from reconciler.core.report import REVERT_FAILED, SOAK_FAILED, VERIFY_MISMATCH, Outcome, StepResult
from reconciler.core.text import printable
from reconciler.render import status_page
from reconciler.render.status_page import AliasState, alias_states, overall
from tests.render.markup import Parsed
from tests.render.scenes import HOSTILE, blocked, move, plan_of, report_of
from tests.render.status_scenes import busy_page, hostile_page, page_of, set_of, status_html

ALTER = move("a", "v1", "v2")
A_AT_V2 = [Alias("a", "v2")]


def state(plan: Plan, *results: StepResult) -> AliasState:
    [found] = alias_states(A_AT_V2, "shop", plan, report_of(plan, *results) if results else None)
    return found


def test_a_page_loads_nothing_runs_nothing_and_refreshes_itself() -> None:
    page, policy = status_page.status_page(busy_page())
    assert unescape(re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[0]) == policy
    assert re.fullmatch("default-src 'none'; style-src 'sha256-[^ ]+'; base-uri 'none'; form-action 'none'", policy)
    parsed = Parsed(page)
    attributes = {pair for _, pairs in parsed.tags for pair in pairs}
    assert not {name for name, _ in attributes} & {"src", "style", "srcset", "action"}
    assert {value for name, value in attributes if name == "href"} == {"problems"}
    assert not parsed.names["script"] + parsed.names["form"]
    assert parsed.tags["meta", (("http-equiv", "refresh"), ("content", "30"))] == 1


def test_a_page_says_what_a_reader_needs() -> None:
    parsed = Parsed(status_html(busy_page()))
    assert parsed.inside("h1") == "1 of 3 sets up to date"
    headings = re.sub(r"\s+", " ", parsed.inside("h2"))
    assert (
        headings.split(" Recent")[0]
        == "search/products GateFailed search/ads ApprovalRequired search/reviews Succeeded"
    )
    commands = parsed.inside("pre")
    assert "aliasctl approve ads -n search --digest sha256:" in commands
    assert "kubectl -n search annotate --overwrite aliasset ads aliasctl.dev/approve=sha256:" in commands
    for words in ("search_products_canary", "need ≥ 0.60", "reviews_v2", "Mary <mary@example.com>"):
        assert words in parsed.inside("tbody")


def test_a_set_in_trouble_comes_first() -> None:
    good = set_of("a", A_AT_V2, plan_of(), "Succeeded")
    bad = set_of("b", A_AT_V2, plan_of(blocked("a", "v2 does not exist", "v2")), "DependencyNotReady")
    assert overall((good, bad)) == ("1 of 2 sets up to date", "bad")
    assert Parsed(status_html(page_of(good, bad))).inside("h2").split() == ["b", "DependencyNotReady", "a", "Succeeded"]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (StepResult(ALTER, Outcome.DONE), ("v2", "up to date")),
        (StepResult(ALTER, Outcome.NOOP), ("v2", "up to date")),
        (StepResult(ALTER, Outcome.DONE, SOAK_FAILED), ("v2", "not verified")),
        (StepResult(ALTER, Outcome.FAILED, SOAK_FAILED), ("v2", "not verified")),
        (StepResult(ALTER, Outcome.FAILED, REVERT_FAILED), ("v2", "not verified")),
        (StepResult(ALTER, Outcome.FAILED, VERIFY_MISMATCH), ("v1", "failed")),
        (StepResult(ALTER, Outcome.FAILED), ("v1", "failed")),
        (StepResult(ALTER, Outcome.REVERTED), ("v1", "reverted")),
        (StepResult(ALTER, Outcome.BLOCKED), ("v1", "blocked")),
        (StepResult(ALTER, Outcome.NOT_ATTEMPTED), ("v1", "pending")),
        (StepResult(ALTER, Outcome.UNKNOWN), ("unknown", "unknown")),
    ],
    ids=lambda value: f"{value.outcome}-{value.code}" if isinstance(value, StepResult) else "",
)
def test_after_a_run_an_alias_is_where_the_run_left_it(result: StepResult, expected: tuple[str, str]) -> None:
    found = state(plan_of(ALTER), result)
    assert (found.current, found.label, found.desired) == (*expected, "v2")


def pending(plan: Plan, **changes: object) -> Plan:
    return plan.with_sets(lambda _, set_plan: replace(set_plan, **changes))


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (plan_of(), ("v2", "v2", "up to date")),
        (plan_of(ALTER), ("v1", "v2", "pending")),
        (plan_of(move("a", None, "v2")), ("", "v2", "pending")),
        (plan_of(move("a", "v1", None, prune=True)), ("v1", "", "pending")),
        (plan_of(replace(ALTER, blocked=Block(BlockReason.PROTECTED, "why"))), ("v1", "v2", "blocked")),
        (
            pending(plan_of(), pending_verification=(PendingVerification(ALTER, "run", "why"),)),
            ("v2", "v2", "not verified"),
        ),
        (pending(plan_of(), pending_reverts=(PendingRevert(ALTER, "run", "why"),)), ("v2", "v1", "to be moved back")),
    ],
    ids=["none", "alter", "create", "drop", "blocked", "pending verification", "pending revert"],
)
def test_before_a_run_an_alias_is_where_the_plan_saw_it(plan: Plan, expected: tuple[str, str, str]) -> None:
    found = state(plan)
    assert (found.current, found.desired, found.label) == expected


def test_where_an_alias_is_is_not_guessed() -> None:
    [found] = alias_states(A_AT_V2, "shop", None)
    assert (found.current, found.label) == ("unknown", "not read yet")


def test_what_another_set_changes_is_not_shown_here() -> None:
    plan = plan_of(replace(ALTER, set="other")).with_sets(lambda _, set_plan: replace(set_plan, set="other"))
    assert state(plan).label == "up to date"
    assert state(plan, StepResult(replace(ALTER, set="other"), Outcome.FAILED)).label == "up to date"


def test_a_page_that_would_be_too_long_leaves_out_only_what_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_page, "MAX_LISTED", 3)
    late: list[Step] = [move(f"late_{number}", "v1", "v2") for number in range(4)]
    aliases = [Alias(step.alias, "v2") for step in late] + [Alias(f"good_{number}", "v2") for number in range(5)]
    parsed = Parsed(status_html(page_of(set_of("a", aliases, plan_of(*late), "ApprovalRequired"))))
    listed = parsed.inside("tbody")
    assert all(step.alias in listed for step in late)
    assert "good_" not in listed
    assert "And 5 aliases that are up to date." in parsed.inside("p")
    assert "9 aliases" in parsed.inside("summary")


def test_the_page_of_problems_leaves_out_and_counts_what_needs_no_attention() -> None:
    page = busy_page()
    off = replace(set_of("off", A_AT_V2, None, "Suspended"), mood="quiet")
    parsed = Parsed(status_page.status_page(replace(page, sets=(*page.sets, off)), problems=True)[0])
    assert re.sub(r"\s+", " ", parsed.inside("h2")) == (
        "search/products GateFailed search/ads ApprovalRequired Recent runs"
    )
    listed = parsed.inside("tbody")
    for word, shown in {
        "search_products_canary": True,
        "search_reviews": False,
        "2 reverted": True,
        "Mary": False,
    }.items():
        assert (word in listed) is shown, word
    assert "2 sets without problems are not shown." in parsed.inside("p")
    assert "And 1 alias that is up to date." in parsed.inside("p")
    assert "Show all" in parsed.inside("a")


def test_without_problems_that_is_said_and_a_run_that_is_not_verified_is_a_problem() -> None:
    def problems(*results: StepResult) -> str:
        plan = plan_of(ALTER)
        item = replace(set_of("a", A_AT_V2, plan, "Succeeded", report=report_of(plan, *results)), mood="good")
        return Parsed(status_page.status_page(page_of(item), problems=True)[0]).inside("p")

    assert "No set has problems. 1 set without problems is not shown." in problems(StepResult(ALTER, Outcome.DONE))
    assert "not shown" not in problems(StepResult(ALTER, Outcome.DONE, SOAK_FAILED))


def test_a_process_that_knows_no_sets_does_not_say_that_none_has_problems() -> None:
    for problems in (False, True):
        parsed = Parsed(status_page.status_page(replace(page_of(), verdict="standing by"), problems=problems)[0])
        assert "problems" not in parsed.inside("main") + parsed.inside("p")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_text(text: str) -> None:
    page = status_html(hostile_page(printable(text)))
    assert all(c.isprintable() for c in page if c != "\n")
    parsed, plain = Parsed(page), Parsed(status_html(hostile_page("n")))
    assert parsed.names == plain.names
    attributes, expected = (
        {pair for _, pairs in each.tags for pair in pairs if pair[0] != "content"} for each in (parsed, plain)
    )
    assert attributes == expected
    assert not parsed.comments
    assert printable(text) in parsed.inside("tbody")
