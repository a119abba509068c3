"""Status pages to draw, without any process."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.model import Alias
from reconciler.core.plan import Block, BlockReason, Plan, Verdict
from reconciler.core.report import Report
from reconciler.render.status_page import (
    PendingPlan,
    Run,
    SetState,
    StatusPage,
    alias_states,
    groups_by_set,
    mood_of,
    overall,
    status_page,
)
from tests.render.scenes import MADE, gate, move, plan_of

OLD, NEW = "products_embedding_2026_11_v7", "products_embedding_2026_11_v8"
DETAIL = "overlap@5 0.00, need ≥ 0.60 (20 queries; worst rows 0, 15, 30)"


def page_of(*sets: SetState, runs: Iterable[Run] = (), alerts: Iterable[str] = ()) -> StatusPage:
    verdict, mood = overall(sets)
    facts = (("process", "operator-1"), ("namespaces", "all"), ("aliasctl", "0.1.0"))
    return StatusPage("operator", verdict, mood, "", MADE, tuple(alerts), facts, sets, tuple(runs))


def set_of(
    name: str, aliases: Iterable[Alias], plan: Plan | None, label: str, message: str = "", report: Report | None = None
) -> SetState:
    groups = groups_by_set(plan, report).get("shop", ())
    return SetState(
        name=name,
        place="prod / default",
        label=label,
        mood=mood_of(groups),
        message=message,
        since=MADE if plan else "",
        aliases=alias_states(aliases, "shop", plan, report),
        groups=groups,
    )


def blocked_set() -> SetState:
    """Two waves of a move that the canary gate blocks, and an alias that is up to date."""
    gates = (gate("canary", Verdict.FAIL, DETAIL, overlap=0.0, need=0.6), gate("loaded", Verdict.PASS))
    block = Block(BlockReason.GATE_FAILED, f"canary: {DETAIL}")
    names = {"search_products_canary": 0, "autocomplete_products": 1, "search_products_eu_west_1": 1}
    steps = [move(name, OLD, NEW, wave=wave, blocked=block, gate_results=gates) for name, wave in names.items()]
    aliases = [*(Alias(name, NEW) for name in names), Alias("search_reviews", "reviews_v2")]
    message = f'"search_products_canary": canary: {DETAIL} (2 more blocked)'
    return set_of("search/products", aliases, plan_of(*steps), "GateFailed", message)


def busy_page() -> StatusPage:
    """Three sets: blocked, waiting for an approval, up to date; and two runs."""
    from msgspec.structs import replace

    digest = "sha256:" + "4f2a9c1e" * 8
    command = f"aliasctl approve ads -n search --digest {digest}"
    kubectl = f"kubectl -n search annotate --overwrite aliasset ads aliasctl.dev/approve={digest}"
    waiting = replace(
        set_of("search/ads", [Alias("ads", "ads_v4")], plan_of(move("ads", "ads_v3", "ads_v4")), "ApprovalRequired"),
        pending=PendingPlan("Plan: 0 to create, 1 to alter, 0 to drop, 0 blocked, 0 unchanged.", command, kubectl),
    )
    good = set_of("search/reviews", [Alias(f"reviews_{n}", "reviews_v2") for n in range(3)], plan_of(), "Succeeded")
    runs = (
        Run(MADE, "312.0 s", "search/reviews @4f2a9c1", "Mary <mary@example.com>", "Succeeded: 3 alters", "good"),
        Run(MADE, "2.1 s", "search/products", "approved by kubectl (unverified)", "Rejected: 2 reverted", "bad"),
    )
    return page_of(blocked_set(), waiting, good, runs=runs)


def hostile_page(*texts: str) -> StatusPage:
    """A page with these texts wherever somebody else's words can be."""
    sets = [
        SetState(
            name=text,
            place=text,
            label="Blocked",
            mood="bad",
            message=text,
            aliases=alias_states([Alias(text, text)], "shop", None),
            groups=groups_by_set(plan_of(move(text, text, text + "2", gate_results=(gate(text, Verdict.FAIL, text),))))[
                "shop"
            ],
            pending=PendingPlan(text, text, text),
        )
        for text in texts
    ]
    runs = [Run(text, text, text, text, text, "bad") for text in texts]
    return page_of(*sets, runs=runs, alerts=texts)


def status_html(page: StatusPage) -> str:
    return status_page(page)[0]
