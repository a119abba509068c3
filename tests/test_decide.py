"""What is done about a plan: every combination against a table written down apart, and properties of random plans."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import groupby, product
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.core.decide import BLOCKS, Apply, Decision, Memory, Nothing, Policy, Wait, conclude, decide
from reconciler.core.model import Target
from reconciler.core.plan import Block, BlockReason, PendingRevert, PendingVerification, Plan, SetPlan, Step, TargetPlan
from reconciler.core.reasons import Reason
from reconciler.core.report import (
    ACHIEVED,
    NOT_VERIFIED,
    VERIFICATION_FAILED,
    Outcome,
    Report,
    StepResult,
    TargetReport,
)
from tests.builders import LOCAL

TARGET = Target("localhost:19530", "default")
FAILED = "the soak failed"


def plan_of(*sets: SetPlan) -> Plan:
    return Plan((TargetPlan(TARGET, LOCAL, sets),), created="", tool_version="")


def change(alias_set: str, alias: str, *, wave: int = 0, blocked: BlockReason | None = None) -> Step:
    return Step(alias_set, alias, "v1", "v2", wave, blocked=Block(blocked, f"{blocked}") if blocked else None)


def pending(alias_set: str, alias: str, *, wave: int = 0) -> PendingVerification:
    return PendingVerification(change(alias_set, alias, wave=wave), "20260101-000000-abcdef", "cut short")


# Every combination ----------------------------------------------------------------------------------------------------


class Situation(NamedTuple):
    """A set `a`, which the policy and the memory are about, and perhaps another set `b` beside it."""

    changes: str
    verify: str
    refused: bool
    beside: str
    read_only: bool
    manual: bool
    report: bool
    approved: str
    applied: bool
    failed: bool
    made: bool
    back_off: bool
    waits: bool


CHANGES = ("none", "runnable", "blocked", "some blocked")
VERIFY = ("nothing", "before the changes", "with the changes")
BESIDE = ("no set", "a change", "a blocked change", "a refused change")
APPROVED = ("nothing", "another plan", "this plan")
BOTH = (False, True)


def situations() -> Iterator[Situation]:
    values = (CHANGES, VERIFY, BOTH, BESIDE, BOTH, BOTH, BOTH, APPROVED, BOTH, BOTH, BOTH, BOTH, BOTH)
    return map(Situation._make, product(*values))


def plan_in(situation: Situation) -> Plan:
    wave = 1 if situation.verify == "before the changes" else 0
    steps = {
        "none": (),
        "runnable": (change("a", "x", wave=wave),),
        "blocked": (change("a", "y", wave=wave, blocked=BlockReason.PROTECTED),),
        "some blocked": (
            change("a", "x", wave=wave),
            change("a", "y", wave=wave, blocked=BlockReason.PROTECTED),
        ),
    }[situation.changes]
    verified = () if situation.verify == "nothing" else (pending("a", "z"),)
    first = SetPlan("a", steps, refusals=("a: too many",) if situation.refused else (), pending_verification=verified)
    beside = {
        "no set": (),
        "a change": (SetPlan("b", (change("b", "v"),)),),
        "a blocked change": (SetPlan("b", (change("b", "v", blocked=BlockReason.GATE_FAILED),)),),
        "a refused change": (SetPlan("b", (change("b", "v"),), refusals=("b: too many",)),),
    }[situation.beside]
    return plan_of(first, *beside)


def decided(situation: Situation, plan: Plan, digest: str) -> Decision:
    policy = Policy(
        read_only=situation.read_only,
        manual=situation.manual,
        report_drift=frozenset({"a"} if situation.report else ()),
        waits="waits for b" if situation.waits else "",
    )
    memory = Memory(
        approved={"nothing": "", "another plan": "sha256:0", "this plan": digest}[situation.approved],
        applied=frozenset({"a"} if situation.applied else ()),
        verification_failed=FAILED if situation.failed else "",
        made=frozenset({("a", "x")} if situation.made else ()),
        corrections=3,
        back_off=60.0 if situation.back_off else 0.0,
    )
    return decide(plan, policy, memory)


class Facts(NamedTuple):
    """What the table below is about, found from the situation and not from the plan."""

    refused: bool
    verification_waits: bool
    up_to_date: bool
    read_only: bool
    only_reported: bool
    all_blocked: bool
    dependent: bool
    unapproved: bool
    repeats: bool


def is_only_reported(situation: Situation) -> bool:
    """Whether the changes of `a` are drift that is only reported."""
    drift = situation.changes != "none" and situation.applied
    return drift and situation.report and situation.approved != "this plan"


def facts(situation: Situation) -> Facts:
    approved = situation.approved == "this plan"
    left_out = is_only_reported(situation)
    own = "none" if left_out else situation.changes
    verifies = situation.verify != "nothing"
    changes = own != "none" or situation.beside != "no set"
    runs_own = own in ("runnable", "some blocked")
    runs = runs_own or situation.beside in ("a change", "a refused change")
    goes_first = situation.beside in ("a change", "a refused change") or (
        runs_own and situation.verify != "before the changes"
    )
    nothing_at_all = situation.changes == "none" and situation.beside == "no set"
    return Facts(
        refused=(situation.refused and not left_out) or situation.beside == "a refused change",
        verification_waits=situation.failed and not approved and (verifies or nothing_at_all) and not goes_first,
        up_to_date=nothing_at_all and not verifies,
        read_only=situation.read_only,
        only_reported=not changes and not verifies,
        all_blocked=changes and not runs and not verifies,
        dependent=situation.waits and runs,
        unapproved=situation.manual and runs and not approved,
        repeats=runs_own and situation.made and situation.back_off,
    )


TABLE = """
    refused  waits  up to date  read-only  only reported  all blocked  behind  unapproved  repeats  outcome
    yes      any    any         any        any            any          any       any         any      LimitExceeded
    no       yes    any         any        any            any          any       any         any      VerificationFailed
    no       no     yes         any        any            any          any       any         any      Nothing
    no       no     no          yes        any            any          any       any         any      ReadOnly
    no       no     no          no         yes            any          any       any         any      DriftDetected
    no       no     no          no         no             yes          any       any         any      block
    no       no     no          no         no             no           yes       any         any      DependencyNotReady
    no       no     no          no         no             no           no        yes         any      ApprovalRequired
    no       no     no          no         no             no           no        no          yes      DriftBackOff
    no       no     no          no         no             no           no        no          no       Apply
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()[1:]]


