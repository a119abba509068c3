"""`spec.publish` on a real API server: it takes the right of the component `publish`, and without it stops nothing."""

from __future__ import annotations

import json

import yaml

from tests.kubernetes.cluster import wait_until
from tests.kubernetes.scene import Scene
from tests.kubernetes.shipped_rbac import MANIFESTS

pytest_plugins = ["tests.kubernetes.shared_operator"]

PUBLISH = {"configMap": "resolution"}


def permit(scene: Scene) -> None:
    """Give the operator, in this namespace, the rule that the component adds."""
    component = yaml.safe_load((MANIFESTS / "components" / "publish" / "kustomization.yaml").read_text())
    [added] = yaml.safe_load(component["patches"][0]["patch"])
    version, name = "rbac.authorization.k8s.io/v1", {"name": "publish"}
    role = {"apiVersion": version, "kind": "Role", "metadata": name, "rules": [added["value"]]}
    accounts = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:serviceaccounts"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "publish"}
    binding = {"apiVersion": version, "kind": "RoleBinding", "metadata": name}
    for document in (role, {**binding, "subjects": [accounts], "roleRef": reference}):
        scene.namespace.cluster.create(document, scene.namespace.name)


def published(scene: Scene) -> dict[str, str]:
    stored = scene.namespace.cluster.get("ConfigMap", "resolution", scene.namespace.name)
    aliases = json.loads(stored["data"]["resolution.json"])["aliases"]
    return {entry["alias"]: entry["collection"] for entry in aliases}


def test_the_config_map_follows_the_aliases(scene: Scene) -> None:
    permit(scene)
    scene.create_set({"a": "v1"}, publish=PUBLISH)
    scene.namespace.wait_until_ready()
    assert published(scene) == {"a": "v1"}
    scene.namespace.edit_set({"a": "v2"})
    wait_until("published", lambda: published(scene) == {"a": "v2"} or None)
    assert scene.live == {"a": "v2"}


def test_without_the_right_the_moves_are_made_and_an_event_names_it(scene: Scene) -> None:
    scene.create_set({"a": "v1"}, publish=PUBLISH)
    scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v1"}
    assert 'cannot get resource "configmaps"' in scene.wait_for_event("PublishFailed")
