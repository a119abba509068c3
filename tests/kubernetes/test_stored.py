"""What the API server has stored is what the operator meant, and what others have stored does not disturb it.

The schema drops what it does not know without a word, so all of this is read back. Here the operator has the rights of
one namespace only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.cluster import Cluster, path_of, wait_until
from tests.kubernetes.conftest import NewOperator
from tests.kubernetes.namespace import Namespace, StoredSet
from tests.kubernetes.operator_process import Operator
from tests.kubernetes.scene import Scene, scene_on

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
"""Of a plan, or of a spec."""
DEFINITION = "aliassets.aliasctl.dev"


@pytest.fixture
def stopped_operator(new_operator: NewOperator) -> Operator:
    """Of the test's namespace, not started yet."""
    return new_operator()


@pytest.fixture(params=["lite_server", "milvus"])
def scene(
    request: pytest.FixtureRequest, namespace: Namespace, stopped_operator: Operator, tmp_path: Path
) -> Iterator[Scene]:
    with scene_on(request.getfixturevalue(request.param), namespace, stopped_operator, tmp_path) as made:
        yield made


def kstatus(stored: StoredSet) -> str:
    """What Flux, Argo CD and `kubectl wait` make of it: the rules of kstatus for custom resources."""
    if not stored.seen:
        return "InProgress"
    if stored.condition("Reconciling").get("status") == "True":
        return "InProgress"
    if stored.condition("Stalled").get("status") == "True":
        return "Failed"
    return "Current" if stored.ready == "True" else "InProgress"


def is_moment(text: str) -> bool:
    """RFC 3339, in UTC, and not in the future."""
    return text.endswith("Z") and datetime.fromisoformat(text) <= datetime.now(UTC)


def check_conditions(stored: StoredSet) -> None:
    """As the Kubernetes API conventions have them."""
    conditions = stored.status["conditions"]
    types = [item["type"] for item in conditions]
    assert types[0] == "Ready"
    assert len(set(types)) == len(types)
    assert set(types) <= {"Ready", "Reconciling", "Stalled"}
    assert not {"Reconciling", "Stalled"} <= set(types)
    for condition in conditions:
        assert set(condition) == {"type", "status", "reason", "message", "observedGeneration", "lastTransitionTime"}
        assert condition["observedGeneration"] == stored.metadata["generation"]
        assert condition["message"]
        assert is_moment(condition["lastTransitionTime"])
        assert condition["type"] == "Ready" or condition["status"] == "True"


