"""Carrying out a plan: order, waves, re-reads, honest outcomes, and what trouble of every kind is reported as."""

from __future__ import annotations

import time
from threading import Event

import pytest

from reconciler.catalog.memory import Flavour, MemoryServer
from reconciler.core.errors import CallTimedOut, CatalogError, ConnectionFailed, ExitCode, PermissionDenied, RateLimited
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, AliasSet, Connection, OnFailure
from reconciler.core.report import Outcome, Report, StepResult
from reconciler.core.run_events import RunEvent
from reconciler.gates.loaded import LoadedGate
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, live, server
from tests.faults.memory import Recorder


def run(recorder: Recorder, *sets: AliasSet, stop: Event | None = None, keep_going: bool = False) -> Report:
    with recorder.catalogs() as catalogs:
        plan = make_plan(sets, catalogs=catalogs)
        recorder.journal.clear()
        return apply_plan(plan, catalogs=catalogs, stop=stop, keep_going=keep_going)


def outcomes(report: Report) -> dict[str, Outcome]:
    return {result.step.alias: result.outcome for result in report.results}


def message(report: Report, alias: str) -> str:
    return next(result.message or "" for result in report.results if result.step.alias == alias)


class Trouble:
    """A hook that raises an error at the first call of one method on one alias, or at every one."""

    def __init__(self, method: str, alias: str, error: CatalogError, *, times: int = 1) -> None:
        self.method, self.alias, self.error, self.times = method, alias, error, times

    def __call__(self, method: str, alias: str) -> None:
        if (method, alias) == (self.method, self.alias) and self.times:
            self.times -= 1
            raise self.error


def test_create_alter_and_drop_reach_the_wanted_state_with_one_write_each() -> None:
    recorder = Recorder(server("c1", "c2", aliases={"moved": "c1", "gone": "c1", "s_x": "c1", "other": "c1"}))
    desired = alias_set({"new": "c2", "moved": "c2", "gone": None}, include=("s_*",))
    report = run(recorder, desired)
    assert report.exit_code is ExitCode.DONE
    assert live(recorder.server) == {"moved": "c2", "new": "c2", "other": "c1"}
    assert sorted(recorder.writes) == [("alter", "moved"), ("create", "new"), ("drop", "gone"), ("drop", "s_x")]
    again = run(recorder, desired)
    assert (again.exit_code, recorder.writes) == (ExitCode.DONE, [])


def test_each_write_comes_right_after_a_read_of_its_alias() -> None:
    slow = Connection(LOCAL.name, LOCAL.uri, LOCAL.address, concurrency=1)
    recorder = Recorder(server("c1", "c2", aliases={"a": "c1", "b": "c1"}))
    run(recorder, alias_set({"a": "c2", "b": "c2"}, connection=slow))
    assert recorder.journal[:4] == [("resolve", "a"), ("alter", "a"), ("resolve", "b"), ("alter", "b")]


def test_a_wave_starts_when_the_earlier_one_is_done_and_drops_follow_moves() -> None:
    recorder = Recorder(server("c1", "c2", aliases={"a": "c1", "b": "c1", "gone": "c1", "s_x": "c1"}))
    desired = alias_set(
        {}, Alias("a", "c2", wave=2), Alias("b", "c2", wave=1), Alias("gone", None, wave=1), include=("s_*",)
    )
    run(recorder, desired)
    assert recorder.writes == [("alter", "b"), ("drop", "gone"), ("alter", "a"), ("drop", "s_x")]


def test_an_alias_that_moved_since_the_plan_is_left_alone() -> None:
    recorder = Recorder(server("c1", "c2", "c3", aliases={"a": "c1", "b": "c1"}))
    with recorder.catalogs() as catalogs:
        plan = make_plan([alias_set({"a": "c2"}, name="one"), alias_set({"b": "c2"}, name="two")], catalogs=catalogs)
        recorder.server.connect(LOCAL, "default").alter_alias("a", "c3")
        report = apply_plan(plan, catalogs=catalogs)
    assert outcomes(report) == {"a": Outcome.FAILED, "b": Outcome.DONE}
    assert message(report, "a") == 'the alias is at "c3" now, not at "c1" as planned; it was left alone'
    assert live(recorder.server) == {"a": "c3", "b": "c2"}
    assert report.exit_code is ExitCode.INCOMPLETE


