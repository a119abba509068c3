"""`spec.publish`: a ConfigMap says which collection each alias points to, for query encoders."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import kmock
import pytest

from tests.emulated_kubernetes.emulator import ApiServer
from tests.emulated_kubernetes.harness import Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus

PUBLISH = {"configMap": "resolution"}


def published(api: ApiServer) -> dict[str, str]:
    """Alias → collection, as the ConfigMap has it; empty without one."""
    return {entry["alias"]: entry["collection"] for entry in entries(api)}


def entries(api: ApiServer) -> list[dict[str, Any]]:
    stored = api.get("ConfigMap", "resolution")
    text = ((stored or {}).get("data") or {}).get("resolution.json")
    return list(json.loads(text)["aliases"]) if text else []


@pytest.mark.usefixtures("operator")
def test_a_config_map_of_the_set_follows_its_aliases(api: ApiServer, kube: Kube) -> None:
    kube.create({"a": "v1", "b": "v1"}, publish=PUBLISH)
    kube.wait("Succeeded")
    assert published(api) == {"a": "v1", "b": "v1"}
    stored = api.get("ConfigMap", "resolution") or {}
    [owner] = stored["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("AliasSet", kube.stored()["metadata"]["uid"])
    assert stored["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "aliasctl"}
    kube.edit({"a": "v2"})
    kube.wait("Succeeded")
    [entry] = entries(api)
    assert (entry["alias"], entry["collection"], bool(entry["run"] and entry["since"])) == ("a", "v2", True)


@pytest.mark.usefixtures("operator")
def test_it_follows_in_the_wave_of_the_move_and_on_revert(api: ApiServer, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, publish=PUBLISH)
    kube.wait("Succeeded")
    kube.edit({"a": "v2"}, verify={"soak": "20s"}, onFailure="Revert")
    wait_until("published in the soak", lambda: published(api) == {"a": "v2"}, lambda: entries(api))
    milvus.server.release("v2")
    wait_until("published again", lambda: published(api) == {"a": "v1"}, lambda: entries(api))
    assert milvus.aliases == {"a": "v1"}


@pytest.mark.usefixtures("operator")
def test_a_config_map_of_someone_else_is_left_alone_and_the_moves_are_made(
    api: ApiServer, kube: Kube, milvus: Milvus
) -> None:
    api.create("ConfigMap", "resolution", data={"theirs": "1"})
    kube.create({"a": "v1"}, publish=PUBLISH)
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1"}
    assert "it does not belong to AliasSet team/shop and is left alone" in kube.wait_for_event("PublishFailed")
    assert (api.get("ConfigMap", "resolution") or {})["data"] == {"theirs": "1"}
    kube.annotate(requestedAt="now")
    wait_until("seen", lambda: kube.status().get("lastHandledReconcileAt") == "now")
    assert kube.reasons().count("PublishFailed") == 1


@pytest.mark.usefixtures("operator")
def test_moves_do_not_wait_for_a_right_that_is_missing(api: ApiServer, kube: Kube, milvus: Milvus) -> None:
    def forbid(request: kmock.Request) -> None:
        if request.resource is not None and request.resource.plural == "configmaps":
            raise kmock.KubernetesError(403, "Forbidden", "not for you")

    api.emulator.refuse = forbid
    kube.create({"a": "v1"}, publish=PUBLISH)
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1"}
    assert "not for you" in kube.wait_for_event("PublishFailed")
    api.emulator.refuse = lambda request: None
    kube.edit({"a": "v2"})
    kube.wait("Succeeded")
    assert published(api) == {"a": "v2"}


def test_without_it_no_config_map_is_read_and_a_read_only_operator_writes_none(
    start: Callable[..., Operator], api: ApiServer, kube: Kube
) -> None:
    kube.connection()
    kube.create({"a": "v1"}, publish=PUBLISH)
    start(read_only=True).stop()
    kube.edit(publish=None)
    start()
    kube.wait("Succeeded")
    assert api.requests("GET", "/configmaps/resolution") == 0
    assert api.get("ConfigMap", "resolution") is None