@cache
def row_of(found: Facts) -> str:
    """The outcome in the only row of the table that the facts meet."""
    cells = ["yes" if fact else "no" for fact in found]
    [outcome] = [
        outcome
        for *row, outcome in ROWS
        if all(desired in ("any", cell) for desired, cell in zip(row, cells, strict=True))
    ]
    return outcome


def expected(situation: Situation) -> str:
    outcome = row_of(facts(situation))
    if outcome != "block":
        return outcome
    return "GateFailed" if situation.changes == "none" or is_only_reported(situation) else "Blocked"


def outcome_of(decision: Decision) -> str:
    return str(decision.reason) if isinstance(decision, Wait) else type(decision).__name__


def test_every_combination_is_decided_as_the_table_says() -> None:
    seen: Counter[str] = Counter()
    for _, alike in groupby(situations(), key=lambda situation: situation[:4]):
        plan, digest = None, ""
        for situation in alike:
            plan = plan or plan_in(situation)
            digest = digest or plan.digest
            decision = decided(situation, plan, digest)
            outcome = outcome_of(decision)
            assert outcome == expected(situation), situation
            left_out = {"a"} if is_only_reported(situation) else set()
            assert {step.set for step in decision.plan.steps} == {step.set for step in plan.steps} - left_out, situation
            seen[outcome] += 1
    assert set(seen) == {*(row[-1] for row in ROWS), "Blocked", "GateFailed"} - {"block"}
    assert sum(seen.values()) == 4 * 3 * 2 * 4 * 2**3 * 3 * 2**5


def test_the_docstring_has_the_same_cases_in_the_same_order() -> None:
    found = re.findall(r"^ +\d+  .*?  (Nothing|Apply|Wait: .*?)(?:  |$)", decide.__doc__ or "", re.MULTILINE)
    cases = ["block" if case == "Wait: the most severe" else case.removeprefix("Wait: ") for case in found]
    assert cases == [row[-1] for row in ROWS]


# Random plans ---------------------------------------------------------------------------------------------------------

SETS = ("a", "b", "c")
ALIASES = ("v", "w", "x", "y", "z")
keys = st.frozensets(st.sampled_from(SETS))
blocks = st.none() | st.sampled_from(BlockReason)


