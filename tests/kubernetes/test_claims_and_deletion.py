"""Two sets that want one name, and what becomes of the aliases when a set is deleted."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.kubernetes.counting_proxy import CountingProxy, counting_proxy
from tests.kubernetes.namespace import StoredSet
from tests.kubernetes.scene import Scene

pytest_plugins = ["tests.kubernetes.shared_operator"]

FINALIZER = "aliasctl.dev/drop-aliases"
NEXT_SECOND = 1.1
"""Seconds after which a new object is younger: its creationTimestamp has whole seconds, and then its uid decides."""


@pytest.fixture
def proxy(scene: Scene) -> Iterator[CountingProxy]:
    """In front of the scene's Milvus, with the connection `proxied`."""
    with counting_proxy(scene.shop.uri) as made:
        scene.namespace.create_connection(made.uri, "proxied")
        yield made
        scene.namespace.clear()  # before the server goes


def finalizers(stored: StoredSet) -> list[str]:
    found: list[str] = stored.metadata.get("finalizers") or []
    return found


def wait_until_deletable(scene: Scene) -> None:
    scene.namespace.wait_for_set(
        "in place, with a finalizer", lambda item: item.ready == "True" and bool(finalizers(item))
    )


@pytest.mark.parametrize(("older", "younger"), [("first", "second"), ("second", "first")])
def test_the_older_set_keeps_a_name_that_both_list(scene: Scene, older: str, younger: str) -> None:
    scene.create_set({"shared": "v1", "a": "v1"}, older)
    scene.namespace.wait_until_ready(older)
    time.sleep(NEXT_SECOND)
    scene.namespace.create_connection(scene.shop.uri, "same-server")
    scene.create_set({"shared": "v2", "b": "v2"}, younger, connectionRef={"name": "same-server"})
    stored = scene.namespace.wait_for_reason("OwnershipConflict", younger)
    assert scene.live == {"shared": "v1", "a": "v1", "b": "v2"}
    assert f"{scene.namespace.name}/{older}" in stored.message
    assert stored.condition("Stalled")["status"] == "True"
    assert stored.status["counts"] == {"aliases": 2, "inSync": 1, "blocked": 0, "drift": 0}
    [row] = stored.status["aliases"]
    assert (row["name"], row["state"]) == ("shared", "Contested")
    assert scene.namespace.wait_until_ready(older).reason == "Succeeded"
    scene.namespace.delete("AliasSet", older)
    scene.namespace.wait_until_ready(younger)
    assert scene.live == {"shared": "v2", "a": "v1", "b": "v2"}


def test_a_name_that_the_older_set_gives_up_goes_to_the_younger(scene: Scene) -> None:
    scene.create_set({"shared": "v1", "a": "v1"}, "older")
    scene.namespace.wait_until_ready("older")
    time.sleep(NEXT_SECOND)
    scene.create_set({"shared": "v2"}, "younger")
    scene.namespace.wait_for_reason("OwnershipConflict", "younger")
    scene.namespace.edit_set({"a": "v1"}, "older")
    scene.namespace.wait_until_ready("younger")
    assert scene.live == {"shared": "v2", "a": "v1"}


def test_the_scope_of_the_younger_set_leaves_what_the_older_lists(scene: Scene) -> None:
    scene.create_set({"shop_a": "v1"}, "older")
    scene.namespace.wait_until_ready("older")
    time.sleep(NEXT_SECOND)
    scene.shop.point(shop_stray="v3")
    scene.create_set({"shop_b": "v2"}, "younger", scope={"include": ["shop_*"]})
    stored = scene.namespace.wait_for_reason("OwnershipConflict", "younger")
    assert '"shop_a"' in stored.message
    assert scene.live == {"shop_a": "v1", "shop_b": "v2"}
    assert scene.wait_for_event("AliasDropped", "younger") == 'alias "shop_stray" was at "v3"'


def test_the_scope_of_the_older_set_keeps_a_name_that_the_younger_lists(scene: Scene) -> None:
    scene.create_set({"shop_a": "v1"}, "older", scope={"include": ["shop_*"]})
    scene.namespace.wait_until_ready("older")
    time.sleep(NEXT_SECOND)
    scene.create_set({"shop_b": "v2", "other": "v2"}, "younger")
    scene.namespace.wait_for_reason("OwnershipConflict", "younger")
    scene.wait_for_looks(3)
    assert scene.live == {"shop_a": "v1", "other": "v2"}


def test_a_deleted_set_leaves_its_aliases(scene: Scene) -> None:
    scene.create_set({"a": "v1"})
    assert finalizers(scene.namespace.wait_until_ready()) == []
    scene.namespace.delete("AliasSet", "shop")
    scene.namespace.wait_until_gone("AliasSet", "shop")
    scene.drop("a")
    scene.create_set({"b": "v1"}, "other")
    scene.namespace.wait_until_ready("other")
    assert scene.live == {"b": "v1"}


def test_a_deleted_set_takes_along_what_is_still_its_own(scene: Scene) -> None:
    entries = {"a": "v1", "b": "v2", "moved": "v1", "kept": {"collection": "v1", "protect": True}, "shop_x": "v1"}
    scene.create_set(
        entries,
        deletionPolicy="Delete",
        scope={"include": ["shop_*"], "protect": ["shop_x"]},
        limits={"maxDrops": 0},
        drift="Report",
    )
    wait_until_deletable(scene)
    scene.shop.move(moved="v3")
    scene.shop.point(other="v1")
    scene.namespace.delete("AliasSet", "shop")
    scene.namespace.wait_until_gone("AliasSet", "shop")
    assert scene.live == {"moved": "v3", "kept": "v1", "other": "v1", "shop_x": "v1"}
    scene.wait_for_event("AliasDropped", times=2)
    assert set(scene.events("AliasDropped")) == {'alias "a" was at "v1"', 'alias "b" was at "v2"'}


