"""`aliasctl status`: aliases that are where they should be, and whose collections are not loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.catalog.memory import Flavour, MemoryServer
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, AliasSet
from reconciler.gates.loaded import LoadedGate
from reconciler.inspect.alias_status import State, StatusRow, status
from reconciler.inspect.load_states import read_load_states
from reconciler.reconcile import make_plan
from tests.builders import LOCAL, alias_set, catalogs, server
from tests.cli.shop import Shop, open_shop, shop_for_all
from tests.emulated_milvus.behaviour import VERSIONS
from tests.emulated_milvus.cluster import Cluster
from tests.emulated_milvus.proxy import Proxy
from tests.servers import MilvusAdmin


@pytest.fixture(params=["milvus", "2.6.13"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose collections are not loaded, as after a restore."""
    if request.param == "milvus":
        with shop_for_all(request.getfixturevalue("milvus").connection.uri, tmp_path) as shop:
            yield open_shop(shop.uri, shop.database, shop.admin, tmp_path)
        return
    with Proxy(Cluster(VERSIONS[request.param])) as proxy:
        admin = MilvusAdmin(proxy.uri)
        yield open_shop(proxy.uri, "default", admin, tmp_path)
        admin.close()


def test_an_alias_of_a_restored_collection(shop: Shop) -> None:
    said = "v1 is not loaded: searches through the alias fail until it is loaded"
    shop.want({"a": "v1"})
    planned = shop.plan()
    assert (planned.code, f"  + a   → v1\n    - loaded   n/a: {said}\n" in planned.stdout) == (0, True)
    assert [row["note"] for row in rows_of(shop)] == [said]
    shop.want({"a": {"collection": "v1", "gates": {"loaded": {}}}})
    assert (shop.plan().code, shop.apply().code) == (3, 3)
    shop.want({"a": "v1"})
    assert shop.apply().code == 0
    assert [(row["state"], row["note"]) for row in rows_of(shop)] == [("NotLoaded", said)]
    assert "1 NotLoaded" in shop.run("status", "-f", "aliases.yaml").stdout
    shop.want({"a": "v1"}, gates={"loaded": {"enabled": False}})
    assert [row["state"] for row in rows_of(shop)] == ["InSync"]


def rows_of(shop: Shop) -> list[dict[str, str]]:
    found = shop.run("status", "-f", "aliases.yaml", "--format", "json")
    assert found.code == 0
    rows: list[dict[str, str]] = found.document["aliases"]
    return rows


def shown(made: MemoryServer, desired: AliasSet) -> tuple[list[StatusRow], int]:
    """The rows, and the calls that it takes to read load states."""
    with catalogs(made) as opened:
        plan = make_plan([desired], catalogs=opened)
        before = opened.open(LOCAL, "default").calls
        rows = list(status([desired], plan, read_load_states([desired], plan, opened)))
        return rows, opened.open(LOCAL, "default").calls - before


def test_a_partition_that_is_not_loaded_is_named() -> None:
    """The server says that the collection is loaded, and reads leave the partition out."""
    made = server("c1", aliases={"a": "c1"})
    made.create_partition("c1", "p1")
    made.release_partition("c1", "p1")
    rows, _ = shown(made, alias_set({"a": "c1"}))
    missed = "c1 is loaded without 1 partition: p1; reads through the alias leave these rows out"
    assert [(row.state, row.note) for row in rows] == [(State.NOT_LOADED, missed)]


def test_partitions_that_may_not_be_read_are_no_error() -> None:
    made = server("c1", aliases={"a": "c1"})
    made.deny("ShowPartitions")
    rows, _ = shown(made, alias_set({"a": "c1"}))
    assert [row.state for row in rows] == [State.IN_SYNC]
    assert "the load state of c1 cannot be read: the privilege ShowPartitions is missing" in (rows[0].note or "")


def test_it_costs_calls_per_collection() -> None:
    """Of a loaded collection the partitions are read as well."""
    made = server("c1", "c2", "c3", aliases={"a": "c1", "b": "c1", "c": "c2", "off": "c3"})
    made.release("c1")
    desired = alias_set({"a": "c1", "b": "c1", "c": "c2"}, Alias("off", "c3", gates=Gates(LoadedGate(enabled=False))))
    rows, calls = shown(made, desired)
    assert {row.alias: row.state for row in rows} == {
        "a": State.NOT_LOADED,
        "b": State.NOT_LOADED,
        "c": State.IN_SYNC,
        "off": State.IN_SYNC,
    }
    assert calls == 2 + 2


def test_milvus_lite_does_not_know_what_is_loaded() -> None:
    made = server("c1", aliases={"a": "c1"}, flavour=Flavour.LITE)
    made.release("c1")
    rows, calls = shown(made, alias_set({"a": "c1"}))
    assert ([row.state for row in rows], calls) == ([State.IN_SYNC], 0)


def test_a_move_between_unloaded_collections_is_no_note() -> None:
    made = server("c1", "c2", aliases={"a": "c1"})
    for name in ("c1", "c2"):
        made.release(name)
    rows, _ = shown(made, alias_set({"a": "c2"}))
    assert [(row.state, row.note) for row in rows] == [(State.PENDING, None)]


def test_a_load_state_that_may_not_be_read_is_no_error() -> None:
    made = server("c1", aliases={"a": "c1"})
    made.deny("GetLoadState")
    rows, _ = shown(made, alias_set({"a": "c1"}))
    assert [row.state for row in rows] == [State.IN_SYNC]
    assert "the load state of c1 cannot be read: the privilege GetLoadState is missing" in (rows[0].note or "")