@st.composite
def set_plans(draw: st.DrawFn, name: str) -> SetPlan:
    if draw(st.booleans()):
        return SetPlan(name, suspended=draw(st.booleans()))
    waves = st.integers(0, 2)
    names = draw(st.lists(st.sampled_from(ALIASES), unique=True))
    cut = draw(st.integers(0, len(names)))
    steps = tuple(change(name, alias, wave=draw(waves), blocked=draw(blocks)) for alias in names[:cut])
    verified = tuple(pending(name, alias, wave=draw(waves)) for alias in names[cut:])
    refusals = ("too many",) if draw(st.integers(0, 4)) == 0 else ()
    return SetPlan(name, steps, refusals=refusals, pending_verification=verified)


plans = st.tuples(*map(set_plans, SETS)).map(lambda sets: plan_of(*sets))
waits = st.sampled_from(("", "waits for another set"))
policies = st.builds(Policy, read_only=st.booleans(), manual=st.booleans(), report_drift=keys, waits=waits)


@st.composite
def memories(draw: st.DrawFn, plan: Plan) -> Memory:
    return Memory(
        approved=draw(st.sampled_from(("", "sha256:0", plan.digest))),
        applied=draw(keys),
        verification_failed=draw(st.sampled_from(("", FAILED))),
        made=draw(st.frozensets(st.tuples(st.sampled_from(SETS), st.sampled_from(ALIASES)))),
        corrections=draw(st.integers(0, 5)),
        back_off=draw(st.sampled_from((0.0, 60.0))),
    )


cases = plans.flatmap(lambda plan: st.tuples(st.just(plan), policies, memories(plan)))


def reported(plan: Plan, policy: Policy, memory: Memory) -> tuple[Step, ...]:
    """The changes that the policy only reports."""
    if memory.approved == plan.digest:
        return ()
    return tuple(step for step in plan.steps if step.set in policy.report_drift and step.set in memory.applied)


@given(cases)
def test_a_plan_is_applied_only_where_nothing_speaks_against_it(case: tuple[Plan, Policy, Memory]) -> None:
    plan, policy, memory = case
    decision = decide(plan, policy, memory)
    if not isinstance(decision, Apply):
        return
    approved = memory.approved == plan.digest
    assert not policy.read_only
    assert not decision.plan.refusals
    assert decision.plan.runnable or decision.plan.pending_verification
    assert approved or not (policy.manual and decision.plan.runnable)
    assert not (policy.waits and decision.plan.runnable)
    assert not any(alias_set.steps for alias_set in decision.plan.set_plans if alias_set.suspended)
    made = {(step.set, step.alias) for step in decision.plan.runnable} & memory.made
    assert not (made and memory.back_off)
    if memory.verification_failed and not approved and plan.pending_verification:
        assert decision.plan.runnable, "a failed verification is not repeated for itself"


@given(cases)
def test_nothing_is_lost_and_nothing_is_added(case: tuple[Plan, Policy, Memory]) -> None:
    plan, policy, memory = case
    decision = decide(plan, policy, memory)
    drift = reported(plan, policy, memory)
    assert decision.plan.steps == tuple(step for step in plan.steps if step not in drift)
    assert decision.plan.pending_verification == plan.pending_verification
    if isinstance(decision, Apply):
        assert decision.drift == drift
    if isinstance(decision, Nothing):
        assert (plan.steps, plan.pending_verification) == ((), ())
    if isinstance(decision, Wait):
        assert decision.message
        assert ("drift is only reported" in decision.message) is bool(drift)


@given(cases)
def test_a_refusal_counts_unless_the_drift_of_its_set_is_only_reported(case: tuple[Plan, Policy, Memory]) -> None:
    plan, policy, memory = case
    left_out = {step.set for step in reported(plan, policy, memory)}
    refused = any(alias_set.refusals for alias_set in plan.set_plans if alias_set.set not in left_out)
    assert (outcome_of(decide(plan, policy, memory)) == Reason.LIMIT_EXCEEDED) is refused


@given(cases)
def test_the_approval_of_this_plan_leaves_no_reason_to_wait_for_a_person(case: tuple[Plan, Policy, Memory]) -> None:
    plan, policy, memory = case
    approved = Memory(approved=plan.digest, applied=memory.applied, verification_failed=FAILED)
    outcome = outcome_of(decide(plan, policy, approved))
    assert outcome in {"Nothing", "Apply", Reason.LIMIT_EXCEEDED, Reason.READ_ONLY, *BLOCKS.values()}


