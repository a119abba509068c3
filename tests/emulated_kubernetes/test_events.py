"""What is told as an Event, and how."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import kmock
import pytest
from msgspec.structs import replace

from reconciler.core.decide import conclude
from reconciler.core.reasons import Reason
from reconciler.core.report import Outcome
from reconciler.operator.cluster import Cluster, load_config
from reconciler.operator.events import MAX_PER_RUN, Events, of_finding
from reconciler.operator.finding import Finding
from tests.builders import server
from tests.emulated_kubernetes.emulator import ApiServer
from tests.emulated_kubernetes.findings import an_object, desired, look, plan_for
from tests.emulated_kubernetes.harness import TIMEOUT, wait_until
from tests.faults.memory import Recorder


def told(finding: Finding, before: Reason | None) -> list[str]:
    return [reason for reason, _, _ in of_finding(finding, before)]


@pytest.mark.parametrize("reason", list(Reason))
def test_nothing_is_told_while_nothing_changes(reason: Reason) -> None:
    assert told(Finding(reason, ""), reason) == []


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.SUCCEEDED, Reason.PROGRESSING}))
def test_each_trouble_is_told_when_it_comes_and_when_it_goes(reason: Reason) -> None:
    assert told(Finding(reason, ""), None) == told(Finding(reason, ""), Reason.SUCCEEDED) == [reason]
    assert told(Finding(Reason.SUCCEEDED, ""), reason) == ["Ready"]


def test_that_it_goes_on_is_no_news() -> None:
    assert told(Finding(Reason.PROGRESSING, ""), None) == told(Finding(Reason.PROGRESSING, ""), Reason.SUCCEEDED) == []
    assert told(Finding(Reason.SUCCEEDED, ""), None) == []


def test_each_change_is_told_with_where_it_was_and_is() -> None:
    recorder = Recorder(server("v1", "v2", aliases={"b": "v1", "c": "v1", "d": "v1"}))
    finding = look(desired({"a": "v1", "b": "v2", "c": None, "d": "v2"}), recorder, fail=("d",))
    notes = {reason: (note, warning) for reason, note, warning in of_finding(finding, Reason.SUCCEEDED)}
    assert notes["AliasCreated"] == ('alias "a" → v1', False)
    assert notes["AliasAltered"] == ('alias "b": v1 → v2', False)
    note, warning = notes["AliasFailed"]
    assert "quota exceeded" in note
    assert warning


def test_a_failure_is_not_told_again_by_each_try() -> None:
    recorder = Recorder(server("v1"))
    first = look(desired({"a": "v1"}), recorder, fail=("a",))
    assert told(first, None) == ["AliasFailed", "ProgressingWithRetry"]
    again = look(desired({"a": "v1"}), recorder, fail=("a",))
    assert told(again, first.reason) == []
    assert told(look(desired({"a": "v1"}), recorder), again.reason) == ["AliasCreated", "Ready"]


def test_aliases_of_one_move_share_an_event() -> None:
    recorder = Recorder(server("v1", "v2", aliases={"d": "v1"}))
    finding = look(desired({**dict.fromkeys("abce", "v1"), "d": "v2"}), recorder)
    assert list(of_finding(finding, None)) == [
        ("AliasCreated", 'aliases "a", "b", "c" and 1 more → v1', False),
        ("AliasAltered", 'alias "d": v1 → v2', False),
    ]


def test_the_reason_of_a_revert_is_reported_once() -> None:
    finding = look(desired({"a": "v1", "b": "v1"}), Recorder(server("v1")))
    assert finding.report
    [target] = finding.report.targets
    reverted = tuple(replace(each, outcome=Outcome.REVERTED, message="not loaded") for each in target.results)
    report = replace(finding.report, targets=(replace(target, results=reverted),))
    reason, message = conclude(report)
    assert list(of_finding(replace(finding, reason=reason, message=message, report=report), None)) == [
        ("AliasReverted", 'aliases "a", "b" are absent again: not loaded', True),
        ("Rejected", 'reverted: "a", "b": not loaded', True),
    ]


def test_many_changes_end_in_a_summary() -> None:
    number = MAX_PER_RUN + 5
    recorder = Recorder(server(*(f"v{at}" for at in range(number))))
    finding = look(desired({f"a{at:02}": f"v{at}" for at in range(number)}), recorder)
    events = list(of_finding(finding, None))
    assert [reason for reason, _, _ in events] == ["AliasCreated"] * MAX_PER_RUN + ["AliasesChanged"]
    assert events[-1][1] == "5 more aliases: done"


def test_drift_is_told_before_it_is_corrected() -> None:
    item = desired({"a": "v1", "b": "v1"})
    plan = plan_for(item, Recorder(server("v1", "v2", aliases={"a": "v2"})).catalogs())
    finding = Finding(Reason.PROGRESSING, "", desired=item, plan=plan, drift=plan.steps)
    [(reason, note, warning)] = of_finding(finding, Reason.SUCCEEDED)
    assert (reason, warning) == ("DriftDetected", True)
    assert note.startswith('alias "a" is at "v2", not at "v1"')
    assert told(replace(finding, drift=()), Reason.SUCCEEDED) == []


@pytest.fixture
def cluster(api: ApiServer, tmp_path: Path) -> Iterator[Cluster]:
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(api.kubeconfig()))
    made = Cluster(load_config(path))
    yield made
    made._client.close()


def test_an_event_is_posted_as_kubernetes_wants_it(cluster: Cluster, api: ApiServer) -> None:
    events = Events(cluster, "host_1_" + "x" * 200)
    events.post(an_object(), "GateFailed", "x" * 5000, warning=True)
    events.post(an_object(), "Ready", "fine")
    events.close(TIMEOUT)
    long, short = sorted(api.list("Event"), key=lambda item: -len(item["message"]))
    assert long["type"] == "Warning"
    assert short["type"] == "Normal"
    assert len(long["message"]) < 1024
    assert long["message"].endswith("…")
    assert long["metadata"]["namespace"] == "team"
    assert {key: long["involvedObject"][key] for key in ("kind", "name", "namespace", "uid")} == {
        "kind": "AliasSet",
        "name": "shop",
        "namespace": "team",
        "uid": "u",
    }
    assert len(long["reportingInstance"]) <= 128
    assert long["metadata"]["name"] != short["metadata"]["name"]


def test_an_event_that_is_refused_is_no_end_of_the_others(
    cluster: Cluster, api: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(request: kmock.Request) -> None:
        raise kmock.KubernetesError(403, "Forbidden", "no events for you")

    api.emulator.refuse = refuse
    events = Events(cluster, "x")
    events.post(an_object(), "GateFailed", "one")
    wait_until("logged", lambda: "could not be posted" in caplog.text)
    api.emulator.refuse = lambda request: None
    events.post(an_object(), "Ready", "two")
    events.close(TIMEOUT)
    assert [item["message"] for item in api.list("Event")] == ["two"]


def test_a_bug_with_one_event_is_no_end_of_the_others(
    cluster: Cluster, api: ApiServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = Events(cluster, "x")
    with monkeypatch.context() as broken:
        broken.setattr(cluster, "post_event", lambda event: [][0])
        events.post(an_object(), "GateFailed", "one")
        wait_until("logged", lambda: "internal error" in caplog.text)
    events.post(an_object(), "Ready", "two")
    events.close(TIMEOUT)
    assert [item["message"] for item in api.list("Event")] == ["two"]
