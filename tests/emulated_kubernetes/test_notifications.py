"""Notifications of the operator: the status of a set is their outbox."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from threading import Event

import kmock
import pytest

from reconciler.core.errors import PermissionDenied
from reconciler.notify import courier
from tests.emulated_kubernetes.emulator import ApiServer, Conflict
from tests.emulated_kubernetes.harness import Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus
from tests.integrations.receivers import Answer, Receiver, receiver

KEY = "s3cret-key"
DOWN = Answer(503)


@pytest.fixture(name="audit")
def fixture_audit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(courier, "FIRST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(courier, "LONGEST_RETRY_SECONDS", 0.2)
    with receiver() as running:
        yield running


def connect(kube: Kube, audit: Receiver, **more: object) -> None:
    kube.api.create("Secret", "audit", data={"key": base64.b64encode(KEY.encode()).decode()})
    secret = {"secretKeyRef": {"name": "audit", "key": "key"}}
    kube.connection(notify=[{"name": "audit", "uri": audit.uri, "secret": secret, **more}])


def events(audit: Receiver, alias: str = "") -> list[str]:
    """What was accepted about an alias, or all, in order."""
    bodies = [json.loads(request.body) for request in audit.requests]
    return [body["type"].rpartition(".")[2] for body in bodies if alias in ("", body["subject"])]


def waiting(kube: Kube, name: str = "shop") -> list[dict[str, object]]:
    return list((kube.status(name).get("notifications") or {}).get("waiting") or [])


def wait_for(audit: Receiver, *expected: str, alias: str = "") -> None:
    wait_until(f"notified {expected}", lambda: events(audit, alias) == list(expected), lambda: events(audit, alias))


def test_a_move_is_notified_once_signed_and_removed_from_the_status(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, audit: Receiver
) -> None:
    milvus.point("a", "v1")
    connect(kube, audit)
    start()
    kube.create({"a": "v2"})
    kube.wait("Succeeded")
    wait_for(audit, "moved")
    wait_until("removed", lambda: "notifications" not in kube.status(), lambda: kube.status())
    [request] = audit.requests
    signed = f"{request.headers['x-aliasctl-timestamp']}.".encode() + request.body
    assert request.headers["x-hub-signature-256"] == f"sha256={hmac.new(KEY.encode(), signed, 'sha256').hexdigest()}"
    data = json.loads(request.body)["data"]
    expected = ("team/shop", "a", "v1", "v2", "operator", "main")
    assert tuple(data[name] for name in ("set", "alias", "from", "to", "command", "connection")) == expected
    assert data["planDigest"].startswith("sha256:")
    kube.annotate(requestedAt="again")
    wait_until("reconciled", lambda: kube.status().get("lastHandledReconcileAt") == "again")
    assert events(audit) == ["moved"]


def test_a_process_that_dies_between_a_move_and_its_status_loses_no_notification(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, audit: Receiver, api: ApiServer
) -> None:
    milvus.point("a", "v1")
    connect(kube, audit)
    first = start()
    refused = Event()

    def refuse_once_moved(request: kmock.Request) -> None:
        if request.subresource == "status" and milvus.aliases == {"a": "v2"}:
            refused.set()
            raise kmock.KubernetesError(500, "InternalError", "etcd leader changed")

    api.emulator.refuse = refuse_once_moved
    kube.create({"a": "v2"})
    assert refused.wait(60)
    first.stop()
    assert audit.requests == []
    api.emulator.refuse = lambda _: None
    start()
    wait_for(audit, "moved")
    assert json.loads(audit.requests[0].body)["data"]["from"] == "v1"


def test_a_receiver_that_is_down_delays_nothing_and_gets_everything_later(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, audit: Receiver
) -> None:
    milvus.point("a", "v1")
    audit.answer = lambda _: DOWN
    connect(kube, audit)
    first = start()
    kube.create({"a": "v2"})
    kube.create({"b": "v1"}, "other")
    kube.wait("Succeeded")
    kube.wait("Succeeded", "other")
    kube.edit({"a": "v3"})
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v3", "b": "v1"}
    wait_until("tried", lambda: audit.requests)
    first.stop()  # it also survives a restart
    audit.requests.clear()
    audit.answer = lambda _: Answer()
    start()
    wait_until("all notified", lambda: len(audit.requests) == 3, lambda: events(audit))
    ends = [json.loads(request.body)["data"] for request in audit.requests]
    assert [(data.get("from"), data["to"]) for data in ends if data["alias"] == "a"] == [("v1", "v2"), ("v2", "v3")]
    assert [(data.get("from"), data["to"]) for data in ends if data["alias"] == "b"] == [(None, "v1")]
    wait_until("removed", lambda: not waiting(kube, "shop") and not waiting(kube, "other"))


def test_blocked_and_recovered_are_notified_once_each(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, audit: Receiver
) -> None:
    milvus.point("a", "v1")
    connect(kube, audit)
    start()
    kube.create({"a": "v9"})
    kube.wait("DependencyNotReady")
    wait_for(audit, "blocked")
    kube.annotate(requestedAt="again")
    wait_until("reconciled", lambda: kube.status().get("lastHandledReconcileAt") == "again")
    kube.edit({"a": "v1"})
    wait_for(audit, "blocked", "recovered")


def test_a_revert_is_notified_after_its_move(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, audit: Receiver
) -> None:
    milvus.point("a", "v1")
    milvus.point("later", "v1")
    connect(kube, audit)

    def before(_: str, alias: str) -> None:
        if alias == "later":
            raise PermissionDenied("no")

    milvus.before = before
    start()
    kube.create({"a": "v2", "later": {"collection": "v2", "wave": 1}}, onFailure="Revert")
    kube.wait("Rejected")
    wait_until("notified", lambda: len(audit.requests) >= 3, lambda: events(audit))
    assert events(audit, "a") == ["moved", "reverted"]
    assert events(audit, "later") == ["failed"]


def test_a_verification_that_passed_is_notified_after_its_move(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, audit: Receiver
) -> None:
    milvus.point("a", "v1")
    connect(kube, audit)
    start()
    kube.create({"a": "v2"}, verify={"soak": "1s"})
    wait_for(audit, "moved", "verified")


def test_an_object_that_others_change_keeps_what_was_added(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, audit: Receiver, api: ApiServer
) -> None:
    """The removal of what was delivered meets a newer version of the object, once."""
    connect(kube, audit)
    conflicts: list[str] = []

    def conflict_once(request: kmock.Request) -> None:
        versioned = isinstance(request.data, dict) and "metadata" in request.data
        if request.subresource == "status" and versioned and not conflicts:
            conflicts.append(request.data["metadata"]["resourceVersion"])
            raise Conflict

    api.emulator.refuse = conflict_once
    start()
    kube.create({"a": "v1", "b": "v1"})
    kube.wait("Succeeded")
    wait_until("removed", lambda: conflicts and not waiting(kube), lambda: kube.status())
    assert (events(audit, "a"), events(audit, "b")) == (["moved"], ["moved"])


def test_drift_and_its_correction_are_notified(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, audit: Receiver
) -> None:
    connect(kube, audit)
    start()
    kube.create({"a": "v1"})
    wait_for(audit, "moved")
    milvus.point("a", "v3")
    kube.annotate(requestedAt="now")
    wait_for(audit, "moved", "drifted", "moved", "recovered")


def test_a_plan_that_waits_for_approval_is_notified_once(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, audit: Receiver
) -> None:
    milvus.point("a", "v1")
    connect(kube, audit)
    start()
    kube.create({"a": "v2"}, approval="Manual")
    kube.wait("ApprovalRequired")
    wait_for(audit, "approvalRequired")
    digest = kube.digest()
    assert digest in json.loads(audit.requests[0].body)["data"]["message"]
    kube.annotate(requestedAt="again")
    wait_until("reconciled", lambda: kube.status().get("lastHandledReconcileAt") == "again")
    kube.annotate(approve=digest)
    wait_for(audit, "approvalRequired", "moved")


def test_a_secret_that_may_not_be_read_holds_only_its_notifications(
    start: Callable[[], Operator], kube: Kube, audit: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    connect(kube, audit)
    kube.api.delete("Secret", "audit")
    start()
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    problem = 'there is no Secret "audit" in namespace team'
    wait_until("logged", lambda: any(problem in str(vars(record).get("problem")) for record in caplog.records))
    assert [entry["aliases"] for entry in waiting(kube)] == [["a"]]
    kube.api.create("Secret", "audit", data={"key": base64.b64encode(KEY.encode()).decode()})
    wait_for(audit, "moved")


def test_a_set_without_receivers_has_no_notifications(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    assert "notifications" not in kube.status()
