"""The status: what is told of a set, and what is left of it when it is written."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.core.plan import spec_digest
from reconciler.core.reasons import MEANINGS, Reason
from reconciler.manifest.specs.status import MAX_CONDITION_MESSAGE
from reconciler.operator.claims import Contest
from reconciler.operator.finding import Finding
from reconciler.operator.objects import Ref
from reconciler.operator.status import merge_patch, status_of
from tests.builders import server
from tests.emulated_kubernetes.emulator import Object
from tests.emulated_kubernetes.findings import an_object, desired, look, plan_for
from tests.faults.memory import Recorder

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def conditions(status: Object) -> dict[str, Object]:
    return {condition["type"]: condition for condition in status["conditions"]}


def merged(before: Object, patch: Object) -> Object:
    """RFC 7386, as far as these patches need it."""
    return {key: value for key, value in {**before, **patch}.items() if value is not None}


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_has_the_conditions_of_the_table(reason: Reason) -> None:
    found = conditions(status_of(an_object(generation=4), Finding(reason, "so it is"), EARLY))
    meaning = MEANINGS[reason]
    assert found["Ready"] == {
        "type": "Ready",
        "status": str(meaning.ready),
        "reason": str(reason),
        "message": "so it is",
        "observedGeneration": 4,
        "lastTransitionTime": EARLY,
    }
    others = {kind: item["status"] for kind, item in found.items() if kind != "Ready"}
    expected = {"Reconciling": meaning.reconciling and not meaning.stalled, "Stalled": meaning.stalled}
    assert others == {kind: "True" for kind, is_so in expected.items() if is_so}


def test_a_set_that_cannot_help_itself_does_not_reconcile() -> None:
    finding = Finding(Reason.CONNECTION_FAILED, "wrong token", stalled=True)
    assert set(conditions(status_of(an_object(), finding, EARLY))) == {"Ready", "Stalled"}


def test_a_condition_keeps_its_time_until_its_value_changes() -> None:
    first = status_of(an_object(), Finding(Reason.GATE_FAILED, "one"), EARLY)
    second = status_of(an_object(status=first), Finding(Reason.CONNECTION_FAILED, "two"), LATE)
    assert {condition["lastTransitionTime"] for condition in conditions(second).values()} == {EARLY}
    assert conditions(second)["Ready"]["reason"] == "ConnectionFailed"
    third = status_of(an_object(status=second), Finding(Reason.SUCCEEDED, "three"), LATE)
    assert conditions(third)["Ready"]["lastTransitionTime"] == LATE
    fourth = status_of(an_object(status=third), Finding(Reason.BLOCKED, "four"), EARLY)
    assert {condition["lastTransitionTime"] for condition in conditions(fourth).values()} == {EARLY}


def test_only_what_differs_is_written_and_what_is_not_ours_stays() -> None:
    before: Object = {
        "observedGeneration": 1,
        "pendingPlan": {"digest": "x"},
        "ofANewerVersion": 1,
        "counts": {"aliases": 1},
    }
    after: Object = {"observedGeneration": 2, "counts": {"aliases": 1}}
    patch = merge_patch(before, after)
    assert patch == {"observedGeneration": 2, "pendingPlan": None}
    assert merged(before, patch) == {"observedGeneration": 2, "ofANewerVersion": 1, "counts": {"aliases": 1}}
    assert merge_patch(after, after) == {}


def test_a_look_that_finds_the_same_writes_nothing() -> None:
    recorder = Recorder(server("v1"))
    item = desired({"a": "v1"})
    first = status_of(an_object({"a": "v1"}), look(item, recorder), EARLY)
    second = status_of(an_object({"a": "v1"}, status=first), look(item, recorder), LATE)
    assert merge_patch(first, second) == {}


def test_lists_are_bounded_and_counts_are_not() -> None:
    aliases: dict[str, str | None] = {f"a{number:03}": "v9" for number in range(150)}
    plan = plan_for(desired(aliases), Recorder(server("v1")).catalogs())
    finding = Finding(Reason.APPROVAL_REQUIRED, "", desired=desired(aliases), plan=plan, pending=True)
    status = status_of(an_object(aliases), finding, EARLY)
    rows, pending = status["aliases"], status["pendingPlan"]
    assert isinstance(rows, list)
    assert len(rows) == 100
    assert status["counts"] == {"aliases": 150, "inSync": 0, "blocked": 150, "drift": 0}
    assert isinstance(pending, dict)
    assert len(pending["steps"]) == 100
    assert (pending["creates"], pending["blocked"]) == (150, 150)


def test_the_last_five_runs_are_told_the_newest_first() -> None:
    recorder = Recorder(server("v0", "v1"))
    status: Object = {}
    digests = []
    for number in range(7):
        finding = look(desired({"a": f"v{number % 2}"}), recorder)
        assert finding.plan
        digests.append(finding.plan.digest)
        status = status_of(an_object({"a": f"v{number % 2}"}, status=status), finding, EARLY)
    assert [run["digest"] for run in status["history"]] == digests[:1:-1]


def test_a_failed_run_is_attempted_and_not_applied() -> None:
    recorder = Recorder(server("v1"))
    finding = look(desired({"a": "v1", "b": "v1"}), recorder, fail=("b",))
    status: Object = status_of(an_object({"a": "v1", "b": "v1"}), finding, EARLY)
    assert "lastAttemptedDigest" in status
    assert "lastAppliedDigest" not in status
    assert "lastAppliedSpec" not in status
    assert status["aliases"][0]["name"] == "b"
    assert status["aliases"][0]["state"] == "Failed"
    assert status["counts"] == {"aliases": 2, "inSync": 1, "blocked": 0, "drift": 0}


def test_what_was_not_looked_at_is_told_as_before() -> None:
    before: Object = {"counts": {"aliases": 3}, "aliases": [{"name": "a"}], "history": [{"digest": "x"}]}
    status = status_of(an_object(status=before), Finding(Reason.CONNECTION_FAILED, ""), EARLY)
    assert {key: status[key] for key in before} == before


@pytest.mark.parametrize(("spec_hash", "kept"), [({}, True), ({"specHash": "sha256:another"}, False)])
def test_a_rejection_that_lost_its_hash_stays_and_one_of_another_spec_goes(spec_hash: Object, kept: bool) -> None:
    """An API server drops the field's older name, `wish`, when the new definitions are installed."""
    row = {"alias": "a", "collection": "v1", "run": "r", "time": EARLY, "reason": "it was slow", **spec_hash}
    item = desired({"a": "v1"}, onFailure="Revert")
    plan = plan_for(item, Recorder(server("v1")).catalogs())
    assert plan.steps[0].spec_hash
    finding = Finding(Reason.REJECTED, "", desired=item, plan=plan)
    status: Object = status_of(an_object({"a": "v1"}, status={"rejected": [row]}), finding, LATE)
    assert status.get("rejected") == ([row] if kept else None)


