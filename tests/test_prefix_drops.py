"""Before version 2.5 Milvus loses, at its next restart, every alias whose name begins with a dropped one.

The fake of 2.3 does the same, so that these tests can restart it. Seen on a real 2.3.5: create `pfx` and
`pfx_products`, drop `pfx`, restart; `pfx_products` is gone.
"""

from __future__ import annotations

import pytest

from reconciler.catalog.memory import Flavour, MemoryServer
from reconciler.core.model import Alias, AliasSet
from reconciler.core.plan import BlockReason, Plan
from reconciler.core.report import Outcome
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, catalogs, live, server
from tests.faults.memory import Recorder

OLD = Flavour.MILVUS_2_3


def planned(made: MemoryServer, *sets: AliasSet) -> Plan:
    return make_plan(sets, catalogs=catalogs(made))


TWO = {"search": "c1", "search_products": "c1"}


def lossy(plan: Plan) -> list[str]:
    return [step.alias for step in plan.steps if step.blocked and step.blocked.reason is BlockReason.LOSES_OTHERS]


def test_the_server_does_lose_them() -> None:
    made = server("c1", aliases={"search": "c1", "search_products": "c1"}, flavour=OLD)
    made.connect(LOCAL, "default").drop_alias("search")
    assert live(made) == {"search_products": "c1"}
    made.restart()
    assert live(made) == {}


def test_a_drop_that_would_lose_another_alias_is_blocked_and_says_which() -> None:
    names = ("search", "search_ads", "search_news", "search_products", "search_x", "other")
    made = server("c1", aliases=dict.fromkeys(names, "c1"), flavour=OLD)
    plan = planned(made, alias_set({"search": None}))
    assert lossy(plan) == ["search"]
    assert plan.steps[0].blocked
    assert plan.steps[0].blocked.message == (
        "this Milvus (before 2.5) drops by prefix and would lose search_ads, search_news, search_products and 1 more "
        "at its next restart; drop the longer names first, or upgrade"
    )


@pytest.mark.parametrize("version", ["release/2.4.15-0.1.1", "hotfix-2.4.23-20250210-4f3e2d1", "2.4-20240407-e0d3c2d9"])
def test_the_number_counts_wherever_it_stands(version: str) -> None:
    made = server("c1", aliases=TWO, flavour=OLD, version=version)
    assert lossy(planned(made, alias_set({"search": None}))) == ["search"]


@pytest.mark.parametrize("version", ["unknown-20260608-7ea6e3526", "unknown", ""])
def test_where_the_version_is_not_known_the_drop_is_blocked_and_the_remedy_named(version: str) -> None:
    plan = planned(server("c1", aliases=TWO, flavour=OLD, version=version), alias_set({"search": None}))
    assert lossy(plan) == ["search"]
    assert plan.steps[0].blocked
    assert plan.steps[0].blocked.message == (
        "the server's version is not known, and Milvus before 2.5 drops by prefix and would lose search_products at "
        "its next restart; drop the longer names first, or set serverVersion in the MilvusConnection to the version "
        "that runs"
    )


@pytest.mark.parametrize("flavour", [Flavour.MILVUS_2_6, Flavour.LITE])
def test_other_servers_drop_what_they_are_told(flavour: Flavour) -> None:
    made = server("c1", aliases={"search": "c1", "search_products": "c1"}, flavour=flavour)
    assert lossy(planned(made, alias_set({"search": None}))) == []


def test_scope_drops_are_held_back_too() -> None:
    made = server("c1", aliases={"s": "c1", "s_kept": "c1"}, flavour=OLD)
    assert lossy(planned(made, alias_set({"s_kept": "c1"}, include=("s*",)))) == ["s"]


def test_names_that_the_set_drops_by_then_are_no_loss() -> None:
    made = server("c1", aliases={"s": "c1", "s_a": "c1", "s_b": "c1"}, flavour=OLD)
    desired = alias_set({"s_b": None}, Alias("s", None, wave=1), Alias("s_a", None, wave=1))
    assert lossy(planned(made, desired)) == []
    with catalogs(made) as opened:
        assert apply_plan(planned(made, desired), catalogs=opened).exit_code == 0
    assert live(made) == {}


def test_names_that_may_go_later_or_in_another_set_hold_a_drop_back_until_they_are_gone() -> None:
    made = server("c1", "c2", aliases={"s": "c1", "s_a": "c1", "t": "c1", "t_a": "c1"}, flavour=OLD)
    sets = [
        alias_set({"s": None}, Alias("s_a", None, wave=1), name="later"),
        alias_set({"t": None}, name="one"),
        alias_set({"t_a": None}, name="other"),
    ]
    assert lossy(planned(made, *sets)) == ["s", "t"]
    with catalogs(made) as opened:
        apply_plan(planned(made, *sets), catalogs=opened)
        assert live(made) == {"s": "c1", "s_a": "c1", "t": "c1"}
        apply_plan(planned(made, sets[1]), catalogs=opened)
    assert "t" not in live(made)


def test_a_drop_that_is_stopped_at_the_last_moment_blocks_the_later_waves() -> None:
    recorder = Recorder(server("c1", "c2", aliases={"s": "c1", "x": "c1"}, flavour=OLD))
    with recorder.catalogs() as opened:
        plan = make_plan([alias_set({"s": None}, Alias("x", "c2", wave=1))], catalogs=opened)
        recorder.server.connect(LOCAL, "default").create_alias("s_new", "c1")
        report = apply_plan(plan, catalogs=opened)
    assert [result.outcome for result in report.results] == [Outcome.BLOCKED, Outcome.BLOCKED]


@pytest.mark.parametrize(("wave", "blocked"), [(0, ["s"]), (1, [])])
def test_a_longer_name_that_is_created_before_the_drop_would_be_lost_and_one_after_it_not(
    wave: int, blocked: list[str]
) -> None:
    made = server("c1", aliases={"s": "c1"}, flavour=OLD)
    desired = alias_set({"s": None}, Alias("s_new", "c1", wave=wave))
    assert lossy(planned(made, desired)) == blocked
    with catalogs(made) as opened:
        apply_plan(planned(made, desired), catalogs=opened)
    made.restart()
    assert "s_new" in live(made)


def test_a_longer_name_that_appeared_since_the_plan_stops_the_drop() -> None:
    recorder = Recorder(server("c1", aliases={"s": "c1"}, flavour=OLD))
    with recorder.catalogs() as opened:
        plan = make_plan([alias_set({"s": None})], catalogs=opened)
        recorder.server.connect(LOCAL, "default").create_alias("s_new", "c1")
        report = apply_plan(plan, catalogs=opened)
    assert [result.outcome for result in report.results] == [Outcome.BLOCKED]
    assert recorder.writes == []