@pytest.mark.parametrize("taken_by", ["c1", "c3"])
def test_a_create_that_somebody_else_made_first(taken_by: str) -> None:
    recorder = Recorder(server("c1", "c3"))

    def race(method: str, alias: str) -> None:
        if method == "create":
            recorder.before = lambda method, alias: None
            recorder.server.connect(LOCAL, "default").create_alias("a", taken_by)

    recorder.before = race
    report = run(recorder, alias_set({"a": "c1"}))
    assert live(recorder.server) == {"a": taken_by}
    assert outcomes(report) == {"a": Outcome.DONE if taken_by == "c1" else Outcome.FAILED}


def test_a_step_already_at_its_target_is_a_noop_without_a_write() -> None:
    recorder = Recorder(server("c1", "c2", aliases={"a": "c1", "gone": "c1"}))
    with recorder.catalogs() as catalogs:
        plan = make_plan([alias_set({"a": "c2", "gone": None})], catalogs=catalogs)
        apply_plan(plan, catalogs=catalogs)
        recorder.journal.clear()
        report = apply_plan(plan, catalogs=catalogs)
    assert outcomes(report) == {"a": Outcome.NOOP, "gone": Outcome.NOOP}
    assert (report.exit_code, recorder.writes) == (ExitCode.DONE, [])


def test_a_dangling_alias_is_altered_and_said() -> None:
    made = server("c1", "c2", aliases={"a": "c2"}, flavour=Flavour.MILVUS_2_3)
    made.drop_collection("c2")
    recorder = Recorder(made)
    report = run(recorder, alias_set({"a": "c1"}))
    assert recorder.writes == [("create", "a"), ("alter", "a")]
    assert live(made) == {"a": "c1"}
    assert "was dangling" in message(report, "a")


def dangling(*others: str, **aliases: str) -> MemoryServer:
    """A Milvus 2.3 on which the alias `gone` dangles."""
    made = server("lost", "c1", *others, aliases={"gone": "lost", **aliases}, flavour=Flavour.MILVUS_2_3)
    made.drop_collection("lost")
    return made


def test_an_absent_alias_that_dangles_is_dropped_once() -> None:
    recorder = Recorder(dangling())
    report = run(recorder, alias_set({"gone": None, "never": None}))
    assert (outcomes(report), recorder.writes) == ({"gone": Outcome.DONE}, [("drop", "gone")])
    recorder.server.connect(LOCAL, "default").create_alias("gone", "c1")  # the name is free
    recorder = Recorder(dangling())
    run(recorder, alias_set({"gone": None}))
    again = run(recorder, alias_set({"gone": None}))
    assert (again.exit_code, again.results, recorder.writes) == (ExitCode.DONE, (), [])


def test_an_alias_that_stopped_dangling_since_the_plan() -> None:
    recorder = Recorder(dangling("c2"))
    with recorder.catalogs() as catalogs:
        plan = make_plan([alias_set({"gone": None})], catalogs=catalogs)
        other = recorder.server.connect(LOCAL, "default")
        other.alter_alias("gone", "c2")
        report = apply_plan(plan, catalogs=catalogs)
        assert outcomes(report) == {"gone": Outcome.FAILED}
        assert 'the alias is at "c2" now, not dangling as planned' in message(report, "gone")
        other.drop_alias("gone")
        assert outcomes(apply_plan(plan, catalogs=catalogs)) == {"gone": Outcome.NOOP}
    assert recorder.writes == []


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (PermissionDenied("no"), Outcome.FAILED, ExitCode.ERROR),
        (CallTimedOut("late"), Outcome.FAILED, ExitCode.INCOMPLETE),
    ],
)
def test_a_dangling_alias_whose_drop_failed_is_not_reported_as_gone(
    error: CatalogError, outcome: Outcome, code: ExitCode
) -> None:
    recorder = Recorder(dangling())
    recorder.before = Trouble("drop", "gone", error)
    report = run(recorder, alias_set({"gone": None}))
    assert (outcomes(report), report.exit_code) == ({"gone": outcome}, code)
    assert "the alias is still dangling" in message(report, "gone")


def test_a_server_that_accepts_the_drop_of_a_dangling_alias_and_keeps_it_is_found_out() -> None:
    made = dangling()
    recorder = Recorder(made)
    with made.opened("default") as db:
        kept = db.aliases["gone"]

    def restore(method: str, alias: str) -> None:
        if method == "drop":
            db.aliases["gone"] = kept

    recorder.after = restore
    report = run(recorder, alias_set({"gone": None}))
    assert outcomes(report) == {"gone": Outcome.FAILED}
    assert "still there" in message(report, "gone")


def test_a_dangling_alias_is_not_dropped_where_that_would_lose_longer_names() -> None:
    recorder = Recorder(dangling(gone_too="c1"))
    report = run(recorder, alias_set({"gone": None}))
    assert (outcomes(report), recorder.writes) == ({"gone": Outcome.BLOCKED}, [])
    assert "would lose gone_too" in message(report, "gone")


