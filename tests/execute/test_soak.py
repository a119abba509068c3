"""The soak: what goes wrong with a wave while it is watched fails it, and a hiccup does not."""

from __future__ import annotations

import time
from threading import Event

import pytest
from msgspec.structs import replace

from reconciler.core.errors import ConnectionFailed, ExitCode, PermissionDenied
from reconciler.core.model import Alias, OnFailure, Verify
from reconciler.core.report import Outcome, Report
from reconciler.execute import soak
from reconciler.execute.context import Halt
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, live, server
from tests.faults.memory import Hook, Recorder

SOAK = Verify(soak=0.6)
ROW = {"id": 1, "vector": (0.0, 0.0, 0.0, 1.0)}


def shop() -> Recorder:
    made = server("old", "new", aliases={"a": "old", "b": "old"})
    for collection in ("old", "new"):
        made.insert(collection, [ROW])
    return Recorder(made)


def moved(
    recorder: Recorder, *, after: Hook, on_failure: OnFailure = OnFailure.REVERT, stop: Event | None = None
) -> Report:
    """Move `a`, watch it, then move `b`; `after` is a hook that is in place once `a` has moved."""
    recorder.after = lambda method, alias: setattr(recorder, "before", after)
    desired = alias_set({"a": "new"}, Alias("b", "new", wave=1), verify=SOAK, on_failure=on_failure)
    with recorder.catalogs() as opened:
        return apply_plan(make_plan([desired], catalogs=opened), catalogs=opened, stop=stop)


def quiet(method: str, name: str) -> None:
    """Nothing goes wrong."""


def outcomes(report: Report) -> dict[str, Outcome]:
    return {result.step.alias: result.outcome for result in report.results}


def test_a_quiet_soak_lets_the_next_wave_start() -> None:
    recorder = shop()
    report = moved(recorder, after=quiet)
    assert (report.exit_code, live(recorder.server)) == (ExitCode.DONE, {"a": "new", "b": "new"})


def released(recorder: Recorder) -> Hook:
    return lambda method, name: recorder.server.release("new")


def reads_fail(recorder: Recorder) -> Hook:
    def fail(method: str, name: str) -> None:
        if (method, name) == ("sample_keys", "a"):
            raise PermissionDenied("no grant on a")

    return fail


def taken_away(recorder: Recorder) -> Hook:
    recorder.server.create_collection("theirs")

    def take(method: str, name: str) -> None:
        if method == "sample_keys":
            recorder.server.connect(LOCAL, "default").alter_alias("a", "theirs")

    return take


@pytest.mark.parametrize(
    ("trouble", "reason", "ends_at"),
    [
        (released, "new is not loaded", "old"),
        (reads_fail, "a read through the alias failed: no grant on a", "old"),
        (taken_away, 'someone else moved the alias; it is at "theirs" now', "theirs"),
    ],
)
def test_what_goes_wrong_while_it_is_watched_is_undone(trouble: object, reason: str, ends_at: str) -> None:
    recorder = shop()
    report = moved(recorder, after=trouble(recorder))  # type: ignore[operator]
    ends = outcomes(report)
    assert ends == {"a": Outcome.REVERTED if ends_at == "old" else Outcome.FAILED, "b": Outcome.NOT_ATTEMPTED}
    assert reason in (report.results[0].message or "")
    assert live(recorder.server) == {"a": ends_at, "b": "old"}
    assert report.exit_code is ExitCode.INCOMPLETE


def test_with_stop_the_alias_stays_and_the_next_wave_does_not_start() -> None:
    recorder = shop()
    report = moved(recorder, after=reads_fail(recorder), on_failure=OnFailure.STOP)
    assert outcomes(report) == {"a": Outcome.FAILED, "b": Outcome.NOT_ATTEMPTED}
    assert (report.results[0].code, live(recorder.server)) == ("SoakFailed", {"a": "new", "b": "old"})


