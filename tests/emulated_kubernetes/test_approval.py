"""`approval: Manual`: a plan is carried out once, and only the very one that was approved."""

from __future__ import annotations

from threading import Event

import pytest

from tests.emulated_kubernetes.emulator import Object
from tests.emulated_kubernetes.harness import Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus

APPROVE = "aliasctl.dev/approve"


def approved(kube: Kube) -> bool:
    return APPROVE in kube.stored()["metadata"]["annotations"]


def test_a_plan_waits_and_is_carried_out_once_it_is_approved(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    milvus.point("b", "v1")
    kube.create({"a": "v1", "b": "v2"}, approval="Manual")
    status = kube.wait("ApprovalRequired")
    assert [(condition["type"], condition["status"]) for condition in status["conditions"]] == [("Ready", "False")]
    plan = status["pendingPlan"]
    assert f"aliasctl.dev/approve={plan['digest']}" in status["conditions"][0]["message"]
    assert plan["steps"] == [
        {"action": "create", "alias": "a", "to": "v1", "wave": 0},
        {"action": "alter", "alias": "b", "from": "v1", "to": "v2", "wave": 0},
    ]
    assert [row["state"] for row in status["aliases"]] == ["Pending", "Pending"]
    assert milvus.journal == []
    kube.annotate(approve=plan["digest"])
    status = kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1", "b": "v2"}
    assert not approved(kube)
    assert "pendingPlan" not in status
    assert status["history"][0]["approvedBy"].endswith("(unverified)")


def test_who_approved_is_told_by_their_own_word(operator: Operator, kube: Kube) -> None:
    kube.create({"a": "v1"}, approval="Manual")
    kube.wait("ApprovalRequired")
    fields: Object = {"f:metadata": {"f:annotations": {f"f:{APPROVE}": {}}}}
    entries = [{"manager": "somebody-else", "fieldsV1": {"f:spec": {}}}, {"manager": "mary", "fieldsV1": fields}]
    change = {"annotations": {APPROVE: kube.digest()}, "managedFields": entries}
    kube.api.patch("AliasSet", "shop", {"metadata": change})
    assert kube.wait("Succeeded")["history"][0]["approvedBy"] == "mary (unverified)"


def test_the_approval_of_another_plan_is_taken_away_and_told(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, approval="Manual")
    kube.wait("ApprovalRequired")
    stale = kube.digest()
    kube.edit({"a": "v2"})
    kube.wait("ApprovalRequired")
    kube.annotate(approve=stale)
    message = kube.wait_for_event("ApprovalStale")
    assert stale in message
    assert kube.digest() in message
    wait_until("taken away", lambda: not approved(kube))
    assert milvus.journal == []
    kube.annotate(approve=kube.digest())
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v2"}


def test_an_approval_is_good_once(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, approval="Manual")
    kube.wait("ApprovalRequired")
    digest = kube.digest()
    kube.annotate(approve=digest)
    kube.wait("Succeeded")
    milvus.point("a", None)  # the same wish, the same live state: the same digest
    kube.annotate(requestedAt="now")
    kube.wait("ApprovalRequired")
    assert kube.digest() == digest
    assert milvus.aliases == {}


def test_an_approval_goes_before_the_first_call(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    there: list[bool] = []
    milvus.before = lambda action, alias: there.append(approved(kube))
    kube.create({"a": "v1"}, approval="Manual")
    kube.wait("ApprovalRequired")
    kube.annotate(approve=kube.digest())
    kube.wait("Succeeded")
    assert there == [False]


def test_an_approval_that_comes_with_a_block_is_no_way_around_it(
    operator: Operator, kube: Kube, milvus: Milvus
) -> None:
    milvus.point("a", "v1")
    kube.create({"a": {"collection": "v2", "protect": True}, "b": "v1"}, approval="Manual")
    kube.wait("ApprovalRequired")
    kube.annotate(approve=kube.digest())
    status = kube.wait("Blocked")
    assert milvus.aliases == {"a": "v1", "b": "v1"}
    assert [(row["name"], row["state"]) for row in status["aliases"]] == [("a", "Blocked")]


def test_an_approval_that_meets_a_failed_gate_is_kept_until_the_gate_passes(
    operator: Operator, kube: Kube, milvus: Milvus
) -> None:
    milvus.point("a", "v1")
    kube.create({"a": "v2"}, approval="Manual", interval="100ms")
    kube.wait("ApprovalRequired")
    digest = kube.digest()
    milvus.server.release("v2")
    kube.annotate(approve=digest)
    kube.wait("GateFailed")
    reads = milvus.reads
    wait_until("looked at again", lambda: milvus.reads > reads + 2)
    assert approved(kube)
    assert milvus.aliases == {"a": "v1"}
    milvus.server.load("v2")
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v2"}
    assert not approved(kube)


def row(number: int) -> Object:
    return {"id": number, "vector": [0.0, 0.0, 0.0, 1.0]}


def test_an_approval_that_meets_a_gate_that_counts_rows_is_kept_too(
    operator: Operator, kube: Kube, milvus: Milvus
) -> None:
    milvus.point("a", "v1")
    kube.create({"a": "v2"}, approval="Manual", interval="100ms", gates={"rows": {"min": 2}})
    kube.wait("ApprovalRequired")
    kube.annotate(approve=kube.digest())
    status = kube.wait("GateFailed")
    assert "rows" in status["conditions"][0]["message"]
    reads = milvus.reads
    wait_until("looked at again", lambda: milvus.reads > reads + 2)
    assert approved(kube)
    assert milvus.aliases == {"a": "v1"}
    milvus.server.insert("v2", [row(1), row(2)])
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v2"}
    assert not approved(kube)


def test_a_plan_that_changed_while_it_waited_is_not_carried_out(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, approval="Manual")
    kube.wait("ApprovalRequired")
    digest = kube.digest()
    milvus.point("a", "v3")
    kube.annotate(approve=digest)
    kube.wait_for_event("ApprovalStale")
    assert milvus.aliases == {"a": "v3"}


@pytest.fixture
def broken_second_wave(milvus: Milvus) -> Event:
    """While it is set, aliases named b cannot be created."""
    broken = Event()
    broken.set()

    def fail(action: str, alias: str) -> None:
        if broken.is_set() and alias == "b" and action == "create":
            milvus.server.drop_collection("v2")

    milvus.before = fail
    return broken


def test_what_was_moved_back_stays_there_until_it_is_approved(
    operator: Operator, kube: Kube, milvus: Milvus, broken_second_wave: Event
) -> None:
    milvus.point("a", "v1")
    kube.create(
        {"a": "v3", "b": {"collection": "v2", "wave": 1}}, onFailure="Revert", interval="100ms", gates={"loaded": {}}
    )
    status = kube.wait("Rejected")
    assert milvus.aliases == {"a": "v1"}
    assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {"Ready": "False", "Stalled": "True"}
    [rejected] = status["rejected"]
    assert (rejected["alias"], rejected["collection"]) == ("a", "v3")
    assert status["history"][0]["reverted"] == 1
    kube.wait_for_event("AliasReverted")
    broken_second_wave.clear()
    milvus.server.create_collection("v2")
    reads = milvus.reads
    wait_until("looked at again", lambda: milvus.reads > reads + 3 and "pendingPlan" in kube.status())
    assert milvus.aliases == {"a": "v1"}
    kube.annotate(approve=kube.digest())
    status = kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v3", "b": "v2"}
    assert "rejected" not in status


def test_an_approval_to_try_again_is_kept_until_the_gates_pass(
    operator: Operator, kube: Kube, milvus: Milvus, broken_second_wave: Event
) -> None:
    milvus.point("a", "v1")
    milvus.server.insert("v3", [row(1)])
    aliases = {"a": {"collection": "v3", "gates": {"rows": {"min": 1}}}, "b": {"collection": "v2", "wave": 1}}
    kube.create(aliases, onFailure="Revert", interval="100ms", gates={"loaded": {}})
    kube.wait("Rejected")
    milvus.server.delete("v3", [1])
    broken_second_wave.clear()
    milvus.server.create_collection("v2")
    wait_until("looked at again", lambda: "pendingPlan" in kube.status())
    kube.annotate(approve=kube.digest())
    status = kube.wait("GateFailed")
    assert "rows" in status["conditions"][0]["message"]
    reads = milvus.reads
    wait_until("looked at again", lambda: milvus.reads > reads + 2)
    assert approved(kube)
    milvus.server.insert("v3", [row(1)])
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v3", "b": "v2"}


def test_another_wish_lifts_a_rejection(
    operator: Operator, kube: Kube, milvus: Milvus, broken_second_wave: Event
) -> None:
    milvus.point("a", "v1")
    kube.create({"a": "v3", "b": {"collection": "v2", "wave": 1}}, onFailure="Revert")
    kube.wait("Rejected")
    milvus.server.create_collection("v4")
    kube.edit({"a": "v4"})
    assert "rejected" not in kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v4"}