@given(cases)
def test_a_policy_that_asks_for_approval_makes_no_further_change(case: tuple[Plan, Policy, Memory]) -> None:
    plan, policy, memory = case
    cautious = replace(policy, manual=True)
    before, after = decide(plan, policy, memory), decide(plan, cautious, memory)
    assert after == before or outcome_of(after) == Reason.APPROVAL_REQUIRED


@pytest.mark.parametrize("reason", BlockReason)
def test_each_block_is_decided(reason: BlockReason) -> None:
    decision = decide(plan_of(SetPlan("a", (change("a", "x", blocked=reason),))), Policy(), Memory())
    assert outcome_of(decision) == BLOCKS.get(reason, Reason.PROGRESSING_WITH_RETRY)


# After a run ----------------------------------------------------------------------------------------------------------

results = st.builds(
    StepResult,
    step=st.builds(change, st.sampled_from(SETS), st.sampled_from(ALIASES)),
    outcome=st.sampled_from(Outcome),
    code=st.none() | st.sampled_from(sorted({*NOT_VERIFIED, *BlockReason, "CallTimedOut", "NotPrimary"})),
    message=st.none() | st.just("why"),
    wrote=st.booleans(),
)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    plan = plan_of(SetPlan("a", pending_verification=tuple(draw(st.lists(st.just(pending("a", "x")), max_size=1)))))
    [target] = plan.targets
    found = draw(st.lists(results, max_size=4))
    return Report(plan, (TargetReport(target, tuple(found)),), "", "", interrupted=draw(st.booleans()))


@given(reports(), st.sampled_from([(), (change("a", "w"),)]))
def test_a_run_succeeds_exactly_if_all_is_done_and_verified(report: Report, drift: tuple[Step, ...]) -> None:
    reason, message = conclude(report, drift)
    done = all(result.outcome in ACHIEVED and not result.code for result in report.results)
    tried = {(result.step.set, result.step.alias) for result in report.results}
    verified = all((item.step.set, item.step.alias) in tried for item in report.plan.pending_verification)
    assert (reason in (Reason.SUCCEEDED, Reason.DRIFT_DETECTED)) is (done and verified)
    assert (reason is Reason.DRIFT_DETECTED) is (done and verified and bool(drift))
    assert bool(message) is (reason is not Reason.SUCCEEDED)


@given(reports())
def test_what_was_reverted_or_not_verified_is_said_before_everything_else(report: Report) -> None:
    reason, _ = conclude(report)
    if any(result.outcome is Outcome.REVERTED for result in report.results):
        assert reason is Reason.REJECTED
    elif any(result.code in VERIFICATION_FAILED for result in report.results):
        assert reason is Reason.VERIFICATION_FAILED
    elif any(result.code == "NotPrimary" for result in report.results):
        assert reason is Reason.BLOCKED
    elif any(result.outcome in (Outcome.FAILED, Outcome.UNKNOWN) for result in report.results):
        assert reason is Reason.PROGRESSING_WITH_RETRY


REVERT = SetPlan(
    "a",
    (change("a", "y", blocked=BlockReason.COMPANION),),
    pending_reverts=(PendingRevert(change("a", "x"), "20260101-000000-abcdef", "it was slow"),),
)


@pytest.mark.parametrize(
    ("policy", "memory"),
    [
        (Policy(), Memory()),
        (Policy(manual=True), Memory()),
        (Policy(report_drift=frozenset("a")), Memory(applied=frozenset("a"))),
        (Policy(), Memory(verification_failed=FAILED)),
        (Policy(), Memory(made=frozenset({("a", "x")}), back_off=60.0)),
    ],
    ids=["always", "without an approval", "though drift is only reported", "after a failed verification", "at once"],
)
def test_a_revert_that_an_earlier_run_did_not_finish_is_completed(policy: Policy, memory: Memory) -> None:
    match decide(plan_of(REVERT), policy, memory):
        case Apply(plan=plan):
            assert plan.pending_reverts == REVERT.pending_reverts
        case decision:
            pytest.fail(f"{decision}")


def test_a_revert_is_only_reported_by_who_may_not_write() -> None:
    decision = decide(plan_of(REVERT), Policy(read_only=True), Memory())
    assert isinstance(decision, Wait)
    assert (decision.reason, decision.message) == (Reason.READ_ONLY, "read-only: 1 alias would be moved back")