def test_names_of_others_are_rows_and_only_listed_ones_count() -> None:
    recorder = Recorder(server("v1", aliases={"b": "v1"}))
    item = desired({"b": "v1"})
    contests = (Contest("a", Ref("team", "older")), Contest("x", Ref("team", "older")))
    plan = plan_for(item, recorder.catalogs())
    finding = Finding(Reason.OWNERSHIP_CONFLICT, "", desired=item, contests=contests, plan=plan)
    status: Object = status_of(an_object({"a": "v1", "b": "v1"}), finding, EARLY)
    assert [(row["name"], row["state"]) for row in status["aliases"]] == [("a", "Contested"), ("x", "Contested")]
    assert status["counts"] == {"aliases": 2, "inSync": 1, "blocked": 0, "drift": 0}


def test_long_messages_are_cut() -> None:
    status = status_of(an_object(), Finding(Reason.INVALID_SPEC, "x" * 40_000), EARLY)
    assert len(conditions(status)["Ready"]["message"]) == MAX_CONDITION_MESSAGE


def test_the_spec_digest_tells_wishes_apart_and_not_their_order() -> None:
    digest = spec_digest(desired({"a": "v1", "b": "v2", "old": None}))
    assert spec_digest(desired({"old": None, "b": "v2", "a": "v1"})) == digest
    assert spec_digest(desired({"a": "v1", "b": "v2", "old": None}, interval="1h", drift="Report")) == digest
    others = [
        desired({"a": "v1", "b": "v1", "old": None}),
        desired({"a": "v1", "b": "v2"}),
        desired({"a": "v1", "b": "v2", "old": None}, database="other"),
        desired({"a": "v1", "b": "v2", "old": None}, scope={"include": ["a*"]}),
    ]
    assert len({digest, *map(spec_digest, others)}) == 5


def test_a_request_is_noted_even_if_nothing_could_be_done() -> None:
    item = replace(an_object(), annotations={"aliasctl.dev/requestedAt": "now"})
    status = status_of(item, Finding(Reason.CONNECTION_FAILED, ""), EARLY)
    assert status["lastHandledReconcileAt"] == "now"
    later = status_of(an_object(status=status), Finding(Reason.CONNECTION_FAILED, ""), LATE)
    assert later["lastHandledReconcileAt"] == "now"


def test_a_patch_removes_what_a_mapping_does_not_have_any_more() -> None:
    before = {"pendingRevert": {"run": "a", "dropped": [1]}, "counts": {"aliases": 1}}
    after = {"pendingRevert": {"run": "b"}, "counts": {"aliases": 1}}
    assert merge_patch(before, after) == {"pendingRevert": {"run": "b", "dropped": None}}
