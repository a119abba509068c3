"""What `Catalog` means: one suite over the fake and the real servers, in the default and in a second database.

Where servers differ, the backend's flavour decides what is expected; so each expectation about a fake is one about
the server it stands for.
"""

from __future__ import annotations

import pytest

from reconciler.catalog.memory import Flavour
from reconciler.catalog.port import AliasWrite, DataRead, ReadGrant
from reconciler.core.errors import (
    AliasAlreadyExists,
    AliasNotFound,
    CatalogError,
    CollectionNotFound,
    DatabaseNotFound,
    InvalidName,
    NameTakenByCollection,
    NotSupported,
)
from reconciler.core.model import LoadState
from tests.servers import Backend, MilvusAdmin, Room, opened_room

LITE = Flavour.LITE


def points_at(room: Room, alias: str) -> str | None:
    found = room.catalog.resolve(alias)
    return found.name if found else None


def refused_by_admin(room: Room) -> type[Exception]:
    """The error of an administrative operation: the fake's is ours, pymilvus's its own."""
    if isinstance(room.backend.admin, MilvusAdmin):
        from pymilvus import MilvusException

        return MilvusException  # type: ignore[no-any-return]
    return CatalogError


class TestCreate:
    def test_points_the_alias_at_the_collection(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        assert points_at(room, room.name("a")) == c1
        assert room.alias_names() == {"a"}

    def test_again_with_the_same_target(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        if room.flavour is LITE:
            with pytest.raises(AliasAlreadyExists):
                room.catalog.create_alias(room.name("a"), c1)
        else:
            room.catalog.create_alias(room.name("a"), c1)
        assert points_at(room, room.name("a")) == c1

    def test_with_another_target(self, room: Room) -> None:
        c1, c2 = room.collections("c1", "c2")
        room.catalog.create_alias(room.name("a"), c1)
        with pytest.raises(AliasAlreadyExists):
            room.catalog.create_alias(room.name("a"), c2)
        assert points_at(room, room.name("a")) == c1

    def test_with_the_name_of_a_collection(self, room: Room) -> None:
        c1, c2 = room.collections("c1", "c2")
        with pytest.raises(NameTakenByCollection):
            room.catalog.create_alias(c2, c1)

    def test_with_a_missing_target(self, room: Room) -> None:
        with pytest.raises(CollectionNotFound):
            room.catalog.create_alias(room.name("a"), room.name("nope"))
        assert room.alias_names() == set()

    def test_with_an_alias_as_target(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        if room.backend.resolves_alias_targets:
            room.catalog.create_alias(room.name("b"), room.name("a"))
            assert points_at(room, room.name("b")) == c1
        else:
            with pytest.raises(CollectionNotFound):
                room.catalog.create_alias(room.name("b"), room.name("a"))


class TestAlter:
    def test_moves_the_alias(self, room: Room) -> None:
        c1, c2 = room.collections("c1", "c2")
        room.catalog.create_alias(room.name("a"), c1)
        room.catalog.alter_alias(room.name("a"), c2)
        assert points_at(room, room.name("a")) == c2
        assert room.catalog.aliases_of(c1) == set()
        assert room.catalog.aliases_of(c2) == {room.name("a")}

    def test_to_the_same_target(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        room.catalog.alter_alias(room.name("a"), c1)
        assert points_at(room, room.name("a")) == c1

    def test_a_missing_alias(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        with pytest.raises(AliasNotFound):
            room.catalog.alter_alias(room.name("a"), c1)
        assert room.alias_names() == set()

    def test_to_a_missing_target(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        with pytest.raises(CollectionNotFound):
            room.catalog.alter_alias(room.name("a"), room.name("nope"))
        assert points_at(room, room.name("a")) == c1

    def test_the_name_of_a_collection(self, room: Room) -> None:
        c1, c2 = room.collections("c1", "c2")
        with pytest.raises(AliasNotFound if room.flavour is LITE else NameTakenByCollection):
            room.catalog.alter_alias(c2, c1)

    def test_to_an_alias(self, room: Room) -> None:
        c1, c2 = room.collections("c1", "c2")
        room.catalog.create_alias(room.name("a"), c1)
        room.catalog.create_alias(room.name("b"), c2)
        if room.backend.resolves_alias_targets:
            room.catalog.alter_alias(room.name("b"), room.name("a"))
            assert points_at(room, room.name("b")) == c1
        else:
            with pytest.raises(CollectionNotFound):
                room.catalog.alter_alias(room.name("b"), room.name("a"))


class TestDrop:
    def test_removes_the_alias_and_nothing_else(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        room.catalog.create_alias(room.name("b"), c1)
        room.catalog.drop_alias(room.name("a"))
        assert room.alias_names() == {"b"}
        assert points_at(room, room.name("a")) is None
        assert room.catalog.describe(c1) is not None

    def test_a_missing_alias_is_no_error(self, room: Room) -> None:
        room.catalog.drop_alias(room.name("a"))

    def test_a_collection_s_name_leaves_the_collection(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.drop_alias(c1)
        assert room.catalog.describe(c1) is not None


BAD_NAMES = ("1a", "a-b", "a b", "ä", "a" * 256, "a\n")


class TestNames:
    @pytest.mark.parametrize("bad", ["", *BAD_NAMES])
    def test_bad_names_are_refused_before_any_call(self, room: Room, bad: str) -> None:
        (c1,) = room.collections("c1")
        room.catalog.server_version()
        calls = room.catalog.calls
        for write in (room.catalog.create_alias, room.catalog.alter_alias):
            with pytest.raises(InvalidName):
                write(bad, c1)
        assert room.catalog.calls == calls

    @pytest.mark.parametrize("bad", BAD_NAMES)
    def test_reading_a_bad_name_finds_nothing(self, room: Room, bad: str) -> None:
        assert room.catalog.resolve(bad) is None
        assert room.catalog.describe(bad) is None
        assert room.catalog.load_state(bad) is LoadState.MISSING
        assert not room.catalog.aliases_of(bad)

    def test_the_longest_name_is_accepted(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        longest = room.prefix.ljust(255, "x")
        room.catalog.create_alias(longest, c1)
        assert points_at(room, longest) == c1


class TestResolve:
    def test_a_missing_alias(self, room: Room) -> None:
        assert room.catalog.resolve(room.name("a")) is None

    def test_a_collection_is_no_alias(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        assert room.catalog.resolve(c1) is None

    def test_tells_the_id_of_the_collection_if_any(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        found, described = room.catalog.resolve(room.name("a")), room.catalog.describe(c1)
        assert found is not None
        if room.flavour is Flavour.MILVUS_2_3:
            assert found == described
        else:
            assert found.id is None

    def test_follows_a_rename(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        room.backend.admin.rename_collection(c1, room.name("c1b"), room.database)
        assert points_at(room, room.name("a")) == room.name("c1b")
        assert room.catalog.aliases_of(room.name("c1b")) == {room.name("a")}


class TestDescribe:
    def test_gives_the_id(self, room: Room) -> None:
        c1, c2 = room.collections("c1", "c2")
        item, two = room.catalog.describe(c1), room.catalog.describe(c2)
        assert item is not None
        assert two is not None
        assert (item.name, two.name) == (c1, c2)
        if room.flavour is LITE:
            assert item.id is None
        else:
            assert item.id is not None
            assert item.id != two.id

    def test_another_collection_of_the_same_name_has_another_id(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        before = room.catalog.describe(c1)
        room.backend.admin.drop_collection(c1, room.database)
        assert room.catalog.describe(c1) is None
        room.collections("c1")
        after = room.catalog.describe(c1)
        assert after is not None
        assert room.flavour is LITE or after != before

    def test_an_alias_is_no_collection(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        assert room.catalog.describe(room.name("a")) is None

    def test_a_missing_collection(self, room: Room) -> None:
        assert room.catalog.describe(room.name("nope")) is None


class TestAliasesOf:
    def test_all_and_only_its_own(self, room: Room) -> None:
        c1, c2, c3 = room.collections("c1", "c2", "c3")
        room.catalog.create_alias(room.name("a"), c1)
        room.catalog.create_alias(room.name("b"), c1)
        room.catalog.create_alias(room.name("c"), c2)
        assert room.catalog.aliases_of(c1) == {room.name("a"), room.name("b")}
        assert room.catalog.aliases_of(c2) == {room.name("c")}
        assert room.catalog.aliases_of(c3) == set()

    def test_a_missing_collection(self, room: Room) -> None:
        assert room.catalog.aliases_of(room.name("nope")) == (set() if room.flavour is LITE else None)

    def test_an_alias_is_no_collection(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        assert room.catalog.aliases_of(room.name("a")) is None


class TestDroppedCollection:
    def test_its_aliases(self, room: Room) -> None:
        """They dangle on 2.3.5, are in the way on 2.6, go with it on Lite."""
        c1, c2 = room.collections("c1", "c2")
        alias = room.name("a")
        room.catalog.create_alias(alias, c1)
        if room.backend.keeps_aliased_collections:
            with pytest.raises(refused_by_admin(room)):
                room.backend.admin.drop_collection(c1, room.database)
            assert points_at(room, alias) == c1
            return

        room.backend.admin.drop_collection(c1, room.database)
        assert room.alias_names() == set()
        assert room.catalog.resolve(alias) is None
        if room.flavour is LITE:
            room.catalog.create_alias(alias, c2)
        else:
            with pytest.raises(AliasAlreadyExists):
                room.catalog.create_alias(alias, c2)
            assert room.catalog.resolve(alias) is None
            room.catalog.alter_alias(alias, c2)
        assert points_at(room, alias) == c2
        assert room.alias_names() == {"a"}

    def test_which_names_a_dangling_alias_holds(self, room: Room) -> None:
        c1, c2 = room.collections("c1", "c2")
        room.catalog.create_alias(room.name("a"), c1)
        room.catalog.create_alias(room.name("b"), c2)
        if not room.backend.keeps_aliased_collections:
            room.backend.admin.drop_collection(c1, room.database)
        dangles = room.catalog.dangles(room.name("a"))
        assert dangles is (not room.backend.keeps_aliased_collections and room.flavour is not LITE)
        assert [room.catalog.dangles(name) for name in (room.name("b"), c2, room.name("nope"))] == [False] * 3
        room.catalog.drop_alias(room.name("a"))
        assert room.catalog.dangles(room.name("a")) is False

    def test_its_alias_can_be_dropped_even_if_it_dangles(self, room: Room) -> None:
        c1, c2 = room.collections("c1", "c2")
        room.catalog.create_alias(room.name("a"), c1)
        if not room.backend.keeps_aliased_collections:
            room.backend.admin.drop_collection(c1, room.database)
        room.catalog.drop_alias(room.name("a"))
        room.catalog.create_alias(room.name("a"), c2)
        assert points_at(room, room.name("a")) == c2

    def test_by_its_alias(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        if room.flavour is LITE:
            room.backend.admin.drop_collection(room.name("a"), room.database)
            assert room.catalog.describe(c1) is None
        else:
            with pytest.raises(refused_by_admin(room)):
                room.backend.admin.drop_collection(room.name("a"), room.database)
            assert room.catalog.describe(c1) is not None


class TestCollectionTakesAnAliasName:
    def test_by_create(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        with pytest.raises(refused_by_admin(room)):
            room.collections("a")

    def test_by_rename(self, room: Room) -> None:
        c1, c2 = room.collections("c1", "c2")
        room.catalog.create_alias(room.name("a"), c1)
        with pytest.raises(refused_by_admin(room)):
            room.backend.admin.rename_collection(c2, room.name("a"), room.database)
        assert points_at(room, room.name("a")) == c1


class TestLoad:
    def test_state_and_replicas(self, room: Room) -> None:
        (c1,) = room.collections("c1")
        room.backend.admin.load(c1, room.database)
        assert room.catalog.load_state(c1) is LoadState.LOADED
        if room.flavour is LITE:
            with pytest.raises(NotSupported):
                room.catalog.replicas(c1)
        else:
            assert room.catalog.replicas(c1) == 1

        room.backend.admin.release(c1, room.database)
        assert room.catalog.load_state(c1) is LoadState.NOT_LOADED
        if room.flavour is not LITE:
            assert room.catalog.replicas(c1) == 0

    def test_partitions(self, room: Room) -> None:
        """The collection is loaded as soon as any of them is; on Milvus Lite, all are or none."""
        (c1,) = room.collections("c1")
        for name in ("p1", "p2"):
            room.backend.admin.create_partition(c1, name, room.database)
        room.backend.admin.load(c1, room.database)
        assert room.catalog.partitions(c1) == {"_default": True, "p1": True, "p2": True}

        if room.flavour is not LITE:
            for name in ("_default", "p2"):
                room.backend.admin.release_partition(c1, name, room.database)
            assert room.catalog.load_state(c1) is LoadState.LOADED
            assert room.catalog.partitions(c1) == {"_default": False, "p1": True, "p2": False}

        room.backend.admin.release(c1, room.database)
        assert room.catalog.partitions(c1) == {"_default": False, "p1": False, "p2": False}

    def test_partitions_of_a_missing_collection(self, room: Room) -> None:
        with pytest.raises(CollectionNotFound):
            room.catalog.partitions(room.name("nope"))

    def test_a_missing_collection(self, room: Room) -> None:
        assert room.catalog.load_state(room.name("nope")) is LoadState.MISSING
        with pytest.raises(CollectionNotFound):
            room.catalog.replicas(room.name("nope"))


class TestPermits:
    @pytest.mark.parametrize("write", AliasWrite)
    def test_where_nobody_asks_for_privileges(self, room: Room, write: AliasWrite) -> None:
        """And what is there stays: aliases with short names too, which a drop by prefix would take along."""
        (c1,) = room.collections("c1")
        room.catalog.create_alias(room.name("a"), c1)
        assert room.catalog.permits(write) is True
        assert room.alias_names() == {"a"}
        assert points_at(room, room.name("a")) == c1


def test_collections_come_with_the_ids_that_describing_them_tells(room: Room) -> None:
    c1, c2 = room.collections("c1", "c2")
    room.catalog.create_alias(room.name("a"), c1)
    listed = {
        name: collection for name, collection in room.catalog.collections().items() if name.startswith(room.prefix)
    }
    assert listed == {name: room.catalog.describe(name) for name in (c1, c2)}
    assert all((item.id is None) is (room.flavour is LITE) for item in listed.values())


class TestDatabases:
    def test_one_alias_name_in_two_databases(self, backend: Backend) -> None:
        with opened_room(backend, "default") as here, opened_room(backend, backend.other_database) as there:
            there.prefix = here.prefix
            (c1,) = here.collections("c1")
            (c2,) = there.collections("c2")
            alias = here.name("a")
            here.catalog.create_alias(alias, c1)
            assert there.catalog.resolve(alias) is None
            there.catalog.create_alias(alias, c2)
            assert (points_at(here, alias), points_at(there, alias)) == (c1, c2)

            there.catalog.drop_alias(alias)
            assert (here.alias_names(), there.alias_names()) == ({"a"}, set())
            assert points_at(here, alias) == c1

    def test_the_same_collection_name_is_another_collection(self, backend: Backend) -> None:
        with opened_room(backend, "default") as here, opened_room(backend, backend.other_database) as there:
            there.prefix = here.prefix
            (c1,) = here.collections("c1")
            there.collections("c1")
            here.catalog.create_alias(here.name("a"), c1)
            assert here.catalog.aliases_of(c1) == {here.name("a")}
            assert there.catalog.aliases_of(c1) == set()

    def test_a_missing_one(self, backend: Backend) -> None:
        catalog = backend.connect(backend.connection, "no_such_database")
        assert catalog.server_version()
        for ask in (
            catalog.alias_names,
            catalog.collections,
            lambda: catalog.create_alias("a", "c"),
            lambda: catalog.alter_alias("a", "c"),
            lambda: catalog.drop_alias("a"),
        ):
            with pytest.raises(DatabaseNotFound):
                ask()
        catalog.close()

    def test_all_are_listed(self, backend: Backend) -> None:
        catalog = backend.connect(backend.connection, backend.other_database)
        assert {"default", backend.other_database} <= catalog.databases()
        catalog.close()


class TestServer:
    def test_version_and_concurrency(self, backend: Backend) -> None:
        catalog = backend.connect(backend.connection, "default")
        version = catalog.server_version()
        assert ("milvus_lite" in version) is (backend.flavour is LITE)
        assert catalog.concurrency == (1 if backend.flavour is LITE else backend.connection.concurrency)
        catalog.close()

    def test_calls(self, backend: Backend) -> None:
        catalog = backend.connect(backend.connection, "default")
        assert catalog.calls == 0
        catalog.alias_names()
        assert catalog.calls == 1 + backend.version_calls, "the list, and the version before it"
        catalog.server_version()
        assert catalog.calls == 1 + backend.version_calls, "the version is asked once"
        catalog.collections()
        assert catalog.calls == 2 + backend.version_calls
        catalog.forget_version()
        catalog.collections()
        catalog.collections()
        assert catalog.calls == 4 + 2 * backend.version_calls, "once more before the next call"
        catalog.close()


class TestReadGrants:
    def test_are_those_of_this_database_and_of_all(self, room: Room) -> None:
        role, other = room.name("readers"), room.name("searchers")
        if room.flavour is LITE:
            assert room.catalog.read_grants() == {}
            return
        admin, elsewhere = room.backend.admin, "other" if room.database == "default" else "default"
        admin.grant(role, DataRead.QUERY, room.name("c1"), room.database)
        admin.grant(role, DataRead.SEARCH, "*", "*")
        admin.grant(other, DataRead.SEARCH, room.name("c2"), elsewhere)
        found = room.catalog.read_grants()
        assert found[role] == {ReadGrant(DataRead.QUERY, room.name("c1")), ReadGrant(DataRead.SEARCH, "*")}
        assert found[other] == frozenset()
        assert "public" in found
        assert "admin" not in found

    def test_a_server_that_was_reached_without_a_token_requires_none(self, room: Room) -> None:
        assert room.catalog.requires_token() is False