def test_a_deletion_needs_no_approval(scene: Scene) -> None:
    scene.shop.point(a="v1")
    scene.create_set({"a": "v1"}, deletionPolicy="Delete", approval="Manual")
    wait_until_deletable(scene)
    scene.namespace.delete("AliasSet", "shop")
    scene.namespace.wait_until_gone("AliasSet", "shop")
    assert scene.live == {}


def test_the_finalizer_is_there_only_while_aliases_are_to_go(scene: Scene) -> None:
    scene.create_set({"a": "v1"}, deletionPolicy="Delete")
    wait_until_deletable(scene)
    assert finalizers(scene.namespace.read_set()) == [FINALIZER]
    scene.namespace.edit_set(deletionPolicy="Orphan")
    scene.namespace.wait_for_set("without a finalizer", lambda item: not finalizers(item))
    scene.namespace.delete("AliasSet", "shop")
    scene.namespace.wait_until_gone("AliasSet", "shop")
    assert scene.live == {"a": "v1"}


def test_a_deleted_set_leaves_what_an_older_one_has(scene: Scene) -> None:
    scene.create_set({"shared": "v1"}, "older")
    scene.namespace.wait_until_ready("older")
    time.sleep(NEXT_SECOND)
    scene.create_set({"shared": "v1", "b": "v1"}, "younger", deletionPolicy="Delete")
    scene.namespace.wait_for_reason("OwnershipConflict", "younger")
    scene.namespace.delete("AliasSet", "younger")
    scene.namespace.wait_until_gone("AliasSet", "younger")
    assert scene.live == {"shared": "v1"}


def test_a_suspended_set_that_is_deleted_waits(scene: Scene) -> None:
    scene.create_set({"a": "v1"}, deletionPolicy="Delete")
    wait_until_deletable(scene)
    scene.namespace.edit_set(suspend=True)
    scene.namespace.wait_for_reason("Suspended")
    scene.namespace.delete("AliasSet", "shop")
    stored = scene.namespace.wait_for_set("deleted, and waits", lambda item: "deleted" in item.message)
    assert stored.reason == "Suspended"
    scene.wait_for_looks()
    assert scene.live == {"a": "v1"}
    scene.namespace.edit_set(suspend=False)
    scene.namespace.wait_until_gone("AliasSet", "shop")
    assert scene.live == {}


def test_aliases_stay_when_the_connection_is_gone(scene: Scene) -> None:
    scene.create_set({"a": "v1", "b": "v1"}, deletionPolicy="Delete")
    wait_until_deletable(scene)
    scene.namespace.delete("MilvusConnection", "main")
    scene.namespace.wait_for_reason("DependencyNotReady")
    scene.namespace.delete("AliasSet", "shop")
    scene.namespace.wait_until_gone("AliasSet", "shop")
    assert scene.live == {"a": "v1", "b": "v1"}
    assert scene.wait_for_event("AliasesOrphaned").startswith("2 aliases stay in Milvus: ")


def test_aliases_stay_when_the_secret_is_gone(scene: Scene) -> None:
    scene.namespace.create_secret("milvus", token="root:Milvus")  # noqa: S106 - nobody checks it
    scene.namespace.create_connection(
        scene.shop.uri, "guarded", token={"secretKeyRef": {"name": "milvus", "key": "token"}}
    )
    scene.create_set({"a": "v1"}, deletionPolicy="Delete", connectionRef={"name": "guarded"})
    wait_until_deletable(scene)
    scene.namespace.delete("Secret", "milvus")
    scene.namespace.wait_for_reason("DependencyNotReady")
    scene.namespace.delete("AliasSet", "shop")
    scene.namespace.wait_until_gone("AliasSet", "shop")
    assert scene.live == {"a": "v1"}
    assert 'no Secret "milvus"' in scene.wait_for_event("AliasesOrphaned")


def test_a_deletion_that_takes_too_long_leaves_the_aliases(scene: Scene, proxy: CountingProxy) -> None:
    scene.create_set({"a": "v1"}, deletionPolicy="Delete", deletionTimeout="4s", connectionRef={"name": "proxied"})
    wait_until_deletable(scene)
    proxy.down()
    scene.namespace.delete("AliasSet", "shop")
    scene.namespace.wait_until_gone("AliasSet", "shop")
    assert scene.live == {"a": "v1"}
    assert "deletionTimeout" in scene.wait_for_event("AliasesOrphaned")


def test_a_deletion_goes_on_when_milvus_is_back(scene: Scene, proxy: CountingProxy) -> None:
    scene.create_set({"a": "v1"}, deletionPolicy="Delete", connectionRef={"name": "proxied"})
    wait_until_deletable(scene)
    proxy.down()
    scene.namespace.delete("AliasSet", "shop")
    scene.namespace.wait_for_set("deleted, and tries", lambda item: item.reason == "ProgressingWithRetry")
    proxy.up()
    scene.namespace.wait_until_gone("AliasSet", "shop")
    assert scene.live == {}