def test_one_bad_probe_is_a_hiccup() -> None:
    recorder = shop()
    hiccups = iter([1])

    def hiccup(method: str, name: str) -> None:
        if (method, name) == ("sample_keys", "a") and next(hiccups, None):
            raise PermissionDenied("for a moment")

    assert moved(recorder, after=hiccup).exit_code is ExitCode.DONE


@pytest.mark.parametrize(("for_good", "code"), [(False, ExitCode.DONE), (True, ExitCode.INCOMPLETE)])
def test_a_server_out_of_reach_is_held_against_the_collection_only_at_the_end(for_good: bool, code: ExitCode) -> None:
    recorder = shop()
    outage = iter([1, 1, 1])

    def cut(method: str, name: str) -> None:
        if method == "load_state" and (for_good or next(outage, None)):
            raise ConnectionFailed("cannot reach it")

    assert moved(recorder, after=cut, on_failure=OnFailure.STOP).exit_code is code


def test_a_soak_that_is_cut_short_leaves_the_alias_and_says_so() -> None:
    recorder, stop = shop(), Event()
    report = moved(recorder, after=lambda method, name: stop.set(), stop=stop)
    assert outcomes(report) == {"a": Outcome.DONE, "b": Outcome.NOT_ATTEMPTED}
    assert "the soak was interrupted" in (report.results[0].message or "")
    assert report.exit_code is ExitCode.INCOMPLETE
    assert live(recorder.server)["a"] == "new"


def test_a_probe_that_is_cut_short_asks_nothing_further() -> None:
    names = {f"a{number}": "new" for number in range(40)}
    recorder, stop = Recorder(server("old", "new", aliases=dict.fromkeys(names, "old"))), Event()
    late: list[str] = []

    def interrupt(method: str, name: str) -> None:
        if stop.is_set():
            late.append(name)
        if method == "sample_keys" and name in names:
            time.sleep(0.01)
            stop.set()

    recorder.before = interrupt
    with recorder.catalogs() as opened:
        plan = make_plan([alias_set(names, verify=Verify(soak=600))], catalogs=opened)
        report = apply_plan(plan, catalogs=opened, stop=stop)
    assert len(late) <= LOCAL.concurrency
    assert {(result.outcome, result.code) for result in report.results} == {(Outcome.DONE, "SoakInterrupted")}


def test_what_a_probe_takes_is_no_pause_besides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(soak, "PROBES", 2)
    pauses: list[float] = []
    monkeypatch.setattr(Halt, "pause", lambda halt, seconds: pauses.append(seconds))
    recorder = shop()
    with recorder.catalogs() as opened:
        plan = make_plan([alias_set({"a": "new"}, verify=Verify(soak=0.5))], catalogs=opened)
        recorder.before = lambda method, name: time.sleep(0.15 if (method, name) == ("sample_keys", "a") else 0)
        assert apply_plan(plan, catalogs=opened).exit_code is ExitCode.DONE
    assert pauses
    assert max(pauses) <= 0.1, "0.25 s between two probes, and each takes 0.15"


def test_a_bad_probe_before_the_server_is_gone_does_not_keep_the_soak_from_ending() -> None:
    recorder = shop()
    bad = iter([1])

    def bad_then_gone(method: str, name: str) -> None:
        if (method, name) == ("sample_keys", "a") and next(bad, None):
            raise PermissionDenied("for a moment")
        if method == "load_state" and next(bad, None) is None and bad_then_gone.armed:  # type: ignore[attr-defined]
            raise ConnectionFailed("cannot reach it")
        bad_then_gone.armed = method == "sample_keys" or bad_then_gone.armed  # type: ignore[attr-defined]

    bad_then_gone.armed = False  # type: ignore[attr-defined]
    report = moved(recorder, after=bad_then_gone, on_failure=OnFailure.STOP)
    assert (report.results[0].code, report.exit_code) == ("SoakFailed", ExitCode.INCOMPLETE)


