"""What other runs decide is known to a run when it writes, even if it was planned before, and even if they died."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from msgspec.structs import replace

from reconciler.core.errors import CatalogError, ConnectionFailed, ExitCode, JournalError, PermissionDenied, RateLimited
from reconciler.core.model import Alias, AliasSet, Limits, OnFailure, Propagation, Verify
from reconciler.core.options import Options
from reconciler.core.plan import BlockReason, Plan
from reconciler.core.report import Outcome, Report
from reconciler.core.run_events import SoakStarted
from reconciler.execute import attempt
from reconciler.journal import Journal, Origins
from reconciler.journal.recording import Run
from reconciler.reconcile import apply_plan, make_plan
from reconciler.render.history import alias_lines
from reconciler.render.results import report_result
from reconciler.rollback import newest_changes, plan_rollback
from tests.builders import LOCAL, alias_set
from tests.execute.test_pending_verification import BEFORE, DONE, HALF, SOAK, Shop, outcomes, spec_hash
from tests.journals import documents, write

REVERT = OnFailure.REVERT


class Killed(BaseException):
    """Ends a run without any of its clean-up, as the death of its process does."""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "RATE_LIMIT_ATTEMPTS", 2)


def carry_out(shop: Shop, plan: Plan) -> Report:
    with shop.recorder.catalogs() as opened:
        return apply_plan(plan, catalogs=opened, journal=shop.journal)


def roll_back(shop: Shop) -> Report:
    with shop.recorder.catalogs() as opened:
        changes = newest_changes(shop.journal.newest())
        assert changes
        return apply_plan(plan_rollback(changes, opened), catalogs=opened, journal=shop.journal)


@contextmanager
def hook(
    shop: Shop, *, before: Callable[[str, str], None] | None = None, after: Callable[[str, str], None] | None = None
) -> Iterator[None]:
    """Additional hooks around calls; what else is spoiled stays so."""
    earlier = shop.recorder.before, shop.recorder.after

    def both(method: str, alias: str) -> None:
        if before:
            before(method, alias)
        earlier[0](method, alias)

    shop.recorder.before, shop.recorder.after = both, after or earlier[1]
    try:
        yield
    finally:
        shop.recorder.before, shop.recorder.after = earlier


def at_alter(alias: str, error: BaseException, *, number: int = 1) -> Callable[[str, str], None]:
    """Raise at the n-th alter of an alias."""
    seen: list[str] = []

    def fail(method: str, name: str) -> None:
        if (method, name) == ("alter", alias):
            seen.append(name)
            if len(seen) == number:
                raise error

    return fail


@pytest.mark.parametrize(
    "error", [PermissionDenied("no"), ConnectionFailed("cut"), Killed()], ids=["refused", "cut", "killed"]
)
def test_a_rollback_that_fails_leaves_the_wave_pending_verification(shop: Shop, error: BaseException) -> None:
    shop.spoil("canary")
    shop.apply(spec_hash())
    with hook(shop, before=at_alter("canary", error)):
        if isinstance(error, CatalogError):
            assert roll_back(shop).exit_code is not ExitCode.DONE
        else:
            with pytest.raises(Killed):
                roll_back(shop)
    assert shop.live == HALF
    assert [pending.alias for pending in shop.plan(spec_hash()).pending_verification] == ["canary"]
    assert outcomes(shop.apply(spec_hash()))["prod"] == (Outcome.NOT_ATTEMPTED, None)
    assert shop.live == HALF


def test_a_rollback_that_succeeds_ends_the_pending_verification(shop: Shop) -> None:
    shop.spoil("canary")
    shop.apply(spec_hash())
    assert roll_back(shop).exit_code is ExitCode.DONE
    assert shop.live == BEFORE
    assert shop.journal.decisions().pending_verification == {}


def test_a_step_that_another_run_made_is_verified_like_one_of_this_run(shop: Shop) -> None:
    plan = shop.plan(spec_hash())
    shop.server.connect(LOCAL, "default").alter_alias("canary", "new")
    shop.spoil("canary")
    report = carry_out(shop, plan)
    assert outcomes(report) == {"canary": (Outcome.FAILED, "SoakFailed"), "prod": (Outcome.NOT_ATTEMPTED, None)}
    assert (report.exit_code, report.wrote, shop.live) == (ExitCode.ERROR, False, HALF)
    assert outcomes(shop.apply(spec_hash()))["prod"] == (Outcome.NOT_ATTEMPTED, None)


def test_a_step_that_another_run_made_is_proved_too(shop: Shop) -> None:
    plan = shop.plan(spec_hash(Verify(propagation=Propagation(1.5))))
    shop.server.stick_readers("canary", alters=100)
    shop.server.connect(LOCAL, "default").alter_alias("canary", "new")
    assert outcomes(carry_out(shop, plan)) == {
        "canary": (Outcome.FAILED, "PropagationStuck"),
        "prod": (Outcome.NOT_ATTEMPTED, None),
    }


def test_a_step_that_another_run_made_and_reverted_since_fails(shop: Shop) -> None:
    plan = shop.plan(spec_hash())
    admin = shop.server.connect(LOCAL, "default")
    admin.alter_alias("canary", "new")

    def undo(method: str, name: str) -> None:
        if (method, name) == ("sample_keys", "new"):
            admin.alter_alias("canary", "old")

    with hook(shop, before=undo):
        report = carry_out(shop, plan)
    assert outcomes(report) == {"canary": (Outcome.FAILED, "SoakFailed"), "prod": (Outcome.NOT_ATTEMPTED, None)}


@pytest.mark.parametrize(
    ("verify", "code"),
    [(SOAK, "SoakInterrupted"), (Verify(propagation=Propagation(1.5)), "PropagationInterrupted")],
    ids=["soak", "propagation"],
)
def test_what_another_run_made_is_still_to_be_verified_if_its_wave_fails_and_is_reverted(
    shop: Shop, verify: Verify, code: str
) -> None:
    """It is not reverted with the rest of the wave, because this run did not move it; nor was it verified."""
    aliases = {"canary": "new", "prod": "new"}
    plan = shop.plan(alias_set(aliases, verify=verify, on_failure=REVERT))
    shop.spoil("canary")
    shop.server.stick_readers("canary", alters=100)
    shop.apply(alias_set({"canary": "new"}, verify=verify))
    shop.mend()
    with hook(shop, before=at_alter("prod", PermissionDenied("no"))):
        report = carry_out(shop, plan)
    assert outcomes(report) == {"canary": (Outcome.NOOP, code), "prod": (Outcome.FAILED, "PermissionDenied")}
    assert shop.live == HALF
    again = shop.plan(alias_set(aliases, verify=verify, on_failure=REVERT))
    assert [pending.alias for pending in again.pending_verification] == ["canary"]


def test_retry_rejected_does_not_wait_for_what_another_run_made(shop: Shop) -> None:
    plan = shop.plan(spec_hash(), Options(retry_rejected=True))
    shop.server.connect(LOCAL, "default").alter_alias("canary", "new")
    shop.spoil("canary")
    assert (carry_out(shop, plan).exit_code, shop.live) == (ExitCode.DONE, DONE)


@pytest.mark.parametrize("attempts", [1, 2], ids=["tried again", "given up"])
def test_a_call_that_was_answered_with_a_rate_limit_after_it_acted_is_ours(
    shop: Shop, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "RATE_LIMIT_ATTEMPTS", 3 - attempts)
    with hook(shop, after=at_alter("canary", RateLimited("quota"))):
        report = shop.apply(spec_hash())
    canary = report.results[0]
    assert (canary.outcome, canary.wrote, report.exit_code, shop.live) == (Outcome.DONE, True, ExitCode.DONE, DONE)
    assert "quota" in (canary.message or "")
    assert sum(isinstance(event, SoakStarted) for event in shop.events) == 2
    assert (roll_back(shop).exit_code, shop.live) == (ExitCode.DONE, BEFORE)


def rejected(shop: Shop, desired: AliasSet) -> None:
    """Another run makes the first wave, its soak fails, and it moves everything back."""
    shop.spoil("canary")
    assert shop.apply(desired).counts[Outcome.REVERTED] == 1
    shop.mend()
    assert shop.live == BEFORE
    shop.recorder.journal.clear()


def test_what_was_rejected_since_the_plan_is_not_made(shop: Shop) -> None:
    desired = spec_hash(SOAK, REVERT)
    plan = shop.plan(desired)
    rejected(shop, desired)
    report = carry_out(shop, plan)
    assert outcomes(report) == {"canary": (Outcome.BLOCKED, "rejected"), "prod": (Outcome.BLOCKED, "earlierWave")}
    assert (report.exit_code, shop.recorder.writes) == (ExitCode.REFUSED, [])


def test_retry_rejected_makes_it_all_the_same(shop: Shop) -> None:
    desired = spec_hash(SOAK, REVERT)
    plan = shop.plan(desired, Options(retry_rejected=True))
    rejected(shop, desired)
    assert (carry_out(shop, plan).exit_code, shop.live) == (ExitCode.DONE, DONE)


def test_no_wave_follows_one_that_another_run_has_rejected_since(shop: Shop) -> None:
    """The plan was made while the other run was watching: the canary was there already, and is not any more."""
    desired = spec_hash(SOAK, REVERT)
    plans: list[Plan] = []

    def plan_now(method: str, name: str) -> None:
        if (method, name) == ("sample_keys", "canary") and not plans:
            plans.append(shop.plan(desired))

    shop.spoil("canary")
    with hook(shop, before=plan_now):
        shop.apply(desired)
    shop.mend()
    (plan,) = plans
    assert [step.alias for step in plan.steps] == ["prod"]
    report = carry_out(shop, plan)
    assert outcomes(report)["prod"] == (Outcome.BLOCKED, "rejected")
    assert 'waiting: "canary" is blocked: new was rejected' in (report.results[-1].message or "")
    assert (report.exit_code, shop.live) == (ExitCode.REFUSED, BEFORE)


def test_decisions_are_read_again_before_each_wave(shop: Shop) -> None:
    """The first wave was good for this run; another one rejects it while this one watches."""
    desired = spec_hash(SOAK, REVERT)
    plan = shop.plan(desired)
    once: list[str] = []

    def reject_now(method: str, name: str) -> None:
        if (method, name) == ("sample_keys", "canary") and not once:
            once.append(name)
            other = shop.journal.begin(plan, Origins("ann", "elsewhere", 1))
            other.decide_revert(plan.targets[0].target, [plan.steps[0]], "it was slow elsewhere")

    with hook(shop, before=reject_now):
        report = carry_out(shop, plan)
    assert outcomes(report) == {"canary": (Outcome.REVERTED, None), "prod": (Outcome.BLOCKED, "rejected")}
    assert "it was slow elsewhere" in (report.results[0].message or "")
    assert shop.live == BEFORE


def test_without_knowing_what_others_decided_nothing_is_moved(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = shop.plan(spec_hash())

    def fail(run: Run, *_: object) -> None:
        raise JournalError("the journal cannot be read: Input/output error")

    monkeypatch.setattr(Run, "rejected", fail)
    report = carry_out(shop, plan)
    assert outcomes(report)["canary"] == (Outcome.FAILED, "JournalError")
    assert (report.exit_code, shop.live) == (ExitCode.ERROR, BEFORE)


def three(*, to: str = "new", verify: Verify = SOAK) -> AliasSet:
    """Three aliases that go together, and one in a later wave."""
    return alias_set({"a": to, "b": to, "canary": to}, Alias("prod", to, wave=1), verify=verify, on_failure=REVERT)


@pytest.fixture
def half(shop: Shop) -> Shop:
    """The soak failed, and the run died before the second of three aliases was moved back."""
    catalog = shop.server.connect(LOCAL, "default")
    for alias in ("a", "b"):
        catalog.create_alias(alias, "old")
    shop.spoil("canary")
    killed = _killed_at_revert(2)
    with hook(shop, before=killed), pytest.raises(Killed):
        shop.apply(three())
    shop.mend()
    recorded = documents(shop.journal.path)
    write(shop.journal.path, [entry | ({"pid": 999999999} if "pid" in entry else {}) for entry in recorded])
    return shop


def _killed_at_revert(number: int) -> Callable[[str, str], None]:
    """Die at the n-th call that moves an alias back: the alters after the three of the wave."""
    alters: list[str] = []

    def kill(method: str, name: str) -> None:
        if method == "alter":
            alters.append(name)
            if len(alters) == 3 + number:
                raise Killed

    return kill


ALL_OLD = {"a": "old", "b": "old", "canary": "old", "prod": "old"}


def test_a_revert_that_was_cut_short_is_completed_by_the_next_run(half: Shop) -> None:
    assert sorted(half.live.values()) == ["new", "new", "old", "old"]
    moved_back = next(alias for alias in ("a", "b", "canary") if half.live[alias] == "old")
    plan = half.plan(three())
    assert {pending.alias for pending in plan.pending_reverts} == {"a", "b", "canary"} - {moved_back}
    assert {step.alias: step.blocked is not None for step in plan.steps} == {moved_back: True, "prod": True}
    report = half.apply(three())
    assert half.live == ALL_OLD
    assert report.counts == {Outcome.REVERTED: 2, Outcome.BLOCKED: 2}
    assert (report.exit_code, report.wrote) == (ExitCode.INCOMPLETE, True)
    again = half.plan(three())
    assert (again.pending_reverts, again.runnable, again.pending_verification) == ((), (), ())
    assert {step.blocked.reason for step in again.steps if step.blocked} <= {
        BlockReason.REJECTED,
        BlockReason.EARLIER_WAVE,
    }


def test_no_output_claims_that_a_run_moved_what_it_only_moved_back(half: Shop) -> None:
    report = half.apply(three())
    moved_back = next(result.step.alias for result in report.results if result.outcome is Outcome.REVERTED)
    lines = [line.plain for line in report_result(report).lines()]
    assert "  ~ new → old   2 aliases   reverted" in lines
    assert any(moved_back in line for line in lines)
    history = [line.plain.split()[:5] for line in alias_lines([half.journal.runs()[-1]], moved_back)]
    assert history[-1] == ["~", moved_back, "new", "→", "old"]


def test_no_output_claims_that_a_run_moved_what_it_only_verified(shop: Shop) -> None:
    shop.spoil("canary")
    shop.apply(spec_hash())
    report = shop.apply(spec_hash())
    rows = [line.plain.split()[:5] for line in report_result(report).lines()]
    assert ["?", "canary", "at", "new", "failed:"] in rows
    history = [line.plain.split()[:4] for line in alias_lines([shop.journal.runs()[-1]], "canary")]
    assert history[-1] == ["?", "canary", "at", "new"]


def test_a_move_is_not_repeated_because_the_run_died_before_it_recorded_the_revert(shop: Shop) -> None:
    shop.spoil("canary")
    with hook(shop, after=at_alter("canary", Killed(), number=2)), pytest.raises(Killed):
        shop.apply(spec_hash(SOAK, REVERT))
    shop.mend()
    assert shop.live == BEFORE
    shop.recorder.journal.clear()
    report = shop.apply(spec_hash(SOAK, REVERT))
    assert outcomes(report) == {"canary": (Outcome.BLOCKED, "rejected"), "prod": (Outcome.BLOCKED, "earlierWave")}
    assert shop.recorder.writes == []


def test_a_revert_is_decided_on_the_disk_before_its_first_call(shop: Shop) -> None:
    """Nothing is moved back yet, so no step is to be made either: the next run moves back all of it."""
    shop.spoil("canary")
    with hook(shop, before=at_alter("canary", Killed(), number=2)), pytest.raises(Killed):
        shop.apply(spec_hash(SOAK, REVERT))
    shop.mend()
    assert shop.live == HALF
    report = shop.apply(spec_hash(SOAK, REVERT))
    assert outcomes(report) == {"canary": (Outcome.REVERTED, None), "prod": (Outcome.BLOCKED, "companion")}
    assert shop.live == BEFORE


def test_a_revert_that_cannot_be_recorded_is_not_begun(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(run: Run, *_: object) -> None:
        raise JournalError("the journal cannot be written: No space left on device")

    monkeypatch.setattr(Run, "decide_revert", fail)
    shop.spoil("canary")
    report = shop.apply(spec_hash(SOAK, REVERT))
    assert outcomes(report)["canary"] == (Outcome.FAILED, "RevertFailed")
    assert "No space left on device" in (report.results[0].message or "")
    assert shop.live == HALF


def test_a_revert_that_a_signal_ended_is_completed_by_the_next_run(shop: Shop) -> None:
    stop = Event()

    def fail_and_stop(method: str, name: str) -> None:
        if (method, name) == ("alter", "prod"):
            stop.set()
            raise PermissionDenied("no")

    with hook(shop, before=fail_and_stop), shop.recorder.catalogs() as opened:
        plan = shop.plan(spec_hash(Verify(), REVERT))
        report = apply_plan(plan, catalogs=opened, journal=shop.journal, stop=stop)
    assert outcomes(report)["canary"] == (Outcome.FAILED, "RevertFailed")
    assert "it was not moved back, because the run was stopped" in (report.results[0].message or "")
    assert shop.live == HALF
    assert outcomes(shop.apply(spec_hash(Verify(), REVERT)))["canary"] == (Outcome.REVERTED, None)
    assert shop.live == BEFORE


@pytest.mark.parametrize("to", ["newer", "new"])
def test_another_spec_is_applied_as_a_whole_instead(half: Shop, to: str) -> None:
    another = three(to=to, verify=Verify(soak=0.2))
    assert half.plan(another).pending_reverts == ()
    assert half.apply(another).exit_code is ExitCode.DONE
    assert set(half.live.values()) == {to}


def test_retry_rejected_keeps_what_was_not_moved_back_yet_and_verifies_it(half: Shop) -> None:
    report = half.apply(three(), Options(retry_rejected=True))
    assert (report.exit_code, set(half.live.values())) == (ExitCode.DONE, {"new"})
    assert report.counts == {Outcome.NOOP: 2, Outcome.DONE: 2}
    assert half.journal.decisions() == Journal(half.journal.path.with_name("none")).decisions()


@pytest.mark.parametrize("verify", [Verify(), SOAK], ids=["not verified", "soaked"])
def test_a_run_that_started_before_a_revert_failed_does_not_settle_it(shop: Shop, verify: Verify) -> None:
    """It finds the alias where it should be, because the other run could not move it back; so nothing is forgotten."""
    desired = spec_hash(verify, REVERT)
    plan = shop.plan(desired)
    other = shop.plan(desired)
    begun: list[str] = []

    def other_run(method: str, name: str) -> None:
        if (method, name) == ("resolve", "canary") and not begun:
            begun.append(name)
            failed = outcomes(carry_out_failing(shop, other))
            assert failed["canary"] == (Outcome.FAILED, "RevertFailed")

    with hook(shop, before=other_run):
        report = carry_out(shop, plan)
    assert outcomes(report) == {"canary": (Outcome.NOOP, None), "prod": (Outcome.BLOCKED, "rejected")}
    assert shop.live == HALF
    assert [pending.alias for pending in shop.plan(desired).pending_reverts] == ["canary"]
    shop.apply(desired)
    assert shop.live == BEFORE


def test_a_run_that_started_before_a_revert_does_not_lift_the_rejection(shop: Shop) -> None:
    """It moves the canary once more, after the other run moved it back."""
    shop.server.connect(LOCAL, "default").create_alias("a", "old")
    single = replace(LOCAL, concurrency=1)
    desired = alias_set({"a": "new", "canary": "new", "prod": "new"}, connection=single, on_failure=REVERT)
    plan = shop.plan(desired)
    begun: list[str] = []

    def other_run(method: str, name: str) -> None:
        if (method, name) == ("resolve", "a") and not begun:
            begun.append(name)
            with hook(shop, before=at_alter("prod", PermissionDenied("no"))):
                assert shop.apply(desired).counts[Outcome.REVERTED] == 2

    with hook(shop, before=other_run):
        assert outcomes(carry_out(shop, plan))["canary"] == (Outcome.DONE, None)
    shop.server.connect(LOCAL, "default").alter_alias("canary", "old")
    blocked = {step.alias: step.blocked.reason for step in shop.plan(desired).steps if step.blocked}
    assert blocked["canary"] is BlockReason.REJECTED


def carry_out_failing(shop: Shop, plan: Plan) -> Report:
    """Make a run that moves the canary, fails at the next alias, and cannot move the canary back."""
    altered: list[str] = []

    def refuse(method: str, name: str) -> None:
        if method == "alter":
            altered.append(name)
            if len(altered) > 1:
                raise PermissionDenied("no")

    with hook(shop, before=refuse):
        return carry_out(shop, plan)


def test_a_revert_that_cannot_be_completed_says_so_and_is_tried_again(half: Shop) -> None:
    half.server.release("old")
    report = half.apply(three())
    left = [result for result in report.results if result.code == "RevertFailed"]
    assert (len(left), report.exit_code, report.wrote) == (2, ExitCode.ERROR, False)
    half.server.load("old")
    half.apply(three())
    assert half.live == ALL_OLD


def test_a_completed_revert_is_no_change_that_could_be_rolled_back(half: Shop) -> None:
    half.apply(three())
    assert half.live == ALL_OLD
    changes = newest_changes(half.journal.newest())
    assert changes is None or not [past for past in changes.steps if past.outcome is Outcome.REVERTED]
    with half.recorder.catalogs() as opened:
        assert changes is None or not plan_rollback(changes, opened).steps


def test_a_revert_follows_a_collection_that_was_renamed(shop: Shop) -> None:
    def rename(method: str, name: str) -> None:
        if (method, name) == ("alter", "prod"):
            shop.server.rename_collection("new", "renamed")
            raise PermissionDenied("no")

    with hook(shop, before=rename):
        report = shop.apply(spec_hash(Verify(), REVERT))
    assert outcomes(report)["canary"] == (Outcome.REVERTED, None)
    assert shop.live == BEFORE


def test_a_revert_names_what_it_leaves_where_an_earlier_run_moved_it(shop: Shop) -> None:
    """A run reverts its own changes only. So a set may be half moved then, but not without a word."""
    desired = spec_hash(Verify(soak=60.0), REVERT)
    moved = shop.apply(desired, seconds=0.3).run
    assert shop.live == HALF
    desired = spec_hash(SOAK, REVERT)
    shop.spoil("prod")
    report = shop.apply(desired)
    assert outcomes(report) == {"canary": (Outcome.NOOP, None), "prod": (Outcome.REVERTED, None)}
    stays = f'"canary" stays at "new", where run {moved} moved it (aliasctl rollback {moved})'
    message = report.results[1].message or ""
    assert stays in message
    assert message.count("canary") == 1, "it is named once"
    (blocked,) = (step.blocked for step in shop.plan(desired).steps)
    assert blocked
    assert stays in blocked.message


def test_a_report_without_the_revert_says_that_it_is_not_finished(half: Shop) -> None:
    """Such as one of a run that a limit of another set has refused."""
    wide = alias_set({"more": None}, name="wide", include=("pr*",), limits=Limits(max_drops=0))
    half.server.connect(LOCAL, "default").create_alias("pruned", "old")
    with half.recorder.catalogs() as opened:
        plan = make_plan([three(), wide], catalogs=opened, journal=half.journal)
        report = apply_plan(plan, catalogs=opened, journal=half.journal)
    assert report.plan.refusals
    first, *_ = (line.plain for line in report_result(report).lines())
    assert first.startswith("Revert of run ")
    assert 'not finished: set "shop", 2 aliases still to be moved back' in first
