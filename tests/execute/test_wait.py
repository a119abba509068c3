"""`--wait`: a wave whose gates do not pass yet is asked again until they do, or the time is up."""

from __future__ import annotations

import time
from threading import Event

import pytest

from reconciler.core.errors import ConnectionFailed, ExitCode
from reconciler.core.gates import Gates
from reconciler.core.model import Alias
from reconciler.core.options import GatesToEvaluate
from reconciler.core.report import Outcome, Report
from reconciler.core.run_events import RunEvent, WaitingForGates
from reconciler.execute import wait
from reconciler.gates.canary import CanaryGate
from reconciler.gates.loaded import LoadedGate
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, live, server
from tests.faults.memory import Recorder

LOADED = Gates(LoadedGate())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(wait, "LONGEST_PAUSE", 0.02)


def shop() -> Recorder:
    made = server("old", "new", "ready", aliases={"a": "old", "b": "old"})
    made.release("new")
    return Recorder(made)


def applied(recorder: Recorder, seconds: float, *, stop: Event | None = None) -> tuple[Report, list[RunEvent]]:
    desired = alias_set({}, Alias("a", "new", gates=LOADED), Alias("b", "ready", gates=LOADED))
    told: list[RunEvent] = []
    with recorder.catalogs() as opened:
        plan = make_plan([desired], catalogs=opened, evaluate=GatesToEvaluate.SHOWN)
        return apply_plan(plan, catalogs=opened, wait=seconds, stop=stop, on_event=told.append), told


def loads_after(recorder: Recorder, asked: int) -> None:
    """The new collection is loaded when its state has been asked for so often."""
    seen = iter(range(asked))

    def note(method: str, name: str) -> None:
        if (method, name) == ("load_state", "new") and next(seen, None) is None:
            recorder.server.load("new")

    recorder.before = note


def test_a_wave_goes_on_as_soon_as_its_gates_pass() -> None:
    recorder = shop()
    loads_after(recorder, 4)
    report, told = applied(recorder, 60)
    assert (report.exit_code, live(recorder.server)) == (ExitCode.DONE, {"a": "new", "b": "ready"})
    waits = [event for event in told if isinstance(event, WaitingForGates)]
    assert {event.set: event.reasons for event in waits} == {"shop": {"a": "loaded: new is not loaded; load it first"}}
    elapsed = [event.elapsed for event in waits]
    assert elapsed == sorted(elapsed)
    assert all(round(event.elapsed + event.remaining, 3) == 60 for event in waits)


def test_when_the_time_is_up_what_passes_is_done_and_the_rest_is_blocked() -> None:
    report, _ = applied(shop(), 0.1)
    assert {result.step.alias: result.outcome for result in report.results} == {
        "a": Outcome.BLOCKED,
        "b": Outcome.DONE,
    }
    assert report.exit_code is ExitCode.INCOMPLETE


def test_a_server_that_is_away_for_a_moment_does_not_end_the_waiting() -> None:
    recorder = shop()
    failures = iter(range(2))

    def away(method: str, name: str) -> None:
        if method == "load_state" and next(failures, None) is not None:
            raise ConnectionFailed("cannot reach it")

    with recorder.catalogs() as opened:
        plan = make_plan(
            [alias_set({}, Alias("b", "ready", gates=LOADED))], catalogs=opened, evaluate=GatesToEvaluate.SHOWN
        )
        recorder.before = away
        report = apply_plan(plan, catalogs=opened, wait=60)
    assert report.exit_code is ExitCode.DONE


def test_a_signal_ends_the_waiting() -> None:
    recorder, stop = shop(), Event()
    asked = iter(range(6))

    def interrupted(method: str, name: str) -> None:
        if next(asked, None) is None:
            stop.set()

    recorder.before = interrupted
    report, _ = applied(recorder, 3600, stop=stop)
    assert report.interrupted
    assert live(recorder.server) == {"a": "old", "b": "old"}


def test_a_signal_ends_a_round_of_gates() -> None:
    numbers = range(20)
    made = server("old", *(f"new{number}" for number in numbers), aliases={f"a{number}": "old" for number in numbers})
    rows = [{"id": key, "vector": (float(key), 0.0, 0.0, 1.0)} for key in numbers]
    for name in ("old", *(f"new{number}" for number in numbers)):
        made.insert(name, rows)
    gates = Gates(CanaryGate(0.5, max_latency_ratio=100))
    desired = alias_set({}, *(Alias(f"a{number}", f"new{number}", gates=gates) for number in numbers))
    recorder, stop = Recorder(made), Event()
    late: list[str] = []

    def interrupt(method: str, name: str) -> None:
        if stop.is_set():
            late.append(name)
        if method == "search":
            time.sleep(0.01)
            stop.set()

    with recorder.catalogs() as opened:
        plan = make_plan([desired], catalogs=opened)
        recorder.before = interrupt
        report = apply_plan(plan, catalogs=opened, stop=stop)
    assert len(late) <= LOCAL.concurrency
    assert (recorder.writes, report.counts) == ([], {Outcome.NOT_ATTEMPTED: 20})
