"""The life of a set in a healthy world: on a real API server, with the shipped rights, on Milvus Lite and on Milvus."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.faults.relay import Relay
from tests.kubernetes.cluster import wait_until
from tests.kubernetes.control_plane import ADMIN, ControlPlane, find_assets
from tests.kubernetes.counting_proxy import CountingProxy, counting_proxy
from tests.kubernetes.namespace import StoredSet
from tests.kubernetes.scene import Scene

pytest_plugins = ["tests.kubernetes.shared_operator"]

OLD_TOKEN, NEW_TOKEN = "root:0ld-s3cr3t", "root:n3w-s3cr3t"
TOKEN_REF = {"secretKeyRef": {"name": "milvus", "key": "token"}}


@pytest.fixture
def proxy(scene: Scene) -> Iterator[CountingProxy]:
    """In front of the scene's Milvus, with the connection `proxied`."""
    with counting_proxy(scene.shop.uri) as made:
        scene.namespace.create_connection(made.uri, "proxied")
        yield made
        scene.namespace.clear()  # before the server goes


class Limit(Relay):
    """Lets nobody through without the token."""

    token = OLD_TOKEN

    def answer(self, method: str, request: bytes, context: grpc.ServicerContext) -> Any:
        given = dict(context.invocation_metadata()).get("authorization", "")
        if base64.b64decode(given).decode() != self.token:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        return super().answer(method, request, context)


@pytest.fixture
def guard(scene: Scene) -> Iterator[Limit]:
    """In front of the scene's Milvus, with the connection `guarded`, whose Secret is not there yet."""
    made = Limit(scene.shop.uri)
    scene.namespace.create_connection(made.uri, "guarded", token=TOKEN_REF)
    yield made
    scene.namespace.clear()
    made.stop()


Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(control_plane: ControlPlane, tmp_path: Path) -> Kubectl:
    """Runs kubectl as the cluster's admin; its output."""
    program, kubeconfig = find_assets() / "kubectl", control_plane.kubeconfig(ADMIN, tmp_path / "admin.kubeconfig")
    if not os.access(program, os.X_OK):
        pytest.skip(f"there is no {program}")

    def run(*arguments: str) -> str:
        command = [str(program), "--kubeconfig", str(kubeconfig), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run


def is_ready_with(status: Mapping[str, Any], stored: StoredSet) -> bool:
    return stored.ready == "True" and status.items() <= stored.status.items()


def test_a_new_set_gets_its_aliases(scene: Scene) -> None:
    scene.shop.point(b="v1", old="v1")
    scene.create_set({"a": "v1", "b": "v2", "old": None})
    stored = scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v1", "b": "v2"}
    assert (stored.reason, stored.message) == ("Succeeded", "3 aliases up to date")
    assert stored.status["counts"] == {"aliases": 3, "inSync": 3, "blocked": 0, "drift": 0}
    [run] = stored.status["history"]
    assert [run[key] for key in ("result", "creates", "alters", "drops", "failed")] == ["Succeeded", 1, 1, 1, 0]
    scene.wait_for_event("AliasDropped")
    assert sorted(scene.namespace.events()) == [
        ("AliasAltered", 'alias "b": v1 → v2'),
        ("AliasCreated", 'alias "a" → v1'),
        ("AliasDropped", 'alias "old" was at "v1"'),
    ]


def test_kubectl_is_enough_to_see_how_it_stands(scene: Scene, kubectl: Kubectl) -> None:
    scene.create_set({"a": "v1", "b": "v9"})
    here = ("--namespace", scene.namespace.name)
    kubectl("wait", *here, "--for=condition=Ready=False", "aset/shop", "--timeout=60s")
    scene.create_collection("v9", loaded=False)
    kubectl("wait", *here, "--for=condition=Ready", "aset/shop", "--timeout=60s")
    header, row = kubectl("get", "aset", *here).splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "AGE"]
    assert row.split()[:-1] == ["shop", "True", "2", "aliases", "up", "to", "date"]
    header, row = kubectl("get", "aset", *here, "--output=wide").splitlines()
    assert header.split()[4:] == ["CONNECTION", "DATABASE", "ALIASES", "DRIFT"]
    assert row.split()[-4:] == ["main", scene.shop.database, "2", "0"]
    assert sorted(kubectl("get", "aliasctl", *here, "--output=name").split()) == [  # the API server orders the kinds
        "aliasset.aliasctl.dev/shop",
        "milvusconnection.aliasctl.dev/main",
    ]


def test_an_edit_is_made_at_once(scene: Scene) -> None:
    scene.create_set({"a": "v1"}, interval="24h")
    first = scene.namespace.wait_until_ready()
    scene.namespace.edit_set({"a": "v2"})
    stored = scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v2"}
    assert [run["alters"] for run in stored.status["history"]] == [1, 0]
    assert stored.status["lastAppliedDigest"] != first.status["lastAppliedDigest"]
    assert scene.wait_for_event("AliasAltered") == 'alias "a": v1 → v2'


