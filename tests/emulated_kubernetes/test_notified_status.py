"""What a status keeps of notifications: the events of a change, once, within bounds."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from reconciler.core.model import AliasSet, Connection, EventType, Receiver
from reconciler.core.plan import Plan
from reconciler.core.reasons import Reason
from reconciler.manifest.specs.status import MAX_NOTIFICATIONS, MAX_NOTIFICATIONS_OF_LARGE_SET, status
from reconciler.operator.finding import Finding
from reconciler.operator.notifications import after, waiting, without
from reconciler.operator.objects import SetObject
from tests.builders import server
from tests.emulated_kubernetes.emulator import Object
from tests.emulated_kubernetes.findings import an_object, desired, look, plan_for
from tests.faults.memory import Recorder

EARLY, LATE = "2026-11-24T04:00:00.000Z", "2026-11-24T05:00:00.000Z"
AUDIT = Receiver(name="audit", uri="http://audit")
ADDRESS = "milvus:19530"


def notifying(aliases: dict[str, str | None], *receivers: Receiver) -> AliasSet:
    item = desired(aliases)
    assert isinstance(item.connection, Connection)
    return replace(item, connection=replace(item.connection, notify=receivers or (AUDIT,)))


def updated(set_object: SetObject, finding: Finding, now: str = EARLY) -> SetObject:
    """The set with its next status, which the API server would accept."""
    notifications = after(set_object, finding, now)
    if notifications:
        schema = status("AliasSet")["properties"]["notifications"]
        Draft202012Validator(schema).validate(notifications)
    return replace(set_object, status={"notifications": notifications} if notifications else {})


def about_to(item: AliasSet, plan: Plan, run: str = "r1") -> Finding:
    return Finding(Reason.PROGRESSING, "", desired=item, plan=plan, run=run)


def applied(set_object: SetObject, item: AliasSet, recorder: Recorder, *, fail: tuple[str, ...] = ()) -> SetObject:
    """Do as the operator: write the status before the run and after it."""
    set_object = updated(set_object, about_to(item, plan_for(item, recorder.catalogs())))
    return updated(set_object, look(item, recorder, fail=fail))


def told(set_object: SetObject, receiver: str = "audit") -> list[tuple[str, str]]:
    return [(item.alias, str(item.type)) for _, item in waiting(set_object, ADDRESS, receiver)]


def test_a_run_is_reported_with_what_moved_and_what_failed_and_the_next_look_adds_nothing() -> None:
    recorder = Recorder(server("v1", "v2", aliases={"a": "v1", "b": "v1", "c": "v1"}))
    item = notifying(dict.fromkeys("abc", "v2"))
    stored = applied(an_object(), item, recorder, fail=("b",))
    *moved, last = told(stored)  # others may move before the failure stops the run
    assert {event for _, event in moved} <= {"moved"}
    assert last == ("b", "failed")
    again = updated(stored, look(item, recorder, fail=("b",)), LATE)
    assert [event for alias, event in told(again) if alias == "b"] == ["failed"]


def test_a_move_whose_end_was_never_written_is_reported_by_the_next_look() -> None:
    recorder = Recorder(server("v1", "v2", aliases={"a": "v1"}))
    item = notifying({"a": "v2"})
    stored = updated(an_object(), about_to(item, plan_for(item, recorder.catalogs()), run="r7"))
    assert told(stored) == []
    look(item, recorder)  # and the process dies
    stored = updated(stored, look(item, recorder), LATE)
    [(_, notification)] = waiting(stored, ADDRESS, "audit")
    assert (notification.type, notification.run) == (EventType.MOVED, "r7")
    assert (notification.current, notification.desired) == ("v1", "v2")


def test_a_status_that_is_written_twice_has_the_same_ids() -> None:
    recorder = Recorder(server("v1", "v2", aliases={"a": "v1"}))
    item = notifying({"a": "v2"})
    before = updated(an_object(), about_to(item, plan_for(item, recorder.catalogs())))
    finding = look(item, recorder)
    first, second = (list(waiting(updated(before, finding, now), ADDRESS, "audit")) for now in (EARLY, LATE))
    assert [item.id for _, item in first] == [item.id for _, item in second]


def test_each_receiver_waits_for_itself_and_for_its_events() -> None:
    recorder = Recorder(server("v1", "v2", aliases={"a": "v1", "b": "v1"}))
    item = notifying({"a": "v2", "b": "v2"}, AUDIT, Receiver(name="pager", uri="http://p", events=(EventType.FAILED,)))
    stored = applied(an_object(), item, recorder, fail=("b",))
    assert told(stored, "pager") == [("b", "failed")]
    left = without(stored, ADDRESS, "audit", lambda _: True)
    assert told(replace(stored, status={"notifications": left}), "audit") == []
    assert told(replace(stored, status={"notifications": left}), "pager") == [("b", "failed")]


def test_an_entry_of_which_one_alias_is_not_delivered_stays() -> None:
    recorder = Recorder(server("v1", "v2", aliases={"a": "v1", "b": "v1"}))
    stored = applied(an_object(), notifying({"a": "v2", "b": "v2"}), recorder)
    (_, first), *_ = waiting(stored, ADDRESS, "audit")
    assert without(stored, ADDRESS, "audit", lambda found: found == first.id) == stored.status["notifications"]


def test_numbers_grow_although_the_clock_goes_back() -> None:
    recorder = Recorder(server("v1", "v2", "v3", aliases={"a": "v1"}))
    stored = an_object()
    for collection, now in (("v2", LATE), ("v3", EARLY)):
        item = notifying({"a": collection})
        stored = updated(stored, about_to(item, plan_for(item, recorder.catalogs())), now)
        stored = updated(stored, look(item, recorder), now)
    numbers, found = zip(*waiting(stored, ADDRESS, "audit"), strict=True)
    assert [item.desired for item in found] == ["v2", "v3"]
    assert sorted(set(numbers)) == list(numbers)


def test_without_a_receiver_nothing_is_kept() -> None:
    recorder = Recorder(server("v1", "v2", aliases={"a": "v1"}))
    stored = applied(an_object(), notifying({"a": "v2"}), recorder)
    assert told(stored)
    item = desired({"a": "v2"})
    assert updated(stored, look(item, recorder)).status == {}


@pytest.mark.parametrize(
    ("length", "limit", "loses"), [(30, MAX_NOTIFICATIONS, False), (250, MAX_NOTIFICATIONS_OF_LARGE_SET, True)]
)
def test_the_cut_over_of_a_thousand_aliases_is_bounded(length: int, limit: int, *, loses: bool) -> None:
    names = [f"alias_{number:0{length - 6}d}" for number in range(1000)]
    recorder = Recorder(server("v1", "v2", aliases=dict.fromkeys(names, "v1")))
    stored = applied(an_object(), notifying(dict.fromkeys(names, "v2")), recorder)
    notifications: Object = dict(stored.status["notifications"])  # type: ignore[call-overload]
    assert len(json.dumps(notifications)) <= limit
    assert (len(told(stored)) < 1000) is loses


def test_what_exceeds_the_bound_is_dropped_oldest_first_and_counted() -> None:
    names = [f"alias_{number:0100d}" for number in range(300)]
    recorder = Recorder(server("v1", "v2", "v3", aliases=dict.fromkeys(names, "v1")))
    stored = an_object()
    for collection in ("v2", "v3", "v2", "v3", "v2"):
        stored = applied(stored, notifying(dict.fromkeys(names, collection)), recorder)
    left = [item for _, item in waiting(stored, ADDRESS, "audit")]
    notifications: Object = dict(stored.status["notifications"])  # type: ignore[call-overload]
    assert len(json.dumps(notifications)) <= MAX_NOTIFICATIONS
    assert notifications["dropped"] == 1500 - len(left) > 0
    assert [item.alias for item in left[-300:]] == names
    assert {item.desired for item in left[-300:]} == {"v2"}