def test_a_created_alias_too_is_not_blamed_for_a_server_out_of_reach() -> None:
    recorder = shop()
    outage, soaking = iter([1, 1, 1]), iter([1, 1])  # the read-back and the first look come before

    def cut(method: str, name: str) -> None:
        began = method == "sample_keys" or next(soaking, None) is None
        if name == "made" and method in {"resolve", "sample_keys"} and began and next(outage, None):
            raise ConnectionFailed("cannot reach it")

    recorder.after = lambda method, alias: setattr(recorder, "before", cut)
    with recorder.catalogs() as opened:
        plan = make_plan([alias_set({"made": "new"}, verify=SOAK)], catalogs=opened)
        assert apply_plan(plan, catalogs=opened).exit_code is ExitCode.DONE


def test_no_set_waits_for_the_soak_of_another() -> None:
    recorder = shop()
    one_by_one = type(LOCAL)(LOCAL.name, LOCAL.uri, LOCAL.address, concurrency=1)
    slow = alias_set({"a": "new"}, name="slow", verify=Verify(soak=30), connection=one_by_one)
    quick = alias_set({"b": "new"}, name="zquick", connection=one_by_one)
    stop = Event()
    recorder.after = lambda method, alias: stop.set() if len(recorder.writes) == 2 else None
    with recorder.catalogs() as opened:
        report = apply_plan(make_plan([slow, quick], catalogs=opened), catalogs=opened, stop=stop)
    assert outcomes(report) == {"a": Outcome.DONE, "b": Outcome.DONE}


INSTANT = Verify(soak=1e-9)
"""One probe, and more only while an alias is bad."""


def test_an_alias_that_is_bad_for_the_first_time_in_the_last_probe_is_probed_again() -> None:
    """The last probe was made because another alias was bad, and finds that one good."""
    recorder = shop()
    recorder.server.create_collection("other")
    bad = [PermissionDenied("no grant on a")]

    def trouble(method: str, name: str) -> None:
        if (method, name) == ("sample_keys", "a") and bad:
            raise bad.pop()
        if (method, name) == ("sample_keys", "a"):
            recorder.server.connect(LOCAL, "default").alter_alias("b", "other")

    recorder.after = lambda method, alias: setattr(recorder, "before", trouble if alias == "b" else quiet)
    with recorder.catalogs() as opened:
        desired = alias_set({"a": "new", "b": "new"}, verify=INSTANT, connection=replace(LOCAL, concurrency=1))
        report = apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)
    assert outcomes(report)["b"] is Outcome.FAILED
    assert report.exit_code is ExitCode.INCOMPLETE


def test_a_soak_that_could_not_be_completed_names_the_third_place_that_it_saw() -> None:
    recorder = shop()
    recorder.server.create_collection("other")
    reads = iter(["read-back", "first probe"])

    def trouble(method: str, name: str) -> None:
        if (method, name) == ("resolve", "a"):
            moment = next(reads, "second probe")
            if moment == "first probe":
                recorder.server.connect(LOCAL, "default").alter_alias("a", "other")
            if moment == "second probe":
                raise ConnectionFailed("cut")

    recorder.after = lambda method, alias: setattr(recorder, "before", trouble)
    with recorder.catalogs() as opened:
        report = apply_plan(make_plan([alias_set({"a": "new"}, verify=INSTANT)], catalogs=opened), catalogs=opened)
    assert (report.results[0].code, report.results[0].message) == (
        "SoakFailed",
        'the soak could not be completed: cut; in the meantime it was at "other"',
    )


def test_an_alias_that_someone_else_moved_back_during_the_soak_is_reverted() -> None:
    """It is where the revert would put it, so nothing is left to be completed."""
    recorder = shop()

    def move_back(method: str, name: str) -> None:
        recorder.before = quiet
        recorder.server.connect(LOCAL, "default").alter_alias("a", "old")

    report = moved(recorder, after=lambda method, name: move_back(method, name) if name == "new" else None)
    (result, _) = report.results
    assert (result.outcome, live(recorder.server)["a"]) == (Outcome.REVERTED, "old")
    assert (result.message or "").endswith('it is at "old" again')