def test_drift_is_corrected(scene: Scene) -> None:
    scene.create_set({"a": "v1", "b": "v1"})
    scene.namespace.wait_until_ready()
    scene.shop.move(a="v2")
    assert scene.wait_for_event("DriftDetected") == 'alias "a" is at "v2", not at "v1"'
    scene.wait_for_live(a="v1", b="v1")
    scene.drop("b")
    scene.wait_for_live(a="v1", b="v1")
    stored = scene.namespace.wait_until_ready()
    assert stored.status["counts"] == {"aliases": 2, "inSync": 2, "blocked": 0, "drift": 0}


def test_a_gate_that_failed_passes_later_without_a_touch(scene: Scene) -> None:
    scene.create_collection("new", loaded=False)
    scene.load("v1")
    scene.create_set({"a": "new", "b": "v1"}, gates={"loaded": {}})
    stored = scene.namespace.wait_for_reason("GateFailed")
    assert '"a":' in stored.message
    assert {condition["type"]: condition["status"] for condition in stored.status["conditions"]} == {
        "Ready": "False",
        "Reconciling": "True",
    }
    scene.wait_for_live(b="v1")
    scene.load("new")
    scene.namespace.wait_until_ready()
    assert scene.live == {"a": "new", "b": "v1"}
    assert len(scene.events("GateFailed")) == 1


def test_rows_that_are_missing_are_waited_for(scene: Scene) -> None:
    scene.create_collection("new", loaded=True, rows=5)
    scene.create_set({"a": "new"}, gates={"rows": {"min": 7}})
    stored = scene.namespace.wait_for_reason("GateFailed")
    [row] = stored.status["aliases"]
    assert (row["state"], row["collection"]) == ("Blocked", "new")
    assert "5" in row["message"]
    assert "7" in row["message"]
    scene.insert("new", 5, start=5)
    stored = scene.namespace.wait_until_ready()
    assert "aliases" not in stored.status
    assert scene.live == {"a": "new"}


def test_a_collection_that_comes_later_is_waited_for(scene: Scene) -> None:
    scene.create_set({"a": "v1", "b": "v9"})
    stored = scene.namespace.wait_for_reason("DependencyNotReady")
    assert '"b": v9 does not exist' in stored.message
    assert stored.status["counts"] == {"aliases": 2, "inSync": 1, "blocked": 1, "drift": 0}
    assert scene.live == {"a": "v1"}
    scene.create_collection("v9", loaded=False)
    scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v1", "b": "v9"}


def test_a_suspended_set_is_left_alone_until_it_is_resumed(scene: Scene) -> None:
    scene.create_set({"a": "v1"})
    scene.namespace.wait_until_ready()
    scene.namespace.edit_set({"a": "v2", "b": "v2"}, suspend=True)
    stored = scene.namespace.wait_for_reason("Suspended")
    assert stored.ready == "Unknown"
    scene.shop.move(a="v3")
    scene.wait_for_looks()
    assert scene.live == {"a": "v3"}
    scene.namespace.edit_set(suspend=False)
    scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v2", "b": "v2"}


def test_a_look_that_is_asked_for_is_had_and_recorded(scene: Scene) -> None:
    scene.create_set({"a": "v1"}, interval="24h")
    before = scene.namespace.wait_until_ready()
    assert "lastHandledReconcileAt" not in before.status
    for token in ("first", "second"):
        scene.shop.move(a="v2")
        scene.namespace.annotate_set(requestedAt=token)
        asked = {"lastHandledReconcileAt": token}
        scene.namespace.wait_for_set("ready as asked", partial(is_ready_with, asked))
        assert scene.live == {"a": "v1"}


def test_a_connection_that_comes_later_is_waited_for(scene: Scene) -> None:
    scene.create_set({"a": "v1"}, connectionRef={"name": "later"}, interval="24h")
    stored = scene.namespace.wait_for_reason("DependencyNotReady")
    assert f'no MilvusConnection "later" in namespace {scene.namespace.name}' in stored.message
    scene.namespace.create_connection(scene.shop.uri, "later")
    scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v1"}


def test_a_connection_says_whether_milvus_answers(scene: Scene, proxy: CountingProxy) -> None:
    def wait_for_connection(status: str) -> dict[str, Any]:
        def probe() -> dict[str, Any] | None:
            stored = scene.namespace.cluster.get("MilvusConnection", "proxied", scene.namespace.name)
            [ready] = stored.get("status", {}).get("conditions", [{}])
            current = stored["metadata"]["generation"] == ready.get("observedGeneration")
            return ready if current and ready["status"] == status else None

        return wait_until(f"connection Ready={status}", probe, explain=scene.namespace.explain)

    scene.create_set({"a": "v1"}, connectionRef={"name": "proxied"})
    ready = wait_for_connection("True")
    assert (ready["type"], ready["reason"]) == ("Ready", "Succeeded")
    assert "Milvus" in ready["message"]
    proxy.down()
    assert wait_for_connection("False")["reason"] == "ConnectionFailed"
    assert scene.namespace.wait_for_reason("ConnectionFailed").condition("Reconciling")["status"] == "True"
    proxy.up()
    wait_for_connection("True")
    scene.namespace.wait_until_ready()


