"""What a run reports as it happens: in order, with the times left, and nothing that did not happen."""

from __future__ import annotations

from threading import Event

import pytest

from reconciler.core.errors import UnexpectedAnswer
from reconciler.core.model import Alias, OnFailure, Propagation, Verify
from reconciler.core.report import Outcome, StepResult
from reconciler.core.run_events import (
    GatesStarted,
    PropagationEnded,
    PropagationProbed,
    PropagationStarted,
    RevertStarted,
    RunEvent,
    SetEnded,
    SoakPassed,
    SoakProbed,
    SoakStarted,
    WaveStarted,
)
from reconciler.execute import propagation, soak
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set, server
from tests.faults.memory import Recorder

SOAK = 0.05


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagation, "PROVING_SECONDS", 0.02)
    monkeypatch.setattr(propagation, "PAUSE", 0.01)
    monkeypatch.setattr(soak, "SHORTEST_PAUSE", 0.01)


@pytest.fixture
def recorder() -> Recorder:
    made = server("old", "new", aliases={"a": "old", "b": "old"})
    made.insert("old", [{"id": 1, "vector": (0.0, 0.0, 0.0, 1.0)}])
    made.insert("new", [{"id": 2, "vector": (0.0, 0.0, 0.0, 1.0)}])
    return Recorder(made)


def events(recorder: Recorder, *, stop: Event | None = None) -> list[RunEvent]:
    """Move `a`, then `b`, each verified and watched for a moment."""
    verify = Verify(propagation=Propagation(timeout=10.0), soak=SOAK)
    desired = alias_set({"a": "new"}, Alias("b", "new", wave=1), verify=verify, on_failure=OnFailure.REVERT)
    seen: list[RunEvent] = []
    with recorder.catalogs() as opened:
        apply_plan(make_plan([desired], catalogs=opened), catalogs=opened, stop=stop, on_event=seen.append)
    return seen


def kinds(seen: list[RunEvent]) -> list[type[RunEvent]]:
    """The types of events, repeated ones once."""
    found = [type(event) for event in seen]
    return [kind for before, kind in zip([None, *found], found, strict=False) if kind is not before]


def test_each_wave_reports_gates_changes_propagation_and_soak(recorder: Recorder) -> None:
    seen = events(recorder)
    wave = [
        WaveStarted,
        StepResult,
        PropagationStarted,
        PropagationProbed,
        PropagationEnded,
        StepResult,
        SoakStarted,
        SoakProbed,
        SoakPassed,
    ]
    assert kinds(seen) == [GatesStarted, *wave, GatesStarted, *wave, SetEnded]
    assert [event.wave for event in seen if isinstance(event, WaveStarted)] == [0, 1]
    rounds = [event for event in seen if isinstance(event, PropagationProbed)]
    assert (rounds[0].verified, rounds[-1].verified, rounds[0].aliases) == (0, 1, 1)
    assert all(round(event.elapsed + event.remaining, 6) == 10 for event in rounds)
    probes = [event for event in seen if isinstance(event, SoakProbed)]
    assert {event.problem for event in probes} == {""}
    assert (probes[0].remaining > 0, probes[-1].remaining) == (True, 0)


def test_a_bad_probe_and_the_revert_are_reported_before_anything_is_moved_back(recorder: Recorder) -> None:
    def spoil(method: str, name: str) -> None:
        if (method, name) == ("sample_keys", "a"):
            raise UnexpectedAnswer("segment is broken")

    recorder.after = lambda method, alias: setattr(recorder, "before", spoil)
    seen = events(recorder)
    problems = [event.problem for event in seen if isinstance(event, SoakProbed)]
    assert set(problems) == {"a read through the alias failed: segment is broken"}
    (started,) = (number for number, event in enumerate(seen) if isinstance(event, RevertStarted))
    announced = seen[started]
    assert isinstance(announced, RevertStarted)
    assert (announced.changes, "segment is broken" in announced.reason) == (1, True)
    outcomes = [event.outcome for event in seen[started:] if isinstance(event, StepResult)]
    assert outcomes[0] is Outcome.REVERTED
    assert not any(isinstance(event, SoakPassed) for event in seen)


def test_a_soak_that_is_stopped_has_not_passed(recorder: Recorder) -> None:
    stop = Event()

    def stop_at_probe(method: str, name: str) -> None:
        if (method, name) == ("sample_keys", "a"):
            stop.set()

    recorder.after = lambda method, alias: setattr(recorder, "before", stop_at_probe)
    seen = events(recorder, stop=stop)
    assert not any(isinstance(event, SoakPassed | RevertStarted) for event in seen)
    assert isinstance(seen[-1], SetEnded)
