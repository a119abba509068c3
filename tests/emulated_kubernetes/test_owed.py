"""What a run has taught is written down, though the API server may refuse it at first."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import kmock
import pytest

from tests.emulated_kubernetes.emulator import ApiServer, Object
from tests.emulated_kubernetes.harness import TIMEOUT, Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus


@pytest.fixture
def refuse_statuses(api: ApiServer) -> Callable[[str], Event]:
    """Refuses the statuses that say a reason, until the event is set; they were refused when its result is."""

    def refuse_those_of(reason: str) -> Event:
        enough = Event()

        def refuse(request: kmock.Request) -> None:
            if request.subresource != "status" or enough.is_set():
                return
            if reason in said(request.data["status"]):
                raise kmock.KubernetesError(500, "InternalError", "etcd leader changed")

        api.emulator.refuse = refuse
        return enough

    return refuse_those_of


def said(status: Object) -> list[str]:
    return [item["reason"] for item in status.get("conditions") or []]


def test_what_was_moved_back_is_not_tried_again(
    operator: Operator, kube: Kube, milvus: Milvus, refuse_statuses: Callable[[str], Event]
) -> None:
    def fail(action: str, alias: str) -> None:
        if (action, alias) == ("create", "b"):
            milvus.server.drop_collection("v2")

    milvus.point("a", "v1")
    milvus.before = fail
    enough = refuse_statuses("Rejected")
    desired = {"a": "v3", "b": {"collection": "v2", "wave": 1}}
    kube.create(desired, onFailure="Revert", interval="100ms", gates={"loaded": {}})
    kube.wait_for_event("AliasReverted")
    wait_until("refused", lambda: operator.metric("aliasctl_reconcile_errors_total"))
    milvus.server.create_collection("v2")
    reads = milvus.reads
    enough.set()
    status = kube.wait("Rejected")
    wait_until("looked again", lambda: milvus.reads > reads + 2)
    assert [row["alias"] for row in status["rejected"]] == ["a"]
    assert [run["result"] for run in status["history"]] == ["Rejected"]
    assert milvus.journal.count(("alter", "a")) == 2  # there and back
    assert milvus.aliases == {"a": "v1"}
    assert kube.reasons().count("AliasReverted") == 1


def test_a_verification_that_failed_is_told(
    operator: Operator, kube: Kube, milvus: Milvus, refuse_statuses: Callable[[str], Event]
) -> None:
    kube.create({"a": "v1"}, interval="100ms")
    kube.wait("Succeeded")
    milvus.before = lambda action, alias: milvus.server.release("v2")
    enough = refuse_statuses("VerificationFailed")
    kube.edit({"a": "v2"}, verify={"soak": "300ms"}, gates={"loaded": {"enabled": True}})
    kube.wait_for_event("VerificationFailed")
    wait_until("refused", lambda: operator.metric("aliasctl_reconcile_errors_total"))
    reads = milvus.reads
    enough.set()
    status = kube.wait("VerificationFailed")
    wait_until("looked again", lambda: milvus.reads > reads + 2)
    assert kube.condition()["reason"] == "VerificationFailed"
    assert [run["result"] for run in status["history"]] == ["VerificationFailed", "Succeeded"]


def test_a_status_whose_answer_was_lost_is_not_written_twice(
    operator: Operator, kube: Kube, milvus: Milvus, api: ApiServer
) -> None:
    lost = Event()

    async def lose(request: kmock.Request) -> None:
        if request.subresource == "status" and "history" in request.data["status"] and not lost.is_set():
            lost.set()
            raise kmock.KubernetesError(504, "Timeout", "no answer in time")

    api.emulator.hold = lose
    kube.create({"a": "v1"}, interval="100ms")
    assert lost.wait(TIMEOUT)
    reads = milvus.reads
    wait_until("looked again", lambda: milvus.reads > reads + 2)
    assert len(kube.wait("Succeeded")["history"]) == 1


def test_an_edit_in_the_meantime_is_made(
    operator: Operator, kube: Kube, milvus: Milvus, refuse_statuses: Callable[[str], Event]
) -> None:
    enough = refuse_statuses("Succeeded")
    kube.create({"a": "v1"})
    wait_until("refused", lambda: operator.metric("aliasctl_reconcile_errors_total"))
    kube.edit({"a": "v2"})
    enough.set()
    status = kube.wait("Succeeded")
    assert [run["generation"] for run in status["history"]] == [2, 1]
    assert milvus.aliases == {"a": "v2"}


def test_a_set_that_went_in_the_meantime_leaves_nothing_to_the_next_of_its_name(
    operator: Operator, kube: Kube, milvus: Milvus, refuse_statuses: Callable[[str], Event]
) -> None:
    enough = refuse_statuses("Succeeded")
    kube.create({"a": "v1"})
    wait_until("refused", lambda: operator.metric("aliasctl_reconcile_errors_total"))
    kube.delete()
    kube.create({"a": "v2"})
    enough.set()
    status = kube.wait("Succeeded")
    assert len(status["history"]) == 1
    assert milvus.aliases == {"a": "v2"}
