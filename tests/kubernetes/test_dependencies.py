"""Sets that depend on each other: on a real API server, with the shipped rights and definitions."""

from __future__ import annotations

import pytest

from tests.kubernetes.cluster import Refused
from tests.kubernetes.scene import Scene

pytest_plugins = ["tests.kubernetes.shared_operator"]

AFTER_STAGING = [{"name": "staging"}]


def test_a_set_follows_when_the_one_that_it_depends_on_is_verified(scene: Scene) -> None:
    scene.create_set({"b": "v1"}, "prod", interval="24h", dependsOn=AFTER_STAGING)
    stored = scene.namespace.wait_for_reason("DependencyNotReady", "prod")
    assert stored.ready == "False"
    assert f"there is no such AliasSet in namespace {scene.namespace.name}" in stored.message
    scene.create_set({"a": "v1"}, "staging", interval="24h", verify={"soak": "1s"})
    scene.namespace.wait_until_ready("prod")
    assert scene.live == {"a": "v1", "b": "v1"}
    scene.namespace.edit_set({"a": "nowhere"}, "staging")
    scene.namespace.edit_set({"b": "v2"}, "prod")
    scene.namespace.wait_for_set("told the cause", lambda stored: "nowhere does not exist" in stored.message, "prod")
    assert scene.live == {"a": "v1", "b": "v1"}
    scene.namespace.edit_set({"a": "v2"}, "staging")
    scene.wait_for_live(a="v2", b="v2")
    scene.namespace.wait_until_ready("prod")


def test_the_definition_takes_each_dependency_once(scene: Scene) -> None:
    with pytest.raises(Refused):
        scene.create_set({}, "prod", dependsOn=[*AFTER_STAGING, *AFTER_STAGING])
