"""Deletion under `deletionPolicy: Delete`."""

from __future__ import annotations

from collections.abc import Callable

import kmock
import pytest

from reconciler.catalog.memory import Flavour
from reconciler.core.errors import UnexpectedAnswer
from reconciler.operator import reconciler
from tests.builders import LOCAL, server
from tests.emulated_kubernetes.emulator import ApiServer, forbid_secrets
from tests.emulated_kubernetes.harness import TIMEOUT, Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus

FINALIZER = "aliasctl.dev/drop-aliases"


def finalizers(kube: Kube) -> list[str]:
    return list(kube.stored()["metadata"].get("finalizers") or [])


def test_its_own_aliases_go_with_it(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    milvus.point("elsewhere", "v1")
    desired = {"a": "v1", "moved": "v1", "b": "v2", "kept": {"collection": "v1", "protect": True}, "kept_too": "v1"}
    kube.create(desired, deletionPolicy="Delete", scope={"protect": ["*_too"]}, limits={"maxDrops": 1})
    kube.wait("Succeeded")
    assert finalizers(kube) == [FINALIZER]
    milvus.point("moved", "v2")
    kube.delete()
    kube.wait_until_gone()
    assert milvus.aliases == {"elsewhere": "v1", "kept": "v1", "kept_too": "v1", "moved": "v2"}
    kube.wait_for_event("AliasDropped", times=2)
    wait_until("forgotten", lambda: operator.metric("aliasctl_set_ready", namespace="team", name="shop") is None)
    assert operator.metric("aliasctl_alias_changes_total", action="drop", result="done") == 2


def test_an_alias_that_dangles_goes_too(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    milvus.server = server("v1", "v2", flavour=Flavour.MILVUS_2_3)
    kube.create({"a": "v1", "b": "v2"}, deletionPolicy="Delete")
    kube.wait("Succeeded")
    milvus.server.drop_collection("v2")
    kube.delete()
    kube.wait_until_gone()
    catalog = milvus.server.connect(LOCAL, "default")
    assert (milvus.aliases, catalog.dangles("b")) == ({}, False)
    kube.wait_for_event("AliasDropped", times=2)


def test_a_set_without_changes_says_what_it_cannot_determine(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    milvus.server.deny("ShowPartitions")
    kube.create({"a": "v1", "gone": {"state": "Absent"}})
    kube.wait("Succeeded")
    assert 'cannot determine whether a dangling alias still holds "gone"' in kube.condition()["message"]


def test_it_needs_no_approval(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    milvus.point("a", "v1")
    kube.create({"a": "v1"}, deletionPolicy="Delete", approval="Manual")
    kube.wait("Succeeded")
    kube.delete()
    kube.wait_until_gone()
    assert milvus.aliases == {}


def test_nothing_to_drop_is_no_hindrance(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v9"}, deletionPolicy="Delete")
    kube.wait("DependencyNotReady")
    kube.delete()
    kube.wait_until_gone()
    assert milvus.journal == []


def test_names_of_an_older_set_stay(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, name="older")
    kube.create({"a": "v1", "b": "v1"}, name="younger", deletionPolicy="Delete")
    kube.wait("OwnershipConflict", "younger")
    kube.delete("younger")
    kube.wait_until_gone("younger")
    assert milvus.aliases == {"a": "v1"}


def test_it_waits_while_the_set_is_suspended(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, deletionPolicy="Delete", deletionTimeout="1ms")
    kube.wait("Succeeded")
    kube.edit(suspend=True)
    kube.wait("Suspended")
    kube.delete()
    wait_until("told", lambda: "deleted, and suspended" in kube.condition().get("message", ""))
    assert milvus.aliases == {"a": "v1"}
    kube.edit(suspend=False)
    kube.wait_until_gone()
    assert milvus.aliases == {}


def test_without_its_connection_the_aliases_stay(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, deletionPolicy="Delete")
    kube.wait("Succeeded")
    kube.api.delete("MilvusConnection", "main")
    kube.wait("DependencyNotReady")
    kube.delete()
    kube.wait_until_gone()
    assert milvus.aliases == {"a": "v1"}
    assert "1 alias stay" in kube.wait_for_event("AliasesOrphaned").replace("stays", "stay")


def test_without_its_secret_the_aliases_stay(start: Callable[[], Operator], kube: Kube, milvus: Milvus) -> None:
    milvus.token = b"old"
    kube.api.create("Secret", "milvus", data={"token": "b2xk"})
    kube.connection(token={"secretKeyRef": {"name": "milvus", "key": "token"}})
    start()
    kube.create({"a": "v1"}, deletionPolicy="Delete")
    kube.wait("Succeeded")
    kube.api.delete("Secret", "milvus")
    kube.annotate(requestedAt="now")
    kube.wait("DependencyNotReady")
    kube.delete()
    kube.wait_until_gone()
    assert 'no Secret "milvus"' in kube.wait_for_event("AliasesOrphaned")


@pytest.fixture
def secret(milvus: Milvus, kube: Kube, start: Callable[[], Operator]) -> None:
    """An operator, and a connection whose token is in a Secret."""
    milvus.token = b"old"
    kube.api.create("Secret", "milvus", data={"token": "b2xk"})
    kube.connection(token={"secretKeyRef": {"name": "milvus", "key": "token"}})
    start()


def broken_secrets(request: kmock.Request) -> None:
    if request.resource is not None and request.resource.plural == "secrets":
        raise kmock.KubernetesError(500, "InternalError", "the key to decrypt it is away")


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("refuse", [forbid_secrets, broken_secrets])
def test_a_secret_that_cannot_be_read_for_a_while_is_waited_for(
    kube: Kube, milvus: Milvus, api: ApiServer, refuse: Callable[[kmock.Request], None]
) -> None:
    kube.create({"a": "v1"}, deletionPolicy="Delete")
    kube.wait("Succeeded")
    api.emulator.refuse = refuse
    kube.delete()
    [ready, _] = kube.wait("ProgressingWithRetry")["conditions"]
    assert "Kubernetes API refused" in ready["message"]
    api.emulator.refuse = lambda request: None
    kube.wait_until_gone()
    assert milvus.aliases == {}


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("refuse", [forbid_secrets, broken_secrets])
def test_a_secret_that_cannot_be_read_does_not_hold_up_the_deletion_for_ever(
    kube: Kube, milvus: Milvus, api: ApiServer, refuse: Callable[[kmock.Request], None]
) -> None:
    kube.create({"a": "v1"}, deletionPolicy="Delete", deletionTimeout="500ms")
    kube.wait("Succeeded")
    api.emulator.refuse = refuse
    kube.delete()
    kube.wait_until_gone()
    assert "deletionTimeout" in kube.wait_for_event("AliasesOrphaned")
    assert milvus.aliases == {"a": "v1"}


def test_a_server_that_is_down_is_waited_for(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, deletionPolicy="Delete")
    kube.wait("Succeeded")
    milvus.down = True
    kube.delete()
    kube.wait("ProgressingWithRetry")
    milvus.down = False
    kube.wait_until_gone()
    assert milvus.aliases == {}


@pytest.mark.parametrize("fails", ["down", "drop"])
def test_after_the_timeout_the_aliases_stay(operator: Operator, kube: Kube, milvus: Milvus, fails: str) -> None:
    def fail(action: str, alias: str) -> None:
        if action == "drop":
            raise UnexpectedAnswer("not now")

    kube.create({"a": "v1"}, deletionPolicy="Delete", deletionTimeout="500ms")
    kube.wait("Succeeded")
    milvus.down, milvus.before = fails == "down", fail
    kube.delete()
    kube.wait_until_gone()
    milvus.down = False
    assert milvus.aliases == {"a": "v1"}
    assert "deletionTimeout" in kube.wait_for_event("AliasesOrphaned")


def test_the_finalizer_is_there_only_while_it_is_wanted(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    kube.api.patch("AliasSet", "shop", {"metadata": {"finalizers": ["somebody.else/s"]}})
    kube.edit(deletionPolicy="Delete")
    wait_until("kept", lambda: finalizers(kube) == ["somebody.else/s", FINALIZER])
    kube.edit(deletionPolicy="Orphan")
    wait_until("let go", lambda: finalizers(kube) == ["somebody.else/s"])
    kube.delete()
    kube.api.patch("AliasSet", "shop", {"metadata": {"finalizers": []}})
    kube.wait_until_gone()
    assert milvus.aliases == {"a": "v1"}


def test_a_spec_that_cannot_be_used_does_not_hold_up_the_deletion(
    operator: Operator, kube: Kube, milvus: Milvus
) -> None:
    kube.create({"a": "v1"}, deletionPolicy="Delete")
    kube.wait("Succeeded")
    kube.edit(gates={"rows": {"min": "many"}})
    kube.wait("InvalidSpec")
    kube.delete()
    kube.wait_until_gone()
    kube.wait_for_event("AliasesOrphaned")
    assert milvus.aliases == {"a": "v1"}


def test_a_process_that_lost_the_lease_drops_nothing(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, deletionPolicy="Delete")
    kube.wait("Succeeded")
    operator.held = False
    kube.delete()
    kube.wait("ProgressingWithRetry")
    assert milvus.aliases == {"a": "v1"}
    operator.held = True
    kube.wait_until_gone()
    assert milvus.aliases == {}


def test_read_only_leaves_a_deleted_set_to_others(start: Callable[..., Operator], kube: Kube, milvus: Milvus) -> None:
    kube.connection()
    writing = start()
    kube.create({"a": "v1"}, deletionPolicy="Delete")
    kube.wait("Succeeded")
    writing.stop()
    start(read_only=True)
    kube.create({"b": "v1"}, name="other")
    kube.delete()
    kube.wait("ReadOnly", "other")
    assert finalizers(kube) == [FINALIZER]
    assert milvus.aliases == {"a": "v1"}


def test_read_only_lets_a_deleted_set_go_after_the_timeout(
    start: Callable[..., Operator], kube: Kube, milvus: Milvus
) -> None:
    kube.connection()
    writing = start()
    kube.create({"a": "v1"}, deletionPolicy="Delete", deletionTimeout="500ms")
    kube.wait("Succeeded")
    writing.stop()
    start(read_only=True)
    kube.delete()
    kube.wait_until_gone()
    assert "--read-only" in kube.wait_for_event("AliasesOrphaned")
    assert milvus.aliases == {"a": "v1"}


def test_a_long_interval_does_not_put_the_timeout_off(
    operator: Operator, kube: Kube, milvus: Milvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "FIRST_RETRY_SECONDS", 1000.0)
    monkeypatch.setattr(reconciler, "LONGEST_RETRY_SECONDS", 1000.0)
    kube.create({"a": "v1"}, deletionPolicy="Delete", deletionTimeout="2s", interval="1h")
    kube.wait("Succeeded")
    milvus.down = True
    kube.delete()
    kube.wait_until_gone()
    assert "deletionTimeout" in kube.wait_for_event("AliasesOrphaned")


def test_a_set_that_goes_before_it_has_the_finalizer_is_let_go(
    operator: Operator, kube: Kube, milvus: Milvus, api: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(request: kmock.Request) -> None:
        if str(request.method.value) == "PATCH" and "finalizers" in (request.data.get("metadata") or {}):
            for alias_set in operator.world.view().sets.values():
                operator.world.remove(alias_set)
            raise kmock.KubernetesError(404, "NotFound", "it is gone")

    wait_until("watching", lambda: api.requests("GET", "/aliassets") >= 2)  # a list and a watch would both bring it
    api.emulator.refuse = gone
    kube.create({"a": "v1"}, deletionPolicy="Delete")
    wait_until("refused", lambda: not operator.world.view().sets and api.requests("PATCH", "aliassets/shop"))
    assert operator.queue.stop(TIMEOUT)
    assert milvus.aliases == {}
    assert "internal error" not in caplog.text
