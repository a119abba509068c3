"""`read_live`: the whole of what a diff needs, in exactly the calls that its docstring promises."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from reconciler.catalog.memory import Flavour, MemoryCatalog, MemoryServer
from reconciler.catalog.read import locate, read_live
from reconciler.core.errors import CallTimedOut, PermissionDenied
from reconciler.core.model import Alias, AliasSet, Collection, LiveCatalog, Scope, Target
from tests.servers import connection_to

TARGET = Target("memory", "default")


def a_set(*aliases: Alias, scope: Scope = Scope()) -> AliasSet:
    return AliasSet("s", "", "c", connection_to("memory"), aliases=aliases, scope=scope)


def a_server(pointing: dict[str, str], *more: str, flavour: Flavour = Flavour.MILVUS_2_6) -> MemoryServer:
    server = MemoryServer(flavour)
    for name in sorted({*pointing.values(), *more}):
        server.create_collection(name)
    catalog = open_on(server)
    for alias, collection in pointing.items():
        catalog.create_alias(alias, collection)
    return server


def open_on(server: MemoryServer) -> MemoryCatalog:
    return server.connect(connection_to("memory"), "default")


def read(server: MemoryServer, sets: Sequence[AliasSet]) -> LiveCatalog:
    return read_live(open_on(server), TARGET, sets)


class TestCalls:
    def test_many_aliases_on_few_collections(self) -> None:
        pointing = {f"a{n:03}": f"c{n % 3}" for n in range(300)}
        live = read(a_server(pointing), [a_set(*(Alias(*item) for item in pointing.items()))])
        assert live.calls == 3 + 3
        assert live.pointing == pointing
        assert live.described == {}

    def test_one_alias_a_collection(self) -> None:
        pointing = {f"a{n:03}": f"c{n:03}" for n in range(50)}
        live = read(a_server(pointing), [a_set(*(Alias(*item) for item in pointing.items()))])
        assert live.calls == 3 + 50
        assert live.pointing == pointing

    @pytest.mark.parametrize(("flavour", "described"), [(Flavour.MILVUS_2_6, 0), (Flavour.LITE, 2)])
    def test_a_change_describes_both_ends_where_the_list_of_collections_has_no_ids(
        self, flavour: Flavour, described: int
    ) -> None:
        server = a_server({"a": "c1", "b": "c1"}, "c2", flavour=flavour)
        live = read(server, [a_set(Alias("a", "c2"), Alias("b", "c1"))])
        assert live.calls == 3 + 2 + described
        assert live.described == {"c1": open_on(server).describe("c1"), "c2": open_on(server).describe("c2")}

    def test_a_collection_that_the_caller_may_not_see_is_described(self) -> None:
        class Restricted(MemoryCatalog):
            def collections(self) -> dict[str, Collection]:
                return {name: collection for name, collection in super().collections().items() if name != "hidden"}

        server = a_server({"a": "c1"}, "hidden")
        live = read_live(Restricted(server, "default"), TARGET, [a_set(Alias("a", "hidden"))])
        assert live.calls == 3 + 1 + 1
        assert live.described == {"c1": open_on(server).describe("c1"), "hidden": open_on(server).describe("hidden")}

    def test_many_aliases_move_together(self) -> None:
        """The usual switch: all of them are still on the old collection, and wanted on the new."""
        pointing = {f"a{n}": "old" for n in range(5)}
        live = read(a_server(pointing, "new"), [a_set(*(Alias(alias, "new") for alias in pointing))])
        assert live.calls == 3 + (1 + 5)
        assert live.pointing == pointing
        assert set(live.described) == {"old", "new"}

    def test_nothing_wanted(self) -> None:
        assert read(a_server({"a": "c1"}), [a_set()]).calls == 3

    def test_a_catalog_used_before(self) -> None:
        catalog = open_on(a_server({"a": "c1"}))
        first, second = (read_live(catalog, TARGET, [a_set(Alias("a", "c1"))]) for _ in range(2))
        assert (first.calls, second.calls) == (4, 4), "the version is read again, which an upgrade may have changed"


class TestContent:
    def test_of_an_alias_that_does_not_exist_yet(self) -> None:
        live = read(a_server({}, "c1"), [a_set(Alias("a", "c1"), Alias("b", "nope"))])
        assert live.aliases == set()
        assert live.pointing == {}
        assert live.described == {"c1": Collection("c1", 1), "nope": None}
        assert live.collections == {"c1"}

    def test_of_absent_ones(self) -> None:
        live = read(a_server({"a": "c1"}, "c2"), [a_set(Alias("a", None), Alias("b", None))])
        assert live.pointing == {"a": "c1"}
        assert set(live.described) == {"c1"}

    def test_of_a_scope(self) -> None:
        server = a_server({"x_1": "c1", "x_2": "c2", "x_keep": "c3", "x_tmp": "c4", "y": "c5"})
        scope = Scope(include=("x_*",), exclude=("x_t*",), protect=("x_k*",))
        live = read(server, [a_set(scope=scope)])
        assert live.pointing == {"x_1": "c1", "x_2": "c2"}
        assert set(live.described) == {"c1", "c2"}
        assert live.aliases == {"x_1", "x_2", "x_keep", "x_tmp", "y"}

    def test_of_a_protected_alias_that_is_listed(self) -> None:
        server = a_server({"x_keep": "c1"}, "c2")
        live = read(server, [a_set(Alias("x_keep", "c2"), scope=Scope(include=("x_*",), protect=("x_keep",)))])
        assert live.pointing == {"x_keep": "c1"}

    def test_of_an_alias_that_one_set_lists_and_another_covers(self) -> None:
        """It is the lister's: nothing of it is to be dropped, so nothing is described."""
        live = read(a_server({"x": "c1"}), [a_set(Alias("x", "c1")), a_set(scope=Scope(include=("x",)))])
        assert live.pointing == {"x": "c1"}
        assert live.described == {}

    def test_of_a_wish_whose_collection_is_an_alias(self) -> None:
        live = read(a_server({"a": "c1", "b": "c2"}), [a_set(Alias("a", "b"))])
        assert set(live.described) == {"c1"}

    def test_of_a_dangling_alias(self) -> None:
        server = a_server({"a": "c1"}, "c2", flavour=Flavour.MILVUS_2_3)
        server.drop_collection("c1")
        live = read(server, [a_set(Alias("a", "c2"))])
        assert live.aliases == set()
        assert live.pointing == {}

    @pytest.mark.parametrize(("flavour", "dangles"), [(Flavour.MILVUS_2_3, True), (Flavour.LITE, False)])
    def test_of_aliases_that_should_be_absent_and_may_dangle(self, flavour: Flavour, dangles: bool) -> None:
        server = a_server({"a": "c1", "b": "c2"}, flavour=flavour)
        server.drop_collection("c1")
        live = read(server, [a_set(Alias("a", None), Alias("never", None), Alias("b", "c2"), Alias("new", "c2"))])
        assert live.dangling == {"a": dangles, "never": False}
        assert live.calls == 3 + 1 + (flavour is Flavour.LITE) + (0 if flavour is Flavour.LITE else 2)

    def test_of_an_alias_of_which_the_server_does_not_say_whether_it_dangles(self) -> None:
        server = a_server({"a": "c1"}, flavour=Flavour.MILVUS_2_3)
        server.drop_collection("c1")
        server.deny("ShowPartitions", "a")
        assert read(server, [a_set(Alias("a", None))]).dangling == {"a": None}

    def test_of_an_alias_that_goes_meanwhile(self) -> None:
        class Racing(MemoryCatalog):
            def resolve(self, alias: str) -> Collection | None:
                self.drop_alias(alias)
                return super().resolve(alias)

        live = read_live(Racing(a_server({"a": "c1"}), "default"), TARGET, [a_set(Alias("a", "c1"))])
        assert live.pointing == {"a": None}
        assert live.described == {"c1": Collection("c1", 1)}

    def test_without_the_right_to_list_collections(self) -> None:
        class Restricted(MemoryCatalog):
            def collections(self) -> dict[str, Collection]:
                raise PermissionDenied("no")

        live = read_live(Restricted(a_server({"a": "c1"}), "default"), TARGET, [a_set(Alias("a", "c1"))])
        assert live.collections == set()
        assert live.pointing == {"a": "c1"}

    def test_any_other_failure_is_told(self) -> None:
        class Broken(MemoryCatalog):
            def resolve(self, alias: str) -> Collection | None:
                raise CallTimedOut("late")

        with pytest.raises(CallTimedOut):
            read_live(Broken(a_server({"a": "c1"}), "default"), TARGET, [a_set(Alias("a", "c1"))])


