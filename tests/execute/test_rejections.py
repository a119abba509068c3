"""What had to be undone is refused until the set changes or somebody insists, for manifests and plan files alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.core.decisions import saved_with_decisions
from reconciler.core.errors import ExitCode, PermissionDenied
from reconciler.core.model import Alias, AliasSet, OnFailure, Target
from reconciler.core.options import Options
from reconciler.core.plan import BlockReason, Plan, SetPlan, Step
from reconciler.core.rejections import Rejection, block_rejected
from reconciler.core.report import Outcome
from reconciler.journal import Journal
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, live, server
from tests.faults.memory import Recorder


def desired(*more: Alias) -> AliasSet:
    return alias_set({"a": "new"}, Alias("b", "new", wave=1), *more, on_failure=OnFailure.REVERT)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db")


@pytest.fixture
def reverted(journal: Journal) -> tuple[Recorder, Plan]:
    """A server on which a run had to undo what it made, and the plan of that run."""
    recorder = Recorder(server("old", "new", aliases={"a": "old", "b": "old"}))

    def refuse(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "b"):
            raise PermissionDenied("no")

    recorder.before = refuse
    with recorder.catalogs() as opened:
        plan = make_plan([desired()], catalogs=opened, journal=journal)
        assert apply_plan(plan, catalogs=opened, journal=journal).exit_code is ExitCode.INCOMPLETE
    recorder.before = lambda method, alias: None
    return recorder, plan


def reasons(plan: Plan) -> dict[str, BlockReason]:
    return {step.alias: step.blocked.reason for step in plan.steps if step.blocked}


def test_a_fail_over_reverts_and_rejects_nothing_and_the_next_run_continues(journal: Journal) -> None:
    recorder = Recorder(server("old", "new", aliases={"a": "old", "b": "old"}))

    def fail_over(method: str, alias: str) -> None:
        recorder.server.secondary = True

    recorder.after = fail_over
    with recorder.catalogs() as opened:
        report = apply_plan(make_plan([desired()], catalogs=opened, journal=journal), catalogs=opened, journal=journal)
        assert (report.exit_code, live(recorder.server)) == (ExitCode.INCOMPLETE, {"a": "new", "b": "old"})
        assert [result.outcome for result in report.results] == [Outcome.DONE, Outcome.FAILED]
        assert "this call wrote nothing" in (report.results[1].message or "")
        recorder.server.secondary, recorder.after = False, lambda method, alias: None
        plan = make_plan([desired()], catalogs=opened, journal=journal)
        assert (reasons(plan), plan.pending_reverts) == ({}, ())
        assert apply_plan(plan, catalogs=opened, journal=journal).exit_code is ExitCode.DONE
    assert live(recorder.server) == {"a": "new", "b": "new"}


REFUSED = {"a": BlockReason.REJECTED, "b": BlockReason.EARLIER_WAVE}


def test_the_same_again_is_refused_with_the_reason(reverted: tuple[Recorder, Plan], journal: Journal) -> None:
    with reverted[0].catalogs() as opened:
        plan = make_plan([desired()], catalogs=opened, journal=journal)
    assert reasons(plan) == REFUSED
    blocked = plan.steps[0].blocked
    assert blocked
    assert '"b" failed: no' in blocked.message
    assert "--retry-rejected" in blocked.message


def test_a_saved_plan_of_it_is_refused_too(reverted: tuple[Recorder, Plan], journal: Journal) -> None:
    recorder, saved = reverted
    with recorder.catalogs() as opened:
        report = apply_plan(saved_with_decisions(saved, journal.decisions()), catalogs=opened, journal=journal)
    assert reasons(report.plan) == REFUSED
    assert live(recorder.server) == {"a": "old", "b": "old"}


@pytest.mark.parametrize("changed", [True, False])
def test_another_wish_or_insisting_lifts_it(reverted: tuple[Recorder, Plan], journal: Journal, changed: bool) -> None:
    again = desired(Alias("c", "new")) if changed else desired()
    with reverted[0].catalogs() as opened:
        plan = make_plan([again], Options(retry_rejected=not changed), catalogs=opened, journal=journal)
        assert reasons(plan) == {}
        assert apply_plan(plan, catalogs=opened, journal=journal).exit_code is ExitCode.DONE
        assert journal.decisions().rejected == {}


def test_a_call_that_takes_effect_after_the_revert_is_reverted_by_the_next_run(journal: Journal) -> None:
    recorder = Recorder(server("old", "new", aliases={"a": "old", "b": "old"}))

    def late(method: str, name: str) -> None:
        if (method, name) == ("alter", "b"):
            raise PermissionDenied("no")
        if (method, name) == ("count", "old"):  # the alias was read back, and the run still reads the collections
            recorder.server.connect(LOCAL, "default").alter_alias("a", "new")

    recorder.before = late
    with recorder.catalogs() as opened:
        apply_plan(make_plan([desired()], catalogs=opened, journal=journal), catalogs=opened, journal=journal)
        recorder.before = lambda method, alias: None
        assert live(recorder.server) == {"a": "new", "b": "old"}
        plan = make_plan([desired()], catalogs=opened, journal=journal)
        assert [pending.alias for pending in plan.pending_reverts] == ["a"]
        apply_plan(plan, catalogs=opened, journal=journal)
    assert live(recorder.server) == {"a": "old", "b": "old"}


@pytest.mark.parametrize(
    ("spec_hash", "collection", "blocked"),
    [
        ("sha256:this", "new", True),
        ("sha256:another", "new", False),
        ("", "new", True),
        ("", "newer", False),
    ],
)
def test_a_rejection_without_a_hash_is_one_of_every_spec(spec_hash: str, collection: str, blocked: bool) -> None:
    """Such as one whose hash was dropped under its older name: rather one approval too many than a bad move again."""
    target = Target("localhost:19530", "default")
    step = Step("shop", "a", "old", "new", spec_hash="sha256:this")
    rejection = Rejection(collection, None, spec_hash, "run", "2026-11-23T23:01:02Z", "it was slow")
    (judged,) = block_rejected(SetPlan("shop", (step,)), target, {(target, "a"): rejection}).steps
    assert (judged.blocked is not None) is blocked
