"""The life of a set: created, edited, suspended, deleted, and what comes between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from threading import Event

import kmock
import pytest

from reconciler.core.errors import UnexpectedAnswer
from reconciler.operator import reconciler
from reconciler.operator.objects import Ref
from reconciler.operator.queue import LANE_WIDTH
from tests.emulated_kubernetes.emulator import ApiServer, Object, forbid_secrets
from tests.emulated_kubernetes.harness import TIMEOUT, Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus


def test_a_new_set_gets_its_aliases(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    milvus.point("b", "v1")
    milvus.point("old", "v1")
    kube.create({"a": "v1", "b": "v2", "old": None})
    status = kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1", "b": "v2"}
    [ready] = status["conditions"]
    assert (ready["type"], ready["status"], ready["message"]) == ("Ready", "True", "3 aliases up to date")
    assert status["counts"] == {"aliases": 3, "inSync": 3, "blocked": 0, "drift": 0}
    [run] = status["history"]
    assert {key: run[key] for key in ("result", "creates", "alters", "drops", "failed", "reverted")} == {
        "result": "Succeeded",
        "creates": 1,
        "alters": 1,
        "drops": 1,
        "failed": 0,
        "reverted": 0,
    }
    assert run["digest"] == status["lastAppliedDigest"] == status["lastAttemptedDigest"]
    assert "aliases" not in status
    assert "pendingPlan" not in status
    kube.wait_for_event("AliasDropped")
    assert sorted(kube.events()) == [
        ("AliasAltered", 'alias "b": v1 → v2'),
        ("AliasCreated", 'alias "a" → v1'),
        ("AliasDropped", 'alias "old" was at "v1"'),
    ]


def test_an_edit_is_made_and_told(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    kube.edit({"a": "v2"})
    status = kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v2"}
    assert status["observedGeneration"] == 2
    assert [run["alters"] for run in status["history"]] == [1, 0]
    assert kube.wait_for_event("AliasAltered") == 'alias "a": v1 → v2'


def test_the_history_says_where_the_spec_came_from_by_its_annotations(operator: Operator, kube: Kube) -> None:
    kube.create({"a": "v1"})
    assert "provenance" not in kube.wait("Succeeded")["history"][0]
    kube.annotate(commit="4f2a9c1", author="Mary <m@x>", ref="main", pipeline="https://ci/7", unknown="x")
    kube.edit({"a": "v2"})
    told = {"commit": "4f2a9c1", "author": "Mary <m@x>", "ref": "main", "pipeline": "https://ci/7"}
    assert kube.wait("Succeeded")["history"][0]["provenance"] == told


def test_a_deleted_set_leaves_its_aliases(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    wait_until("counted", lambda: operator.metric("aliasctl_set_ready", namespace="team", name="shop") == 1)
    assert "finalizers" not in kube.stored()["metadata"]
    kube.delete()
    wait_until("forgotten", lambda: operator.metric("aliasctl_set_ready", namespace="team", name="shop") is None)
    assert milvus.aliases == {"a": "v1"}


def test_nothing_is_written_while_nothing_changes(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, interval="100ms")
    kube.create({"b": "v9"}, name="waiting", interval="100ms")
    kube.wait("Succeeded")
    kube.wait("DependencyNotReady", "waiting")
    kube.wait_for_event("AliasCreated")
    kube.wait_for_event("DependencyNotReady", "waiting")
    before = [kube.stored(name) for name in ("shop", "waiting")]
    told = len(kube.api.list("Event"))
    reads = milvus.reads
    wait_until("looked at again", lambda: milvus.reads > reads + 5)
    assert [kube.stored(name) for name in ("shop", "waiting")] == before
    assert len(kube.api.list("Event")) == told


def test_a_plan_that_waits_is_written_once(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, approval="Manual", interval="100ms")
    kube.wait("ApprovalRequired")
    before = kube.stored()
    reads = milvus.reads
    time.sleep(1.1)  # the plan is another second's
    wait_until("looked at again", lambda: milvus.reads > reads + 3)
    assert kube.stored() == before


def test_a_connection_that_comes_later_is_waited_for(start: Callable[[], Operator], kube: Kube, milvus: Milvus) -> None:
    start()
    kube.create({"a": "v1"})
    status = kube.wait("DependencyNotReady")
    assert 'no MilvusConnection "main" in namespace team' in status["conditions"][0]["message"]
    assert {condition["type"]: condition["status"] for condition in status["conditions"]} == {
        "Ready": "False",
        "Reconciling": "True",
    }
    kube.connection()
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1"}


def test_however_long_a_connection_is_waited_for_all_sets_are_looked_at(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus
) -> None:
    started = start()
    kube.create({"a": "v1"})
    tries = {"result": "error"}
    wait_until("tried often", lambda: (started.metric("aliasctl_reconcile_total", **tries) or 0) > LANE_WIDTH)
    kube.create({"b": "v1"}, name="typo", gates={"rows": {"min": "many"}})
    kube.wait("InvalidSpec", "typo")
    kube.connection()
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1"}


def test_a_connection_that_is_repaired_is_used(start: Callable[[], Operator], kube: Kube) -> None:
    kube.connection(token={"env": "MILVUS_TOKEN"})
    start()
    kube.create({"a": "v1"})
    status = kube.wait("DependencyNotReady")
    assert 'MilvusConnection "main" cannot be used' in status["conditions"][0]["message"]
    kube.api.patch("MilvusConnection", "main", {"spec": {"token": None}})
    kube.wait("Succeeded")


def test_a_connection_that_is_made_again_has_a_status_of_its_own(
    operator: Operator, kube: Kube, milvus: Milvus
) -> None:
    def told() -> object:
        found = kube.api.get("MilvusConnection", "main") or {}
        return (found.get("status") or {}).get("conditions")

    kube.create({"a": "v1"})
    wait_until("told", told)
    kube.api.delete("MilvusConnection", "main")
    kube.connection()
    wait_until("told again", told)


def test_a_secret_that_comes_later_is_waited_for(start: Callable[[], Operator], kube: Kube, milvus: Milvus) -> None:
    milvus.token = b"s3cr3t"
    kube.connection(token={"secretKeyRef": {"name": "milvus", "key": "token"}})
    start()
    kube.create({"a": "v1"})
    status = kube.wait("DependencyNotReady")
    assert 'there is no Secret "milvus" in namespace team' in status["conditions"][0]["message"]
    kube.api.create("Secret", "milvus", data={"other": "czNjcjN0"})
    wait_until("missed the key", lambda: 'has no key "token"' in kube.condition().get("message", ""))
    kube.api.patch("Secret", "milvus", {"data": {"token": "czNjcjN0"}})
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1"}
    everything = str([kube.stored(), kube.api.list("Event"), kube.api.get("MilvusConnection", "main")])
    assert "s3cr3t" not in everything


def test_a_secret_that_may_not_be_read_is_told(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, api: ApiServer
) -> None:
    milvus.token = b"old"
    kube.api.create("Secret", "milvus", data={"token": "b2xk"})
    kube.connection(token={"secretKeyRef": {"name": "milvus", "key": "token"}})
    started = start()
    api.emulator.refuse = forbid_secrets
    kube.create({"a": "v1"})
    [ready, _] = kube.wait("DependencyNotReady")["conditions"]
    assert 'Secret "milvus" in namespace team may not be read' in ready["message"]
    assert "not for you" in ready["message"]
    assert kube.wait_for_event("DependencyNotReady") == ready["message"]
    wait_until("counted", lambda: started.metric("aliasctl_set_ready", namespace="team", name="shop") == 0)
    api.emulator.refuse = lambda request: None
    kube.wait("Succeeded")


def test_a_rotated_secret_is_used(start: Callable[[], Operator], kube: Kube, milvus: Milvus) -> None:
    milvus.token = b"old"
    kube.api.create("Secret", "milvus", data={"token": "b2xk"})
    kube.connection(token={"secretKeyRef": {"name": "milvus", "key": "token"}})
    start()
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    milvus.token = b"new"
    kube.api.patch("Secret", "milvus", {"data": {"token": "bmV3"}})
    kube.edit({"a": "v2"})
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v2"}
    assert kube.reasons().count("ConnectionFailed") == 0
    wait_until("closed", lambda: [item.token for item in milvus.opened if not item.closed] == [b"new"])


def test_a_wrong_token_needs_a_person(start: Callable[[], Operator], kube: Kube, milvus: Milvus) -> None:
    milvus.token = b"right"
    kube.api.create("Secret", "milvus", data={"token": "d3Jvbmc="})
    kube.connection(token={"secretKeyRef": {"name": "milvus", "key": "token"}})
    start()
    kube.create({"a": "v1"})
    status = kube.wait("ConnectionFailed")
    assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {"Ready": "False", "Stalled": "True"}


def test_a_server_that_is_down_is_waited_for(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    milvus.down = True
    kube.create({"a": "v1"})
    status = kube.wait("ConnectionFailed")
    assert {condition["type"]: condition["status"] for condition in status["conditions"]} == {
        "Ready": "False",
        "Reconciling": "True",
    }
    milvus.down = False
    kube.wait("Succeeded")
    assert kube.wait_for_event("Ready") == "1 alias up to date"
    assert kube.reasons().count("ConnectionFailed") == 1


def test_a_suspended_set_is_left_alone(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, suspend=True)
    status = kube.wait("Suspended")
    assert [(condition["type"], condition["status"]) for condition in status["conditions"]] == [("Ready", "Unknown")]
    assert (milvus.aliases, milvus.reads) == ({}, 0)
    kube.edit(suspend=False)
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1"}


def test_a_spec_that_cannot_be_used_is_told_and_mended(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1", "v2": "a"}, gates={"rows": {"min": "many"}})
    status = kube.wait("InvalidSpec")
    assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {"Ready": "False", "Stalled": "True"}
    assert "spec.gates.rows.min" in status["conditions"][0]["message"]
    assert milvus.aliases == {}
    kube.edit({"a": "v1"}, gates=None)
    kube.wait("Succeeded")


def test_a_gate_that_passes_later_lets_go_on_by_itself(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    milvus.server.release("v2")
    milvus.point("a", "v1")
    kube.create({"a": "v2"})
    status = kube.wait("GateFailed")
    assert status["aliases"] == [
        {
            "name": "a",
            "collection": "v2",
            "current": "v1",
            "state": "Blocked",
            "message": status["aliases"][0]["message"],
        }
    ]
    assert "loaded" in status["aliases"][0]["message"]
    assert status["counts"] == {"aliases": 1, "inSync": 0, "blocked": 1, "drift": 0}
    kube.wait_for_event("GateFailed")
    wait_until("counted", lambda: operator.metric("aliasctl_gate_failures_total", gate="loaded"))
    milvus.server.load("v2")
    status = kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v2"}
    assert "aliases" not in status
    assert kube.reasons().count("GateFailed") == 1


def test_a_collection_that_comes_later_is_waited_for(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1", "b": "v4"})
    status = kube.wait("DependencyNotReady")
    assert milvus.aliases == {"a": "v1"}
    assert status["aliases"][0]["name"] == "b"
    milvus.server.create_collection("v4")
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1", "b": "v4"}


def test_too_many_drops_are_refused(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    for name in ("a", "b", "c"):
        milvus.point(name, "v1")
    kube.create({"a": "v1", "b": None, "c": None}, limits={"maxDrops": 1})
    status = kube.wait("LimitExceeded")
    assert {condition["type"] for condition in status["conditions"]} == {"Ready", "Stalled"}
    assert set(milvus.aliases) == {"a", "b", "c"}
    kube.edit(limits={"maxDrops": 2})
    kube.wait("Succeeded")
    assert set(milvus.aliases) == {"a"}


def test_drift_is_corrected_and_told(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, interval="100ms")
    kube.wait("Succeeded")
    milvus.point("a", "v2")
    assert kube.wait_for_event("DriftDetected") == 'alias "a" is at "v2", not at "v1"'
    wait_until("corrected", lambda: milvus.aliases == {"a": "v1"})
    kube.wait("Succeeded")
    assert kube.wait_for_event("AliasAltered") == 'alias "a": v2 → v1'


def test_drift_is_only_reported(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, interval="100ms", drift="Report")
    kube.wait("Succeeded")  # the first time it is no drift
    milvus.point("a", "v2")
    status = kube.wait("DriftDetected")
    assert status["counts"] == {"aliases": 1, "inSync": 0, "blocked": 0, "drift": 1}
    assert status["aliases"] == [{"name": "a", "collection": "v1", "current": "v2", "state": "Drifted"}]
    wait_until("counted", lambda: operator.metric("aliasctl_alias_drift", namespace="team", name="shop") == 1)
    assert milvus.aliases == {"a": "v2"}
    kube.annotate(approve=kube.digest())
    status = kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1"}
    assert status["counts"]["drift"] == 0


def test_no_limit_refuses_drift_that_is_only_reported(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1", "b": None, "c": None}, interval="100ms", drift="Report", limits={"maxDrops": 1})
    kube.wait("Succeeded")
    milvus.point("b", "v1")
    milvus.point("c", "v1")
    wait_until("counted", lambda: kube.status()["counts"]["drift"] == 2)
    assert kube.condition()["reason"] == "DriftDetected"
    kube.annotate(approve=kube.digest())
    kube.wait("LimitExceeded")
    assert set(milvus.aliases) == {"a", "b", "c"}


def test_an_edit_is_no_drift(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, drift="Report")
    kube.wait("Succeeded")
    kube.edit({"a": "v2"})
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v2"}


def test_an_edit_that_is_taken_back_half_done_is_no_drift(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    def fail(action: str, alias: str) -> None:
        if (action, alias) == ("create", "b"):
            raise UnexpectedAnswer("not now")

    milvus.before = fail
    kube.create({"a": "v1"}, drift="Report")
    kube.wait("Succeeded")
    kube.edit({"a": "v2", "b": {"collection": "v2", "wave": 1}})
    kube.wait("ProgressingWithRetry")
    assert milvus.aliases == {"a": "v2"}
    kube.edit({"a": "v1"})
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1"}


def test_a_look_that_was_asked_for_is_had_and_noted(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    milvus.point("a", "v2")
    kube.annotate(requestedAt="now")
    wait_until("noted", lambda: kube.status().get("lastHandledReconcileAt") == "now")
    wait_until("corrected", lambda: milvus.aliases == {"a": "v1"})


def test_read_only_tells_what_would_change(start: Callable[..., Operator], kube: Kube, milvus: Milvus) -> None:
    kube.connection()
    start(read_only=True)
    kube.create({"a": "v1", "b": "v9"}, deletionPolicy="Delete")
    status = kube.wait("ReadOnly")
    assert status["pendingPlan"]["steps"] == [
        {"action": "create", "alias": "a", "to": "v1", "wave": 0},
        {
            "action": "create",
            "alias": "b",
            "to": "v9",
            "wave": 0,
            "blocked": status["pendingPlan"]["steps"][1]["blocked"],
        },
    ]
    assert {key: status["pendingPlan"][key] for key in ("creates", "alters", "drops", "blocked")} == {
        "creates": 2,
        "alters": 0,
        "drops": 0,
        "blocked": 1,
    }
    assert milvus.journal == []
    assert "finalizers" not in kube.stored()["metadata"]
    kube.wait_for_event("ReadOnly")


def test_a_process_that_lost_the_lease_calls_nothing(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    operator.held = False
    kube.create({"a": "v1"})
    wait_until("tried", lambda: kube.status()["observedGeneration"] == 1)
    reads = milvus.reads
    wait_until("tried again", lambda: milvus.reads > reads)
    assert milvus.journal == []


def test_a_failed_call_is_told_once_and_tried_again(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    refused: list[str] = []

    def refuse(action: str, alias: str) -> None:
        refused.append(alias)
        if len(refused) < 5:
            raise UnexpectedAnswer("quota exceeded")

    milvus.before = refuse
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    assert len(refused) == 5
    kube.wait_for_event("Ready")
    assert kube.reasons() == ["AliasFailed", "ProgressingWithRetry", "AliasCreated", "Ready"]


def test_what_a_newer_version_knows_is_kept(operator: Operator, kube: Kube) -> None:
    kube.create({"a": "v1"}, suspend=True)
    kube.wait("Suspended")
    news: Object = {"ofANewerVersion": {"a": 1}}
    kube.api.patch("AliasSet", "shop", {"status": news}, "status")
    kube.edit(suspend=False)
    assert kube.wait("Succeeded")["ofANewerVersion"] == {"a": 1}


def test_a_restart_says_nothing_again(start: Callable[[], Operator], kube: Kube, milvus: Milvus) -> None:
    kube.connection()
    kube.create({"a": "v9"})
    first = start()
    kube.wait("DependencyNotReady")
    kube.wait_for_event("DependencyNotReady")
    first.stop()
    reads = milvus.reads
    start()
    wait_until("looked at again", lambda: milvus.reads > reads + 2)
    assert kube.reasons() == ["DependencyNotReady"]


def test_an_edit_ends_a_soak(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1", "b": {"collection": "v1", "wave": 1}}, verify={"soak": "10m"})
    wait_until("moved", lambda: milvus.aliases == {"a": "v1"})
    wait_until("told so", lambda: kube.condition().get("reason") == "Progressing")
    kube.edit({"a": "v2"}, verify=None)
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v2"}


def test_a_soak_is_told_while_it_goes_on(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    def told(metric: str) -> float | None:
        return operator.metric(f"aliasctl_set_{metric}", namespace="team", name="shop")

    kube.create({"a": "v1"})
    wait_until("in place", lambda: (told("ready"), told("progressing")) == (1, 0))
    kube.edit({"a": "v2"}, verify={"soak": "10m"})
    wait_until("watched", lambda: (told("ready"), told("progressing")) == (0, 1))
    kube.wait("Progressing")
    kube.edit(verify={"soak": "10ms"})
    wait_until("in place", lambda: (told("ready"), told("progressing")) == (1, 0))


def test_the_first_soak_is_told_too(start: Callable[[], Operator], kube: Kube, milvus: Milvus) -> None:
    kube.connection()
    kube.create({"a": "v1"}, verify={"soak": "10m"})
    started = start()
    at = {"namespace": "team", "name": "shop"}
    wait_until("watched", lambda: started.metric("aliasctl_set_progressing", **at) == 1)
    assert started.metric("aliasctl_set_ready", **at) == 0
    kube.delete()
    wait_until("forgotten", lambda: started.metric("aliasctl_set_progressing", **at) is None)


def test_a_set_that_goes_while_it_soaks_is_let_go(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1", "b": {"collection": "v1", "wave": 1}}, verify={"soak": "10m"})
    wait_until("moved", lambda: milvus.aliases == {"a": "v1"})
    kube.delete()
    wait_until("gone", lambda: not operator.world.view().sets)
    assert operator.queue.stop(TIMEOUT)
    assert milvus.aliases == {"a": "v1"}
    wait_until("counted", lambda: operator.metric("aliasctl_set_ready", namespace="team", name="shop") is None)


def test_a_set_that_goes_in_the_middle_of_a_call_leaves_no_trace(
    operator: Operator, kube: Kube, milvus: Milvus
) -> None:
    called, go_on = Event(), Event()

    def hang(action: str, alias: str) -> None:
        called.set()
        assert go_on.wait(TIMEOUT)

    milvus.before = hang
    kube.create({"a": "v1"})
    assert called.wait(TIMEOUT)
    kube.delete()
    wait_until("gone", lambda: not operator.world.view().sets)
    go_on.set()
    assert operator.queue.stop(TIMEOUT)
    assert milvus.aliases == {"a": "v1"}
    wait_until("counted", lambda: operator.metric("aliasctl_set_ready", namespace="team", name="shop") is None)


def test_a_set_of_the_same_name_is_another_one(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    kube.delete()
    kube.create({"a": "v2"})
    status = kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v2"}
    assert len(status["history"]) == 1


def test_a_set_that_is_replaced_in_the_middle_of_a_call_takes_nothing_over(
    operator: Operator, kube: Kube, milvus: Milvus
) -> None:
    called, go_on = Event(), Event()

    def hang(action: str, alias: str) -> None:
        called.set()
        assert go_on.wait(TIMEOUT)

    milvus.before = hang
    kube.create({"a": "v1"})
    assert called.wait(TIMEOUT)
    old = kube.stored()["metadata"]["uid"]
    kube.delete()
    kube.create({"b": "v2"})
    wait_until("seen", lambda: {alias_set.uid for alias_set in operator.world.view().sets.values()} - {old})
    go_on.set()
    status = kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1", "b": "v2"}
    assert len(status["history"]) == 1


def test_a_deletion_that_is_told_late_is_not_the_new_ones(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, interval="100ms")
    kube.wait("Succeeded")
    operator.watcher.set_deleted(Ref("team", "shop"), "of-an-earlier-one")
    milvus.point("a", "v2")
    wait_until("corrected", lambda: milvus.aliases == {"a": "v1"})


def test_a_status_that_somebody_took_away_comes_back(operator: Operator, kube: Kube) -> None:
    kube.create({"a": "v1"}, interval="100ms")
    before = kube.wait("Succeeded")
    kube.api.patch("AliasSet", "shop", {"status": dict.fromkeys(before)}, "status")
    assert kube.wait("Succeeded")["counts"] == before["counts"]


def test_an_edit_starts_the_waiting_anew(
    operator: Operator, kube: Kube, milvus: Milvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "LONGEST_RETRY_SECONDS", 300.0)
    kube.create({"a": "v8"})
    wait_until("tried some times", lambda: milvus.reads >= 5)  # the next ones are seconds apart
    kube.edit({"a": "v9"})
    kube.wait("DependencyNotReady")
    reads = milvus.reads
    wait_until("tried some times more", lambda: milvus.reads >= reads + 6)  # a minute and a half apart without that


def test_the_api_server_can_be_away_for_a_while(operator: Operator, kube: Kube, milvus: Milvus, api: ApiServer) -> None:
    def refuse(request: object) -> None:
        if getattr(request, "subresource", None) == "status":
            raise RuntimeError("etcd leader changed")

    api.emulator.refuse = refuse
    kube.create({"a": "v1"})
    wait_until("tried", lambda: operator.metric("aliasctl_reconcile_errors_total"))
    api.emulator.refuse = lambda request: None
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1"}


def test_an_edit_is_not_forgotten_over_an_answer_that_comes_late(
    operator: Operator, kube: Kube, milvus: Milvus, api: ApiServer
) -> None:
    late = Event()

    def generation() -> int:
        return next(alias_set.generation for alias_set in operator.world.view().sets.values())

    async def hold(request: kmock.Request) -> None:
        if request.subresource == "status" and request.data["status"]["observedGeneration"] == 1:
            late.set()
            while generation() == 1:
                await asyncio.sleep(0.01)

    api.emulator.hold = hold
    kube.create({"a": "v1"}, suspend=True)
    assert late.wait(TIMEOUT)
    kube.edit(suspend=False)
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1"}


@pytest.mark.parametrize("annotations", [{"approve": "x"}, {"requestedAt": "now"}])
def test_an_annotation_is_no_reason_to_stop_what_goes_on(
    operator: Operator, kube: Kube, milvus: Milvus, annotations: dict[str, str]
) -> None:
    kube.create({"a": "v1", "b": {"collection": "v1", "wave": 1}}, verify={"soak": "500ms"})
    wait_until("moved", lambda: milvus.aliases == {"a": "v1"})
    kube.annotate(**annotations)
    status = kube.wait("Succeeded")
    assert len(status["history"]) == 1