def test_a_revert_leaves_a_dropped_alias_alone_that_dangled() -> None:
    recorder = Recorder(dangling("c2", a="c1"))
    recorder.before = Trouble("alter", "a", PermissionDenied("no"))
    desired = alias_set({"gone": None}, Alias("a", "c2", wave=1), on_failure=OnFailure.REVERT)
    report = run(recorder, desired)
    assert outcomes(report) == {"gone": Outcome.DONE, "a": Outcome.FAILED}
    assert (report.exit_code, recorder.writes) == (ExitCode.INCOMPLETE, [("drop", "gone"), ("alter", "a")])


@pytest.mark.parametrize("error", [ConnectionFailed("cut"), CallTimedOut("late")])
def test_a_call_that_acted_and_then_failed_is_read_back_and_not_repeated(error: CatalogError) -> None:
    recorder = Recorder(server("c1", "c2", aliases={"a": "c1"}))
    recorder.after = Trouble("alter", "a", error)
    report = run(recorder, alias_set({"a": "c2"}))
    assert outcomes(report) == {"a": Outcome.DONE}
    assert recorder.writes == [("alter", "a")]
    assert "the alias is where it should be" in message(report, "a")


def test_a_call_that_failed_before_it_acted_is_failed_and_not_repeated() -> None:
    recorder = Recorder(server("c1", "c2", aliases={"a": "c1"}))
    recorder.before = Trouble("alter", "a", ConnectionFailed("cut"))
    report = run(recorder, alias_set({"a": "c2"}))
    assert outcomes(report) == {"a": Outcome.FAILED}
    assert recorder.writes == [("alter", "a")]
    assert 'still at "c1"; a call that was sent may still take effect' in message(report, "a")
    assert report.exit_code is ExitCode.INCOMPLETE, "it may have been written by now"


def test_a_call_that_the_server_refused_is_failed_and_no_write() -> None:
    recorder = Recorder(server("c1", "c2", aliases={"a": "c1"}))
    recorder.before = Trouble("alter", "a", PermissionDenied("the privilege CreateAlias is missing"))
    report = run(recorder, alias_set({"a": "c2"}))
    assert outcomes(report) == {"a": Outcome.FAILED}
    assert message(report, "a") == 'the privilege CreateAlias is missing; the alias is still at "c1"'
    assert report.exit_code is ExitCode.ERROR


def test_an_unreadable_fate_is_unknown_and_counts_as_a_write() -> None:
    recorder = Recorder(server("c1", "c2", aliases={"a": "c1"}))

    def cut_for_good(method: str, alias: str) -> None:
        recorder.before = Trouble("resolve", "a", ConnectionFailed("gone"), times=9)
        raise ConnectionFailed("cut")

    recorder.after = cut_for_good
    report = run(recorder, alias_set({"a": "c2"}))
    assert outcomes(report) == {"a": Outcome.UNKNOWN}
    assert report.exit_code is ExitCode.INCOMPLETE


def test_somebody_elses_move_during_a_failed_call_is_told_apart() -> None:
    recorder = Recorder(server("c1", "c2", "c3", aliases={"a": "c1"}))

    def other_hand(method: str, alias: str) -> None:
        if method == "alter":
            recorder.before = lambda method, alias: None
            recorder.server.connect(LOCAL, "default").alter_alias("a", "c3")
            raise CallTimedOut("late")

    recorder.before = other_hand
    report = run(recorder, alias_set({"a": "c2"}))
    moved = 'late; the alias is at "c3" now, moved by someone else; a call that was sent may still take effect'
    assert message(report, "a") == moved
    assert report.exit_code is ExitCode.INCOMPLETE, "our call may have come before theirs"
    assert live(recorder.server) == {"a": "c3"}


@pytest.mark.parametrize("on_failure", OnFailure)
def test_a_refused_call_wrote_nothing_even_if_the_alias_cannot_be_read_then(on_failure: OnFailure) -> None:
    """Someone else moves the alias where we would have: that is no change of ours to revert."""
    recorder = Recorder(server("c1", "c2", aliases={"a": "c1"}))
    refused = False

    def refuse(method: str, alias: str) -> None:
        nonlocal refused
        if method == "alter":
            refused = True
            recorder.server.connect(LOCAL, "default").alter_alias("a", "c2")
            raise PermissionDenied("no")
        if refused and method == "resolve":
            refused = False
            raise ConnectionFailed("cut")

    recorder.before = refuse
    report = run(recorder, alias_set({"a": "c2"}, on_failure=on_failure))
    assert (outcomes(report), report.exit_code, report.wrote) == ({"a": Outcome.FAILED}, ExitCode.ERROR, False)
    assert message(report, "a") == "no; and the alias could not be read back: cut"
    assert live(recorder.server) == {"a": "c2"}