def test_a_secret_comes_later_and_is_rotated_and_never_told(scene: Scene, guard: Limit) -> None:
    scene.create_set({"a": "v1"}, connectionRef={"name": "guarded"})
    stored = scene.namespace.wait_for_reason("DependencyNotReady")
    assert f'no Secret "milvus" in namespace {scene.namespace.name}' in stored.message
    scene.namespace.create_secret("milvus", token=OLD_TOKEN)
    scene.namespace.wait_until_ready()
    guard.token = NEW_TOKEN
    scene.namespace.wait_for_reason("ConnectionFailed")
    scene.shop.move(a="v2")
    scene.namespace.patch("Secret", "milvus", {"stringData": {"token": NEW_TOKEN}})
    scene.wait_for_live(a="v1")
    stored = scene.namespace.wait_until_ready()
    connection = scene.namespace.cluster.get("MilvusConnection", "guarded", scene.namespace.name)
    told = str([stored.document, connection, scene.namespace.events(), scene.operator.log_lines()])
    for token in (OLD_TOKEN, NEW_TOKEN):
        for secret in (token.partition(":")[2], base64.b64encode(token.encode()).decode()):
            assert secret not in told


def test_a_spec_that_contradicts_itself_is_refused(scene: Scene) -> None:
    scene.create_set({"a": "b", "b": "v1"})
    stored = scene.namespace.wait_for_reason("InvalidSpec")
    assert {condition["type"]: condition["status"] for condition in stored.status["conditions"]} == {
        "Ready": "False",
        "Stalled": "True",
    }
    assert '"b"' in stored.message
    assert scene.live == {}
    scene.namespace.edit_set({"a": "v1", "b": "v1"})
    stored = scene.namespace.wait_until_ready()
    assert stored.condition("Stalled") == {}
    assert scene.live == {"a": "v1", "b": "v1"}


def test_a_limit_stops_a_run_until_it_is_raised(scene: Scene) -> None:
    scene.shop.point(a="v1", b="v1", c="v1")
    scene.create_set({"a": "v1", "b": None, "c": None}, limits={"maxDrops": 1})
    stored = scene.namespace.wait_for_reason("LimitExceeded")
    assert stored.condition("Stalled")["status"] == "True"
    assert "2" in stored.message
    assert "1" in stored.message
    scene.wait_for_looks()
    assert set(scene.live) == {"a", "b", "c"}
    scene.namespace.edit_set(limits={"maxDrops": 2})
    scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v1"}


def test_a_scope_drops_what_is_not_listed(scene: Scene) -> None:
    scene.shop.point(shop_old="v1", shop_kept="v1", shop_tmp="v1", other="v1")
    scope = {"include": ["shop_*"], "exclude": ["shop_tmp"], "protect": ["shop_kept"]}
    scene.create_set({"shop_a": "v2"}, scope=scope)
    scene.wait_for_live(shop_a="v2", shop_kept="v1", shop_tmp="v1", other="v1")
    assert scene.wait_for_event("AliasDropped") == 'alias "shop_old" was at "v1"'
    scene.shop.point(shop_late="v1")
    scene.wait_for_live(shop_a="v2", shop_kept="v1", shop_tmp="v1", other="v1")


def test_waves_go_one_after_another(scene: Scene, proxy: CountingProxy) -> None:
    aliases = {"a": ("v1", 2), "b": ("v1", 0), "c": ("v1", 1), "d": ("v1", 0)}
    entries = {name: {"collection": collection, "wave": wave} for name, (collection, wave) in aliases.items()}
    scene.shop.point(d="v2")
    scene.create_set(entries, connectionRef={"name": "proxied"})
    scene.namespace.wait_until_ready()
    done = [call.alias for call in proxy.done]
    assert (set(done[:2]), done[2:]) == ({"b", "d"}, ["c", "a"])
    assert scene.live == dict.fromkeys("abcd", "v1")


def test_an_edit_ends_a_soak(scene: Scene) -> None:
    scene.create_set({"a": "v1", "b": {"collection": "v1", "wave": 1}}, verify={"soak": "10m"})
    scene.wait_for_live(a="v1")
    stored = scene.namespace.wait_for_reason("Progressing")
    assert stored.ready == "Unknown"
    scene.namespace.edit_set({"a": "v2"}, verify=None)
    scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v2"}


def test_a_move_whose_check_failed_is_not_mended_by_looking_away(scene: Scene) -> None:
    scene.create_collection("new", loaded=True)
    scene.create_set({"a": "new"}, gates={"loaded": {}}, verify={"soak": "40s"})
    scene.wait_for_live(a="new")
    scene.release("new")
    stored = scene.namespace.wait_for_reason("VerificationFailed", timeout=120)
    assert stored.condition("Stalled")["status"] == "True"
    assert "during the soak" in stored.message
    scene.wait_for_looks(3)
    stored = scene.namespace.read_set()
    assert stored.reason == "VerificationFailed"
    assert [group["aliases"] for group in stored.status["pendingVerification"]] == [["a"]]
    scene.load("new")
    scene.namespace.annotate_set(requestedAt="seen to")
    assert "pendingVerification" not in scene.namespace.wait_until_ready(timeout=120).status
