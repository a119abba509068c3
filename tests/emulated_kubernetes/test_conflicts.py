"""Two sets that want one alias."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.operator.queue import FOR_MANY
from tests.emulated_kubernetes.harness import Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus


def test_the_older_set_keeps_an_alias_until_it_goes(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, name="older")
    kube.wait("Succeeded", "older")
    kube.create({"a": "v2", "b": "v2"}, name="younger")
    status = kube.wait("OwnershipConflict", "younger")
    assert milvus.aliases == {"a": "v1", "b": "v2"}
    assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {"Ready": "False", "Stalled": "True"}
    assert '"a" (AliasSet team/older)' in status["conditions"][0]["message"]
    assert [(row["name"], row["state"]) for row in status["aliases"]] == [("a", "Contested")]
    assert status["counts"] == {"aliases": 2, "inSync": 1, "blocked": 0, "drift": 0}
    kube.delete("older")
    status = kube.wait("Succeeded", "younger")
    assert milvus.aliases == {"a": "v2", "b": "v2"}
    assert "aliases" not in status


def test_the_younger_set_gets_what_the_older_gives_up(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1", "b": "v1"}, name="older")
    kube.wait("Succeeded", "older")
    kube.create({"a": "v2"}, name="younger")
    kube.wait("OwnershipConflict", "younger")
    kube.edit({"b": "v1"}, name="older")
    kube.wait("Succeeded", "younger")
    assert milvus.aliases == {"a": "v2", "b": "v1"}


def test_a_younger_scope_does_not_drop_what_an_older_set_lists(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    milvus.point("shop_old", "v1")
    kube.create({"shop_a": "v1"}, name="older")
    kube.create({"shop_b": "v1"}, name="younger", scope={"include": ["shop_*"]})
    status = kube.wait("OwnershipConflict", "younger")
    kube.wait("Succeeded", "older")
    assert milvus.aliases == {"shop_a": "v1", "shop_b": "v1"}
    assert status["counts"]["aliases"] == 1


def test_age_decides_and_not_who_came_first_to_the_operator(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus
) -> None:
    kube.connection()
    kube.create({"a": "v1"}, name="zz-older")
    kube.create({"a": "v2"}, name="aa-younger")
    start()
    kube.wait("OwnershipConflict", "aa-younger")
    kube.wait("Succeeded", "zz-older")
    assert milvus.journal == [("create", "a")]


def test_one_server_under_two_names_is_one(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.connection("other", uri="http://MILVUS:19530")
    kube.create({"a": "v1"}, name="older")
    kube.create({"a": "v2"}, name="younger", connectionRef={"name": "other"})
    kube.wait("OwnershipConflict", "younger")
    kube.wait("Succeeded", "older")
    assert milvus.aliases == {"a": "v1"}


def test_another_database_is_no_conflict(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    milvus.server.create_database("other")
    milvus.server.create_collection("v2", "other")
    kube.create({"a": "v1"}, name="older")
    kube.create({"a": "v2"}, name="younger", database="other")
    kube.wait("Succeeded", "older")
    kube.wait("Succeeded", "younger")


def test_a_suspended_set_keeps_its_names(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, name="older", suspend=True)
    kube.create({"a": "v2"}, name="younger")
    kube.wait("OwnershipConflict", "younger")
    assert milvus.aliases == {}


@pytest.mark.parametrize("token", [{}, {"token": {"secretKeyRef": {"name": "wrong", "key": "token"}}}])
def test_a_set_that_milvus_refuses_keeps_its_names(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, token: dict[str, object]
) -> None:
    """Or the names of a set would be free for as long as its Secret is being rotated."""
    milvus.token = b"right"
    kube.api.create("Secret", "wrong", data={"token": "d3Jvbmc="})
    kube.api.create("Secret", "right", data={"token": "cmlnaHQ="})
    kube.connection("refused", **token)
    kube.connection(token={"secretKeyRef": {"name": "right", "key": "token"}})
    start()
    kube.create({"shared": "v1"}, name="older", connectionRef={"name": "refused"})
    kube.wait("ConnectionFailed", "older")
    kube.create({"shared": "v2", "own": "v2"}, name="younger")
    kube.wait("OwnershipConflict", "younger")
    assert milvus.aliases == {"own": "v2"}
    kube.delete("older")
    kube.wait("Succeeded", "younger")
    assert milvus.aliases == {"own": "v2", "shared": "v2"}


def test_sets_of_a_dead_server_do_not_hold_up_others(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    hung: list[str] = []
    go_on: list[str] = []

    def hang(action: str, alias: str) -> None:
        if alias.startswith("dead"):
            hung.append(alias)
            wait_until("let go", lambda: go_on)

    milvus.before = hang
    kube.connection("dead", uri="http://dead:19530")
    for number in range(12):
        kube.create({f"dead_{number}": "v1"}, name=f"dead-{number}", connectionRef={"name": "dead"})
    wait_until("all room taken", lambda: len(hung) >= FOR_MANY)
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    go_on.append("now")
    for number in range(12):
        kube.wait("Succeeded", f"dead-{number}")