def test_a_create_of_what_exists_wrote_nothing_even_if_the_alias_cannot_be_read_then() -> None:
    recorder = Recorder(server("c1", "c2"))

    def overtake(method: str, alias: str) -> None:
        if method == "create":
            recorder.before = Trouble("resolve", "a", ConnectionFailed("cut"), times=2)
            recorder.server.connect(LOCAL, "default").create_alias("a", "c2")

    recorder.before = overtake
    report = run(recorder, alias_set({"a": "c1"}))
    assert (report.results[0].code, report.exit_code, report.wrote) == ("AliasAlreadyExists", ExitCode.ERROR, False)


def test_a_create_of_what_exists_says_where_it_is_even_if_the_alias_cannot_be_read_again() -> None:
    recorder = Recorder(server("c1", "c2"))

    def cut(method: str, alias: str) -> None:
        recorder.before = Trouble("resolve", "a", ConnectionFailed("cut"), times=1)

    def overtake(method: str, alias: str) -> None:
        if method == "create":
            recorder.before = cut
            recorder.server.connect(LOCAL, "default").create_alias("a", "c2")

    recorder.before = overtake
    report = run(recorder, alias_set({"a": "c1"}))
    assert message(report, "a") == 'there is an alias a, at "c2"; and the alias could not be read back: cut'


def test_not_now_is_tried_again_after_another_read() -> None:
    recorder = Recorder(server("c1", "c2", aliases={"a": "c1"}))
    recorder.before = Trouble("alter", "a", RateLimited("busy"), times=2)
    report = run(recorder, alias_set({"a": "c2"}))
    assert outcomes(report) == {"a": Outcome.DONE}
    assert recorder.journal[:6] == [("resolve", "a"), ("alter", "a")] * 3


def test_a_failed_step_stops_what_has_not_started_in_its_set_and_no_other_set() -> None:
    recorder = Recorder(server("c1", "c2", aliases=dict.fromkeys("abxyz", "c1")))
    recorder.before = Trouble("alter", "a", ConnectionFailed("cut"))
    report = run(
        recorder,
        alias_set({"a": "c2", "x": None}, Alias("b", "c2", wave=1), name="one"),
        alias_set({"y": "c2"}, Alias("z", "c2", wave=1), name="two"),
    )
    assert outcomes(report) == {
        "a": Outcome.FAILED,
        "x": Outcome.NOT_ATTEMPTED,
        "b": Outcome.NOT_ATTEMPTED,
        "y": Outcome.DONE,
        "z": Outcome.DONE,
    }
    assert report.exit_code is ExitCode.INCOMPLETE


def test_a_blocked_alias_blocks_itself_and_later_waves_only() -> None:
    recorder = Recorder(server("c1", "c2", aliases={"ok": "c1", "later": "c1", "s_x": "c1"}))
    desired = alias_set({"bad": "nope", "ok": "c2"}, Alias("later", "c2", wave=1), include=("s_*",))
    report = run(recorder, desired)
    assert outcomes(report) == {
        "bad": Outcome.BLOCKED,
        "ok": Outcome.DONE,
        "later": Outcome.BLOCKED,
        "s_x": Outcome.BLOCKED,
    }
    assert report.exit_code is ExitCode.INCOMPLETE


def test_all_blocked_is_a_refusal_without_a_write() -> None:
    recorder = Recorder(server("c1", aliases={"a": "c1"}))
    report = run(recorder, alias_set({"a": "nope", "b": "nope"}))
    assert (report.exit_code, recorder.writes) == (ExitCode.REFUSED, [])


def test_a_guards_refusal_of_one_set_keeps_every_set_from_writing() -> None:
    recorder = Recorder(server("c1", "c2", aliases={"a": "c1", "s_x": "c1"}))
    report = run(recorder, alias_set({"a": "c2"}, name="good"), alias_set({}, name="vanished", include=("s_*",)))
    assert (report.exit_code, recorder.writes) == (ExitCode.REFUSED, [])
    assert set(outcomes(report).values()) == {Outcome.NOT_ATTEMPTED}