class Slow(MemoryCatalog):
    """Answers in an order of its own, and notes how many wait at once."""

    at_once = most = 0
    guard = threading.Lock()

    def resolve(self, alias: str) -> Collection | None:
        with self.guard:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep((10 + hash(alias) % 7) / 1000)
        with self.guard:
            self.at_once -= 1
        return super().resolve(alias)


@pytest.mark.parametrize(("flavour", "most"), [(Flavour.MILVUS_2_6, 4), (Flavour.LITE, 1)])
def test_parallel_reading_gives_the_same(flavour: Flavour, most: int) -> None:
    pointing = {f"a{n:02}": f"c{n:02}" for n in range(40)}
    server = a_server(pointing, flavour=flavour)
    desired = [a_set(*(Alias(alias, pointing[alias]) for alias in reversed(pointing)))]
    catalog = Slow(server, "default", 4)
    live = read_live(catalog, TARGET, desired)
    assert catalog.most == most
    assert live == read(server, desired)
    assert list(live.pointing) == sorted(pointing)


class TestLocate:
    def test_finds_what_is_where_it_should_be_in_few_calls(self) -> None:
        server = a_server({"a": "c1", "b": "c1", "c": "c2"})
        catalog = open_on(server)
        catalog.server_version()
        assert locate(catalog, {"c": "c2", "b": "c1", "a": "c1"}) == {"a": "c1", "b": "c1", "c": "c2"}
        assert catalog.calls == 1 + 1 + 1

    def test_finds_what_is_elsewhere_or_gone(self) -> None:
        server = a_server({"a": "c1", "b": "c2"})
        assert locate(open_on(server), {"a": "c2", "b": "c2", "gone": "c2", "unknown": None}) == {
            "a": "c1",
            "b": "c2",
            "gone": None,
            "unknown": None,
        }
