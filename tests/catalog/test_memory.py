"""What only the Milvus in memory can do: readers that are stuck, on order, and filters without a server."""

from __future__ import annotations

import pytest

from reconciler.catalog.memory import Flavour, MemoryCatalog, MemoryServer
from reconciler.catalog.memory.filters import parse_filter
from reconciler.core.errors import UnexpectedAnswer
from tests.servers import connection_to

HEALING, DEAF = Flavour.MILVUS_2_3, Flavour.MILVUS_2_6
"""Servers that do, and that do not, obey an alter to the same collection."""


def row(key: int) -> dict[str, object]:
    return {"id": key, "vector": [float(key), 0.0, 0.0, 0.0]}


def a_server(flavour: Flavour) -> MemoryServer:
    """One row in `c1`, two in `c2`, three in `c3`; the alias `a` points at `c1`."""
    server = MemoryServer(flavour)
    for rows in (1, 2, 3):
        server.create_collection(f"c{rows}", rows=[row(key) for key in range(rows)])
    connected(server).create_alias("a", "c1")
    return server


def connected(server: MemoryServer, address: str = "memory") -> MemoryCatalog:
    return server.connect(connection_to(address), "default")


def told_and_read(catalog: MemoryCatalog) -> tuple[str, int]:
    """Where the catalog says that `a` points, and how many rows are read through it."""
    found = catalog.resolve("a")
    assert found
    return found.name, catalog.count("a")


class TestStuckReaders:
    @pytest.mark.parametrize("flavour", Flavour)
    def test_stay_at_the_old_collection_while_the_catalog_is_right(self, flavour: Flavour) -> None:
        server = a_server(flavour)
        catalog = connected(server)
        server.stick_readers("a")
        assert told_and_read(catalog) == ("c1", 1)
        catalog.alter_alias("a", "c2")
        assert told_and_read(catalog) == ("c2", 1)
        assert catalog.sample_keys("a", "id", 9) == (0,)
        assert set(catalog.rows("a", "id", [0, 1], ["id"])) == {0}
        assert catalog.search("a", "vector", [(0.0,) * 4], limit=9) == ((0,),)
        assert catalog.count("c2") == 2, "by its own name nothing is hidden"

    @pytest.mark.parametrize("alters", [1, 2])
    def test_are_healed_by_one_more_alter_than_they_miss(self, alters: int) -> None:
        server = a_server(HEALING)
        catalog = connected(server)
        server.stick_readers("a", alters=alters)
        for _ in range(alters):
            catalog.alter_alias("a", "c2")
            assert told_and_read(catalog) == ("c2", 1)
        catalog.alter_alias("a", "c2")
        assert told_and_read(catalog) == ("c2", 2)

    def test_are_not_healed_by_the_same_alter_where_it_is_ignored(self) -> None:
        server = a_server(DEAF)
        catalog = connected(server)
        server.stick_readers("a")
        for _ in range(3):
            catalog.alter_alias("a", "c2")
            assert told_and_read(catalog) == ("c2", 1)
        catalog.alter_alias("a", "c3")
        assert told_and_read(catalog) == ("c3", 3)

    def test_stay_where_they_were_first(self) -> None:
        server = a_server(DEAF)
        catalog = connected(server)
        server.stick_readers("a", alters=2)
        catalog.alter_alias("a", "c2")
        catalog.alter_alias("a", "c3")
        assert told_and_read(catalog) == ("c3", 1)

    def test_find_the_way_in_the_end(self) -> None:
        server = a_server(DEAF)
        catalog = connected(server)
        server.stick_readers("a")
        catalog.alter_alias("a", "c2")
        server.unstick_readers("a")
        assert told_and_read(catalog) == ("c2", 2)

    def test_may_be_those_of_one_proxy(self) -> None:
        server = a_server(HEALING)
        here, there = connected(server, "proxy-1"), connected(server, "proxy-2")
        server.stick_readers("a", address="proxy-2")
        here.alter_alias("a", "c2")
        assert (told_and_read(here), told_and_read(there)) == (("c2", 2), ("c2", 1))

    def test_are_forgotten_with_the_alias(self) -> None:
        server = a_server(HEALING)
        catalog = connected(server)
        server.stick_readers("a")
        catalog.alter_alias("a", "c2")
        catalog.drop_alias("a")
        catalog.create_alias("a", "c3")
        assert told_and_read(catalog) == ("c3", 3)


class TestRows:
    def test_with_a_key_that_is_there_replace_it(self) -> None:
        server = a_server(HEALING)
        server.insert("a", [row(0) | {"note": "new"}, row(7)])
        assert connected(server).rows("c1", "id", [0, 7], ["note"]) == {0: {"note": "new"}, 7: {}}

    def test_are_deleted_by_key(self) -> None:
        server = a_server(HEALING)
        server.delete("c3", [1, 99])
        assert connected(server).sample_keys("c3", "id", 9) == (0, 2)

    def test_of_a_collection_that_exists_are_left_alone(self) -> None:
        server = a_server(HEALING)
        server.create_collection("c1", rows=[row(5)])
        assert connected(server).sample_keys("c1", "id", 9) == (0,)


@pytest.mark.parametrize(
    ("filter_", "passes"),
    [
        ("", True),
        ("n == 5", True),
        ("n != 5", False),
        ("n < 5 or n <= 5", True),
        ("n > 5", False),
        ('word in ["tea", "rum"] and n >= -1', True),
        ('word not in ["tea"]', False),
        ('not (word == "tea")', False),
        ("gone == 1", False),
        ("gone != 1", False),
    ],
)
def test_a_filter(filter_: str, passes: bool) -> None:
    assert parse_filter(filter_)({"n": 5, "word": "tea"}) is passes


@pytest.mark.parametrize(
    "filter_", ["n =", "n", "n == m", "f(n) == 1", "1 < n < 3", "5 == n", "n like 'x%'", 'n > "x"']
)
def test_a_filter_that_is_none_or_not_known(filter_: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        parse_filter(filter_)({"n": 5})
