"""How a report, or a plan that cannot go on, becomes one reason, for the operator and the sync agent alike."""

from __future__ import annotations

import pytest

from reconciler.core.decide import BLOCKS, Memory, Policy, Wait, conclude, decide
from reconciler.core.model import Alias, Limits, Target
from reconciler.core.plan import Block, BlockReason, Plan, SetPlan, Step, TargetPlan
from reconciler.core.reasons import MEANINGS, Reason
from reconciler.operator.claims import Contest
from reconciler.operator.finding import up_to_date
from reconciler.operator.objects import Ref
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, catalogs, server

FOLLOWS = {BlockReason.EARLIER_WAVE, BlockReason.COMPANION}


def why_blocked(*steps: Step) -> tuple[Reason, str]:
    """The reason and the message of a plan whose changes are all blocked."""
    target = TargetPlan(Target("localhost:19530", "default"), LOCAL, (SetPlan("shop", steps),))
    decision = decide(Plan((target,), "", ""), Policy(), Memory())
    assert isinstance(decision, Wait)
    return decision.reason, decision.message


def blocked(alias: str, reason: BlockReason) -> Step:
    return Step("shop", alias, None, "v1", blocked=Block(reason, f"because of {reason}"))


@pytest.mark.parametrize("reason", sorted(set(BlockReason) - FOLLOWS))
def test_each_block_means_something(reason: BlockReason) -> None:
    steps = (blocked("z", BlockReason.EARLIER_WAVE), blocked("a", reason))
    assert why_blocked(*steps) == (BLOCKS[reason], f'"a": because of {reason}')


def test_the_most_severe_block_comes_first() -> None:
    steps = tuple(
        blocked(name, reason)
        for name, reason in (
            ("a", BlockReason.COLLECTION_MISSING),
            ("b", BlockReason.GATE_FAILED),
            ("c", BlockReason.PROTECTED),
            ("d", BlockReason.EARLIER_WAVE),
        )
    )
    why = (("c", BlockReason.PROTECTED), ("b", BlockReason.GATE_FAILED), ("a", BlockReason.COLLECTION_MISSING))
    assert why_blocked(*steps) == (
        Reason.BLOCKED,
        "; ".join(f'"{alias}": because of {reason}' for alias, reason in why),
    )


def test_aliases_that_are_blocked_for_the_same_reason_are_listed_together() -> None:
    steps = tuple(blocked(name, BlockReason.GATE_FAILED) for name in "abcde")
    assert why_blocked(*steps) == (Reason.GATE_FAILED, '"a", "b", "c" and 2 more: because of gateFailed')


def test_a_run_that_did_something_tells_what_is_blocked() -> None:
    made = server("v1")
    plan = make_plan([alias_set({"a": "v1", "b": "v9"})], catalogs=catalogs(made))
    reason, message = conclude(apply_plan(plan, catalogs=catalogs(made)))
    assert reason is Reason.DEPENDENCY_NOT_READY
    assert message.startswith('"b": ')


def test_a_protected_alias_goes_before_a_missing_collection() -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    desired = alias_set({"b": "v9", "c": "v1"}, Alias("a", "v2", protect=True), limits=Limits())
    plan = make_plan([desired], catalogs=catalogs(made))
    reason, message = conclude(apply_plan(plan, catalogs=catalogs(made)))
    assert reason is Reason.BLOCKED
    assert message.startswith('"a": ')


def test_a_secondary_cluster_is_a_matter_for_a_person() -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    made.secondary = True
    plan = make_plan([alias_set({"a": "v2"})], catalogs=catalogs(made))
    reason, message = conclude(apply_plan(plan, catalogs=catalogs(made)))
    assert (reason, MEANINGS[reason].stalled) == (Reason.BLOCKED, True)
    assert "secondary cluster" in message


def test_a_few_contests_are_named_and_the_rest_counted() -> None:
    contests = tuple(Contest(name, Ref("team", "older")) for name in "abcde")
    reason, message = up_to_date(alias_set({}), contests)
    assert reason is Reason.OWNERSHIP_CONFLICT
    assert '"c" (AliasSet team/older)' in message
    assert '"d"' not in message
    assert "2 more" in message
    assert up_to_date(alias_set({"a": "v1"}), ()) == (Reason.SUCCEEDED, "1 alias up to date")
