"""An alias that a run has seen at neither end of its step is left alone for the rest of the run, wherever it is then.

It may be back where this run would put it: because a call that was not answered takes effect late, or because someone
else moved it there again.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from reconciler.catalog.memory import Flavour, MemoryServer
from reconciler.core.errors import CallTimedOut, ConnectionFailed, PermissionDenied
from reconciler.core.model import Alias, AliasSet, OnFailure, Propagation, Verify
from reconciler.core.report import Outcome, Report, StepResult
from reconciler.execute import propagation
from reconciler.reconcile import apply_plan, make_plan
from reconciler.rollback import changes_in, plan_rollback
from tests.builders import LOCAL, alias_set, live, server
from tests.faults.memory import Recorder

TWO_WAVES = (Alias("a", "new"), Alias("b", "new", wave=1))


def revert(*aliases: Alias, verify: Verify = Verify()) -> AliasSet:
    one_by_one = replace(LOCAL, concurrency=1)
    return alias_set({}, *aliases, verify=verify, on_failure=OnFailure.REVERT, connection=one_by_one)


def shop(flavour: Flavour = Flavour.MILVUS_2_6) -> Recorder:
    return Recorder(server("old", "new", "other", aliases={"a": "old", "b": "old"}, flavour=flavour))


def move(server: MemoryServer, collection: str) -> None:
    """Move the alias as someone else does, or as our own late call."""
    server.connect(LOCAL, "default").alter_alias("a", collection)


def run(recorder: Recorder, desired: AliasSet) -> Report:
    with recorder.catalogs() as opened:
        return apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)


class Sequence:
    """A hook that acts at reads of the alias after it was armed: what happens before each of them, in order."""

    def __init__(self, *acts: Callable[[], None] | None) -> None:
        self._acts = list(acts)
        self.armed = False

    def __call__(self, method: str, alias: str) -> None:
        if self.armed and (method, alias) == ("resolve", "a") and self._acts and (act := self._acts.pop(0)):
            act()


def insist_that_it_was_left_alone(recorder: Recorder, result: StepResult) -> None:
    assert recorder.writes.count(("alter", "a")) == 1
    assert live(recorder.server)["a"] == "new"
    assert (result.outcome, result.code, result.wrote) == (Outcome.FAILED, "RevertFailed", True)
    assert (
        'not moved back, because someone else moved it: in the meantime it was at "other"; the alias is at "new" now'
        in (result.message or "")
    )


def test_a_late_call_of_a_run_is_not_reverted_over_the_change_that_it_overtook() -> None:
    """Our alter times out, someone moves the alias, the run reads that, and only then our alter takes effect."""
    recorder = shop()
    reads = Sequence(None, lambda: move(recorder.server, "new"))

    def late(method: str, alias: str) -> None:
        reads(method, alias)
        if (method, alias) == ("alter", "a") and not reads.armed:
            reads.armed = True
            move(recorder.server, "other")
            raise CallTimedOut("late")

    recorder.before = late
    report = run(recorder, revert(Alias("a", "new")))
    insist_that_it_was_left_alone(recorder, report.results[0])
    assert 'the alias is at "other" now, moved by someone else; a call that was sent may still take effect' in (
        report.results[0].message or ""
    )


def test_what_the_revert_itself_saw_elsewhere_is_not_reverted() -> None:
    """It reads twice: to follow a collection that was renamed, and right before the call."""
    recorder = shop()
    reads = Sequence(None, lambda: move(recorder.server, "other"), lambda: move(recorder.server, "new"))

    def late(method: str, alias: str) -> None:
        reads(method, alias)
        if (method, alias) == ("alter", "a") and not reads.armed:
            reads.armed = True
            raise CallTimedOut("late")

    recorder.before = late
    report = run(recorder, revert(Alias("a", "new")))
    insist_that_it_was_left_alone(recorder, report.results[0])


def test_what_the_read_back_saw_elsewhere_is_not_reverted() -> None:
    recorder = shop()
    reads = Sequence(lambda: move(recorder.server, "other"), lambda: move(recorder.server, "new"))
    recorder.before = reads
    recorder.after = lambda method, alias: setattr(reads, "armed", reads.armed or (method, alias) == ("alter", "a"))
    report = run(recorder, revert(Alias("a", "new")))
    insist_that_it_was_left_alone(recorder, report.results[0])


def test_what_a_failed_read_back_saw_elsewhere_is_not_reverted() -> None:
    """The read of the other alias fails, and with it the read-back."""
    recorder = shop()
    recorder.server.create_collection("newer")
    reads = Sequence(lambda: move(recorder.server, "other"), lambda: move(recorder.server, "new"))
    unreadable = [ConnectionFailed("cut")]

    def cut(method: str, alias: str) -> None:
        reads(method, alias)
        if reads.armed and (method, alias) == ("resolve", "b") and unreadable:
            raise unreadable.pop()

    recorder.before = cut
    recorder.after = lambda method, alias: setattr(reads, "armed", reads.armed or (method, alias) == ("alter", "b"))
    report = run(recorder, revert(Alias("a", "new"), Alias("b", "newer")))
    insist_that_it_was_left_alone(recorder, report.results[0])


def test_what_the_soak_saw_elsewhere_is_not_reverted() -> None:
    """One bad probe is no failure; but a later wave fails."""
    recorder = shop()
    reads = Sequence(None, lambda: move(recorder.server, "other"), lambda: move(recorder.server, "new"))

    def refuse_b(method: str, alias: str) -> None:
        reads(method, alias)
        if (method, alias) == ("alter", "b"):
            raise PermissionDenied("no")

    recorder.before = refuse_b
    recorder.after = lambda method, alias: setattr(reads, "armed", reads.armed or (method, alias) == ("alter", "a"))
    report = run(recorder, revert(*TWO_WAVES, verify=Verify(soak=0.5)))
    insist_that_it_was_left_alone(recorder, report.results[0])


def test_what_a_heal_saw_elsewhere_is_not_reverted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagation, "PROVING_SECONDS", 0.01)
    recorder = shop(Flavour.MILVUS_2_3)
    for key, collection in enumerate(("old", "new", "other")):
        recorder.server.insert(collection, [{"id": key, "vector": (0.0, 0.0, 0.0, 1.0)}])
    recorder.server.stick_readers("a", alters=9)
    reads = Sequence(None, lambda: move(recorder.server, "other"), lambda: move(recorder.server, "new"))
    recorder.before = reads
    recorder.after = lambda method, alias: setattr(reads, "armed", reads.armed or (method, alias) == ("alter", "a"))
    report = run(recorder, revert(Alias("a", "new"), verify=Verify(propagation=Propagation(timeout=0.5))))
    insist_that_it_was_left_alone(recorder, report.results[0])


def test_a_rollback_leaves_it_alone_too() -> None:
    recorder = shop()
    done = run(recorder, alias_set({"a": "new"}))
    reads = Sequence(None)

    def late(method: str, alias: str) -> None:
        reads(method, alias)
        if (method, alias) == ("alter", "a"):
            move(recorder.server, "other")
            raise CallTimedOut("late")

    recorder.before = late
    with recorder.catalogs() as opened:
        report = apply_plan(plan_rollback(changes_in(done, "report"), opened), catalogs=opened)
    assert recorder.writes.count(("alter", "a")) == 2, "that of the run, and that of the rollback"
    assert live(recorder.server)["a"] == "other"
    assert report.results[0].message == (
        'late; the alias is at "other" now, moved by someone else; a call that was sent may still take effect'
    )