def without_times(run: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the history; what differs from run to run is checked here."""
    assert is_moment(run["started"])
    assert is_moment(run["ended"])
    assert run["started"] <= run["ended"]
    return {key: value for key, value in run.items() if key not in ("started", "ended")}


def test_all_of_a_status_is_stored(scene: Scene) -> None:
    scene.shop.point(b="v1", old="v1", shop_stray="v1")
    scene.create_set(
        {"a": "v1", "b": {"collection": "v2", "wave": 1}, "late": {"collection": "v9", "wave": 2}, "old": None},
        scope={"include": ["shop_*"]},
        approval="Manual",
    )
    assert scene.namespace.read_set().status == {"observedGeneration": -1}
    scene.operator.start()
    stored = scene.namespace.wait_for_reason("ApprovalRequired")
    check_conditions(stored)
    plan = stored.status["pendingPlan"]
    missing = plan["steps"][3]["blocked"]
    assert "v9 does not exist" in missing
    assert plan["steps"][4]["blocked"]
    assert DIGEST.fullmatch(plan["digest"])
    assert is_moment(plan["created"])
    assert plan == {
        "digest": plan["digest"],
        "created": plan["created"],
        "creates": 2,
        "alters": 1,
        "drops": 2,
        "blocked": 2,
        "steps": [
            {"action": "create", "alias": "a", "to": "v1", "wave": 0},
            {"action": "drop", "alias": "old", "from": "v1", "wave": 0},
            {"action": "alter", "alias": "b", "from": "v1", "to": "v2", "wave": 1},
            {"action": "create", "alias": "late", "to": "v9", "wave": 2, "blocked": missing},
            {"action": "drop", "alias": "shop_stray", "from": "v1", "wave": 3, "blocked": plan["steps"][4]["blocked"]},
        ],
    }
    assert stored.status["lastAttemptedDigest"] == plan["digest"]
    assert stored.status["counts"] == {"aliases": 4, "inSync": 0, "blocked": 2, "drift": 0}
    assert stored.status["aliases"] == [
        {"name": "a", "collection": "v1", "state": "Pending"},
        {"name": "old", "current": "v1", "state": "Pending"},
        {"name": "b", "collection": "v2", "current": "v1", "state": "Pending"},
        {"name": "late", "collection": "v9", "state": "Blocked", "message": missing},
        {"name": "shop_stray", "current": "v1", "state": "Blocked", "message": plan["steps"][4]["blocked"]},
    ]

    origin = {
        "commit": "4f2a9c1",
        "author": "Mary <mary@example.com>",
        "ref": "main",
        "repository": "https://git.example.com/search.git",
        "signature": "good, by mary",
        "pipeline": "https://ci.example.com/7",
    }
    scene.namespace.annotate_set(approve=plan["digest"], requestedAt="2026-01-01T00:00:00Z", **origin)
    stored = scene.namespace.wait_for_reason("DependencyNotReady")
    check_conditions(stored)
    assert kstatus(stored) == "InProgress"
    assert stored.status["lastHandledReconcileAt"] == "2026-01-01T00:00:00Z"
    [run] = stored.status["history"]
    approved_by = run["approvedBy"]
    assert without_times(run) == {
        "digest": plan["digest"],
        "generation": stored.status["observedGeneration"],
        "result": "DependencyNotReady",
        "message": run["message"],
        "creates": 1,
        "alters": 1,
        "drops": 1,
        "failed": 0,
        "reverted": 0,
        "approvedBy": approved_by,
        "provenance": origin,
    }
    assert "v9" in run["message"]
    assert "lastAppliedDigest" not in stored.status

    scene.create_collection("v9", loaded=False)
    scene.namespace.edit_set(approval="Auto")
    stored = scene.namespace.wait_until_ready()
    check_conditions(stored)
    assert kstatus(stored) == "Current"
    second, first = stored.status["history"]
    assert first == run
    assert without_times(second) == {
        "digest": stored.status["lastAppliedDigest"],
        "generation": stored.status["observedGeneration"],
        "result": "Succeeded",
        "message": stored.message,
        "creates": 1,
        "alters": 0,
        "drops": 1,
        "failed": 0,
        "reverted": 0,
        "provenance": origin,
    }
    assert DIGEST.fullmatch(stored.status["lastAppliedSpec"])
    assert set(stored.status) == {
        "observedGeneration",
        "conditions",
        "lastAttemptedDigest",
        "lastAppliedDigest",
        "lastAppliedSpec",
        "lastHandledReconcileAt",
        "counts",
        "history",
    }


def test_what_was_taken_back_is_stored(scene: Scene) -> None:
    scene.create_collection("new", loaded=True)
    scene.shop.point(a="v1")
    scene.create_set({"a": "new"}, gates={"loaded": {}}, verify={"soak": "40s"}, onFailure="Revert", interval="24h")
    scene.load("v1")
    scene.operator.start()
    scene.wait_for_live(a="new")
    scene.release("new")
    stored = scene.namespace.wait_for_reason("Rejected", timeout=120)
    check_conditions(stored)
    assert kstatus(stored) == "Failed"
    [rejected] = stored.status["rejected"]
    assert {key: rejected[key] for key in ("alias", "collection")} == {"alias": "a", "collection": "new"}
    assert set(rejected) - {"collectionId"} == {"alias", "collection", "specHash", "run", "time", "reason"}
    assert is_moment(rejected["time"])
    [run] = stored.status["history"]
    assert (run["result"], run["alters"], run["reverted"]) == ("Rejected", 0, 1)
    scene.operator.restart()
    scene.namespace.annotate_set(requestedAt="after the restart")
    stored = scene.namespace.wait_for_set("looked at", lambda item: "lastHandledReconcileAt" in item.status)
    assert stored.status["rejected"] == [rejected]
    assert scene.live == {"a": "v1"}


def test_only_the_last_runs_are_remembered(scene: Scene) -> None:
    scene.operator.start()
    scene.create_set({"a": "v1"}, interval="24h")
    scene.namespace.wait_until_ready()
    for collection in ("v2", "v3", "v1", "v2", "v3"):
        scene.namespace.edit_set({"a": collection})
        scene.namespace.wait_until_ready()
    history = scene.namespace.read_set().status["history"]
    assert [(run["creates"], run["alters"]) for run in history] == [(0, 1)] * 5
    assert [run["started"] for run in history] == sorted((run["started"] for run in history), reverse=True)


def test_more_rows_than_a_status_holds_are_counted(scene: Scene) -> None:
    scene.operator.start()
    scene.create_set({f"a{number:03}": "v9" for number in range(130)}, approval="Manual", interval="24h")
    stored = scene.namespace.wait_for_reason("DependencyNotReady")
    assert stored.status["counts"] == {"aliases": 130, "inSync": 0, "blocked": 130, "drift": 0}
    assert len(stored.status["aliases"]) == 100
    scene.create_collection("v9", loaded=False)
    stored = scene.namespace.wait_for_reason("ApprovalRequired")
    assert stored.status["pendingPlan"]["creates"] == 130
    assert len(stored.status["pendingPlan"]["steps"]) == 100


@pytest.fixture
def newer_definition(cluster: Cluster) -> Iterator[None]:
    """The definition of a version after this one: a field more in the spec, in the status, and in a run."""

    def properties(document: Mapping[str, Any], *path: str) -> dict[str, Any]:
        [version] = document["spec"]["versions"]
        found = version["schema"]["openAPIV3Schema"]
        for name in path:
            found = found["properties"][name]
            found = found.get("items", found)
        inner: dict[str, Any] = found["properties"]
        return inner

    def replace(change: Any) -> None:
        document = cluster.get("CustomResourceDefinition", DEFINITION)
        for path in ((("spec",)), (("status",)), ("status", "history")):
            change(properties(document, *path))
        cluster.call("PUT", path_of("CustomResourceDefinition", "", DEFINITION), document)

    replace(lambda fields: fields.update(later={"type": "string"}))
    yield
    replace(lambda fields: fields.pop("later"))


def test_what_a_newer_version_has_stored_is_kept(scene: Scene, newer_definition: None) -> None:
    scene.create_set({"a": "v1"})
    run = {"digest": "sha256:1", "result": "BrandNew", "later": "yes"}
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "BrandNew",
        "message": "brand new",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    row = {"name": "a", "collection": "v1", "state": "BrandNew"}
    status = {"later": "yes", "history": [run], "conditions": [condition], "aliases": [row]}

    def is_stored() -> bool:  # the API server may still have the old definition
        return "later" in scene.namespace.patch("AliasSet", "shop", {"status": status}, "status")["status"]

    wait_until("served with the newer definition", is_stored)
    scene.operator.start()
    stored = scene.namespace.wait_for_reason("Succeeded")
    assert scene.live == {"a": "v1"}
    assert stored.status["later"] == "yes"
    made, earlier = stored.status["history"]
    assert made["result"] == "Succeeded"
    assert earlier == run
    assert "aliases" not in stored.status

    scene.namespace.edit_set({"a": "v2"}, later="a wish that this version does not know")
    stored = scene.namespace.wait_for_reason("InvalidSpec")
    assert kstatus(stored) == "Failed"
    assert "later" in stored.message
    assert scene.live == {"a": "v1"}
    scene.namespace.edit_set(later=None)
    scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v2"}


def test_an_unseen_set_does_not_pass_for_current(scene: Scene) -> None:
    scene.create_set({"a": "v1"})
    assert kstatus(scene.namespace.read_set()) == "InProgress"
    scene.operator.start()
    scene.namespace.wait_until_ready()
    scene.operator.terminate()
    stored = scene.namespace.edit_set({"a": "v2"})
    assert (stored.ready, kstatus(stored)) == ("True", "InProgress")
