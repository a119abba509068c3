"""Which notifications runs and plans produce: one for each change of state, none while it lasts, none lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.core.errors import ConnectionFailed
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, EventType, OnFailure, Propagation, Receiver, Verify
from reconciler.core.notifications import FINE, ended, planned, up_to_date
from reconciler.core.plan import Step
from reconciler.core.report import Outcome, Propagated, Reach, StepResult
from reconciler.gates.rows import RowsGate
from reconciler.journal import Origins, outbox
from reconciler.journal.database import Writer
from reconciler.journal.outbox import Outbox
from tests.builders import LOCAL
from tests.journals import rows
from tests.notify.scene import AUDIT, Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_move_is_reported_with_its_ends_and_its_run(scene: Scene) -> None:
    report = scene.apply(scene.desired({"a": "v2", "b": "v1"}))
    [event] = scene.waiting()
    assert (event.type, event.alias, event.current, event.desired) == ("moved", "a", "v1", "v2")
    assert (event.run, event.command, event.set, event.connection) == (report.run, "apply", "shop", "local")
    assert event.plan_digest == report.plan.digest


def test_a_created_and_a_dropped_alias_have_one_end(scene: Scene) -> None:
    scene.apply(scene.desired({"new": "v2", "a": None}))
    assert {(event.alias, event.current, event.desired) for event in scene.waiting()} == {
        ("new", None, "v2"),
        ("a", "v1", None),
    }


def test_nothing_is_reported_of_what_is_up_to_date(scene: Scene) -> None:
    scene.apply(scene.desired({"a": "v1"}))
    assert scene.drained() == []


def test_a_verified_move_is_reported_as_such(scene: Scene) -> None:
    scene.verify = Verify(soak=0.01)
    scene.apply(scene.desired({"a": "v2"}))
    assert scene.drained() == [("a", "moved"), ("a", "verified")]


@pytest.mark.parametrize("reach", list(Reach))
def test_only_what_reads_have_proved_is_reported_as_verified(reach: Reach) -> None:
    proof = Propagated("localhost:19530", reach)
    result = StepResult(Step("shop", "a", "v1", "v2"), Outcome.DONE, propagation=(proof,))
    _, events = ended(FINE, result, Verify(propagation=Propagation()))
    assert [event.type for event in events] == ([EventType.VERIFIED] if reach is Reach.VERIFIED else [])


def test_a_blocked_alias_is_reported_once_until_it_recovers(scene: Scene) -> None:
    wrong = scene.desired({"a": "missing"})
    for _ in range(5):
        scene.apply(wrong)
    [event] = scene.waiting()
    assert (event.type, event.reason, event.desired) == ("blocked", "collectionMissing", "missing")
    assert scene.drained() == [("a", "blocked")]
    scene.made.create_collection("missing")
    scene.apply(wrong)
    assert scene.drained() == [("a", "moved"), ("a", "recovered")]
    scene.apply(wrong)
    assert scene.drained() == []


def test_a_blocked_alias_recovers_when_nothing_is_to_be_done_any_more(scene: Scene) -> None:
    scene.look(scene.desired({"a": "missing"}))
    scene.drained()
    scene.look(scene.desired({"a": "v1"}))
    assert scene.drained() == [("a", "recovered")]


def test_a_blocked_alias_that_leaves_its_set_is_no_problem_any_more(scene: Scene) -> None:
    scene.look(scene.desired({"a": "missing"}))
    scene.drained()
    scene.look(scene.desired({"b": "v1"}))
    [event] = scene.waiting()
    assert (event.type, event.alias, event.desired) == ("recovered", "a", None)


def test_another_reason_is_another_state(scene: Scene) -> None:
    scene.look(scene.desired({"a": "missing"}))
    scene.look(scene.desired({}, Alias("a", "v2", gates=Gates(RowsGate(min=1)))))
    assert [event.reason for event in scene.waiting()] == ["collectionMissing", "gateFailed"]


def test_an_alias_that_only_waits_for_an_earlier_wave_is_not_reported(scene: Scene) -> None:
    scene.look(scene.desired({}, Alias("a", "missing"), Alias("b", "v2", wave=1)))
    assert scene.drained() == [("a", "blocked")]


def test_a_limit_blocks(scene: Scene) -> None:
    desired = scene.desired({"a": None, "b": None})
    desired = replace(desired, limits=replace(desired.limits, max_drops=1))
    scene.apply(desired)
    scene.apply(desired)
    assert {event.reason for event in scene.waiting()} == {"limitExceeded"}
    assert scene.drained() == [("a", "blocked"), ("b", "blocked")]


def test_a_failed_call_is_reported_once_although_it_is_retried(scene: Scene) -> None:
    def fail(method: str, _: str) -> None:
        if method == "alter":
            raise ConnectionFailed("cut")

    scene.recorder.before = fail
    desired = scene.desired({"a": "v2"})
    for _ in range(3):
        scene.apply(desired)
    assert scene.drained() == [("a", "failed")]
    scene.recorder.before = lambda *_: None
    scene.apply(desired)
    assert scene.drained() == [("a", "moved"), ("a", "recovered")]


def test_a_revert_is_reported_for_each_alias_and_its_rejection_is_not(scene: Scene) -> None:
    def fail(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "b"):
            raise ConnectionFailed("cut")

    desired = scene.desired({}, Alias("a", "v2"), Alias("b", "v2", wave=1), on_failure=OnFailure.REVERT)
    scene.recorder.before = fail
    scene.apply(desired)
    events = {event.type: event for event in scene.waiting() if event.alias == "a"}
    assert (events[EventType.REVERTED].current, events[EventType.REVERTED].desired) == ("v2", "v1")
    assert [event for event in scene.drained() if event[0] == "a"] == [("a", "moved"), ("a", "reverted")]
    scene.apply(desired)
    assert [event for event in scene.drained() if event[0] == "a"] == []


def test_what_somebody_else_moved_is_reported_as_drift_once(scene: Scene) -> None:
    scene.apply(scene.desired({"a": "v2"}))
    scene.drained()
    scene.made.connect(LOCAL, "default").alter_alias("a", "v3")
    scene.look(scene.desired({"a": "v2"}))
    scene.look(scene.desired({"a": "v2"}))
    [event] = scene.waiting()
    assert (event.type, event.current, event.desired) == ("drifted", "v2", "v3")
    scene.drained()
    scene.apply(scene.desired({"a": "v2"}))
    assert scene.drained() == [("a", "moved"), ("a", "recovered")]


def test_drift_that_is_blocked_does_not_alternate(scene: Scene) -> None:
    scene.apply(scene.desired({"a": "v2"}))
    scene.drained()
    scene.made.connect(LOCAL, "default").alter_alias("a", "v3")
    guarded = scene.desired({}, Alias("a", "v2", gates=Gates(RowsGate(min=1))))
    for _ in range(3):
        scene.look(guarded)
    assert scene.drained() == [("a", "drifted"), ("a", "blocked")]


class Died(BaseException):
    """The process ends here."""


def test_a_move_whose_run_died_before_its_result_is_reported_by_the_next_one(scene: Scene) -> None:
    def die(method: str, _: str) -> None:
        if method == "alter":
            raise Died

    scene.recorder.after = die
    desired = scene.desired({"a": "v2"})
    with pytest.raises(Died):
        scene.apply(desired)
    assert scene.drained() == []
    scene.recorder.after = lambda *_: None
    scene.look(desired)
    [event] = scene.waiting()
    [run] = scene.journal.runs()
    assert (event.type, event.alias, event.run) == ("moved", "a", run.id)
    scene.look(desired)
    assert len(scene.waiting()) == 1


def test_a_move_that_never_happened_is_not_reported(scene: Scene) -> None:
    def die(method: str, _: str) -> None:
        if method == "alter":
            raise Died

    scene.recorder.before = die
    with pytest.raises(Died):
        scene.apply(scene.desired({"a": "v2"}))
    scene.recorder.before = lambda *_: None
    scene.look(scene.desired({"a": "v1"}))
    assert scene.drained() == []


def test_each_receiver_gets_what_it_takes(tmp_path: Path) -> None:
    failures = Receiver(name="failures", uri="http://127.0.0.1:9/", events=(EventType.FAILED, EventType.BLOCKED))
    scene = Scene(tmp_path, AUDIT, failures)
    scene.apply(scene.desired({"a": "missing", "b": "v2"}))
    assert scene.drained() == [("a", "blocked"), ("b", "moved")]
    assert scene.drained(failures) == [("a", "blocked")]


def test_a_run_without_receivers_adds_no_table(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.connection = LOCAL
    scene.apply(scene.desired({"a": "v2"}))
    tables = {name for (name,) in rows(scene.journal.path, "SELECT name FROM sqlite_master")}
    assert not tables & {"outbox", "notified", "receiver"}


def test_more_than_the_bound_drops_the_oldest_and_counts_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 20)
    scene.look(scene.desired({"a": "missing"}))
    [first] = scene.waiting()
    writer = Writer(scene.journal.path)

    def fill(connection: sqlite3.Connection) -> None:
        for _ in range(20):
            outbox.put(connection, LOCAL.address, AUDIT, "event", "{}")

    writer.write(fill)
    writer.close()
    assert Outbox(scene.journal.path, LOCAL.address, AUDIT).count() == 20
    assert first not in scene.waiting()
    assert rows(scene.journal.path, "SELECT dropped FROM receiver") == [(1,)]


def test_what_waited_for_too_long_is_dropped(scene: Scene) -> None:
    scene.look(scene.desired({"a": "missing"}))
    rows(scene.journal.path, "UPDATE outbox SET time = time - 8 * 86400")
    scene.look(scene.desired({"a": "missing", "b": "missing"}))
    assert [event.alias for event in scene.waiting()] == ["b"]
    assert rows(scene.journal.path, "SELECT dropped FROM receiver") == [(1,)]


def test_a_saved_plan_says_nothing_of_aliases_that_it_does_not_have(scene: Scene) -> None:
    scene.look(scene.desired({"a": "missing"}))
    scene.drained()
    scene.journal.notify(scene.plan(scene.desired({"b": "v2"})), Origins.of_this_process())
    assert scene.drained() == []


def test_a_step_that_waits_for_approval_is_reported_once_and_is_nothing_to_recover_from() -> None:
    step = Step("shop", "a", "v1", "v2")
    state, [event] = planned(FINE, step, drifted=False, approval="approve it")
    assert (event.type, event.message) == (EventType.APPROVAL_REQUIRED, "approve it")
    assert planned(state, step, drifted=False, approval="approve another plan") == (state, ())
    assert up_to_date(state, "v2") == (FINE, ())
    assert ended(state, StepResult(step, Outcome.DONE), Verify()) == (FINE, ())