def test_a_gate_is_asked_again_right_before_its_wave() -> None:
    recorder = Recorder(server("c1", "c2", aliases={"a": "c1", "b": "c1", "c": "c1"}))

    def release_after_first_wave(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "a"):
            recorder.server.release("c2")

    recorder.after = release_after_first_wave
    gates = Gates(LoadedGate())
    desired = alias_set(
        {}, Alias("a", "c2"), Alias("b", "c2", wave=1, gates=gates), Alias("c", "c1", wave=2), name="one"
    )
    report = run(recorder, desired)
    assert outcomes(report) == {"a": Outcome.DONE, "b": Outcome.BLOCKED}
    assert message(report, "b") == "loaded: c2 is not loaded; load it first"
    assert live(recorder.server) == {"a": "c2", "b": "c1", "c": "c1"}


def test_a_change_between_call_and_read_back_is_found() -> None:
    recorder = Recorder(server("c1", "c2", "c3", aliases={"a": "c1", "gone": "c1"}))

    def other_hand(method: str, alias: str) -> None:
        catalog = recorder.server.connect(LOCAL, "default")
        if method == "drop":
            catalog.create_alias("gone", "c3")
            catalog.alter_alias("a", "c3")

    recorder.after = other_hand
    report = run(recorder, alias_set({"a": "c2", "gone": None}))
    assert outcomes(report) == {"a": Outcome.FAILED, "gone": Outcome.FAILED}
    assert message(report, "a") == 'the server accepted the call, yet the alias is at "c3" now'
    assert report.results[0].code == "VerifyMismatch"
    assert report.exit_code is ExitCode.INCOMPLETE, "something was written, though it did not last"


def test_a_stop_finishes_the_call_in_flight_and_starts_no_other() -> None:
    slow = Connection(LOCAL.name, LOCAL.uri, LOCAL.address, concurrency=1)
    recorder = Recorder(server("c1", "c2", aliases=dict.fromkeys("abc", "c1")))
    stop = Event()
    recorder.before = lambda method, alias: stop.set() if (method, alias) == ("alter", "a") else None
    report = run(recorder, alias_set(dict.fromkeys("abc", "c2"), connection=slow), stop=stop)
    assert outcomes(report) == {"a": Outcome.DONE, "b": Outcome.NOT_ATTEMPTED, "c": Outcome.NOT_ATTEMPTED}
    assert report.interrupted
    assert report.exit_code is ExitCode.INCOMPLETE


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_failed_database_stops_the_later_ones_unless_told_otherwise(keep_going: bool) -> None:
    made = server("c1", "c2", aliases={"a": "c1"})
    made.create_database("zoo")
    for name in ("c1", "c2"):
        made.create_collection(name, "zoo")
    recorder = Recorder(made)
    recorder.before = Trouble("alter", "a", PermissionDenied("no"))
    report = run(
        recorder,
        alias_set({"a": "c2"}, name="first"),
        alias_set({"b": "c1"}, name="second", database="zoo"),
        keep_going=keep_going,
    )
    assert outcomes(report) == {"a": Outcome.FAILED, "b": Outcome.DONE if keep_going else Outcome.NOT_ATTEMPTED}
    assert report.exit_code is (ExitCode.INCOMPLETE if keep_going else ExitCode.ERROR)


def test_a_caller_that_goes_away_leaves_nothing_running_on() -> None:
    slow = Connection(LOCAL.name, LOCAL.uri, LOCAL.address, concurrency=1)
    recorder = Recorder(server("c1", "c2", aliases=dict.fromkeys("abcdef", "c1")))

    recorder.before = lambda method, alias: time.sleep(0.3) if (method, alias) == ("alter", "b") else None

    def go_away(event: RunEvent) -> None:
        if isinstance(event, StepResult):
            raise KeyboardInterrupt

    with recorder.catalogs() as catalogs:
        plan = make_plan([alias_set(dict.fromkeys("abcdef", "c2"), connection=slow)], catalogs=catalogs)
        with pytest.raises(KeyboardInterrupt):
            apply_plan(plan, catalogs=catalogs, on_event=go_away)
    assert len(recorder.writes) <= 2, "a is done, b may be in flight"


def test_a_secondary_cluster_refuses_and_nothing_may_take_effect_later() -> None:
    made = server("v1", "v2", aliases={"moved": "v1", "dropped": "v1"})
    made.secondary = True
    before = live(made)
    recorder = Recorder(made)
    with recorder.catalogs() as opened:
        plan = make_plan([alias_set({"moved": "v2", "dropped": None, "new": "v1"})], catalogs=opened)
        report = apply_plan(plan, catalogs=opened)
    assert (report.exit_code, report.wrote, live(made)) == (ExitCode.ERROR, False, before)
    failed = [result for result in report.results if result.outcome is Outcome.FAILED]
    assert {result.code for result in failed} == {"NotPrimary"}
    assert all("may still take effect" not in (result.message or "") for result in failed)
