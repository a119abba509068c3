"""What `Catalog` means where it reads schemas, indexes and data: on the fake and on real servers.

See `test_contract.py`. Collections are dear on a real server, so tests that change nothing share a room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from reconciler.catalog import Catalog
from reconciler.catalog.memory import Flavour
from reconciler.catalog.port import MAX_KEYS, MAX_LIMIT, MAX_VECTORS
from reconciler.core.errors import CatalogError, CollectionNotFound, NotLoaded, UnexpectedAnswer
from reconciler.core.model import DEFAULT_DATABASE, Field, Index, Schema
from tests.builders import vector_schema
from tests.catalog.conftest import SERVERS, backend_named
from tests.servers import EMULATED, Backend, Room, opened_room

LITE = Flavour.LITE

NUMBERS = [{"id": n, "vector": [float(n), 0.0, 0.0, 0.5], "size": n * 10} for n in range(1, 6)]
"""With a dynamic field; the nearest of n by L2 is n itself."""

ODD_KEYS = ["plain", 'quo"te', "back\\slash", "it's", "äöü ✓", "two\nlines", "{curly}", "", "\x01\t\r"]
WORDS = [{"id": key, "vector": [1.0, float(n), 0.0], "rank": n} for n, key in enumerate(ODD_KEYS)]
"""The nearest by inner product is always the last one."""

RANK = Field("rank", "INT64")

READS: dict[str, Callable[[Catalog, str], object]] = {
    "count": lambda catalog, name: catalog.count(name),
    "sample_keys": lambda catalog, name: catalog.sample_keys(name, "id", 3),
    "rows": lambda catalog, name: catalog.rows(name, "id", [1], ["size"]),
    "eventual rows": lambda catalog, name: catalog.rows(name, "id", [1], ["size"], strong=False),
    "search": lambda catalog, name: catalog.search(name, "vector", [(1.0, 0.0, 0.0, 0.0)], limit=2),
}


@pytest.fixture(scope="module", params=[name for name in SERVERS if name not in EMULATED[1:-1]])
def stocked(request: pytest.FixtureRequest) -> Backend:
    return backend_named(request, request.param)


@pytest.fixture(scope="module", params=["default", "other"])
def shelf(stocked: Backend, request: pytest.FixtureRequest) -> Iterator[Room]:
    """A room with collections that no test changes, and with the alias `a` of `numbers`."""
    database = DEFAULT_DATABASE if request.param == "default" else stocked.other_database
    with opened_room(stocked, database) as room:
        room.create("numbers", NUMBERS)
        room.create("words", WORDS, schema=vector_schema(3, RANK, key="VARCHAR", dynamic=False), metric="IP")
        room.create("empty")
        room.create("unloaded", NUMBERS, loaded=False)
        room.catalog.create_alias(room.name("a"), room.name("numbers"))
        yield room


@pytest.fixture(params=["numbers", "a"])
def numbers(shelf: Room, request: pytest.FixtureRequest) -> str:
    """The collection by its name, and by its alias."""
    return shelf.name(request.param)


class TestCount:
    def test_is_exact(self, shelf: Room, numbers: str) -> None:
        assert shelf.catalog.count(numbers) == len(NUMBERS)

    def test_of_nothing(self, shelf: Room) -> None:
        assert shelf.catalog.count(shelf.name("empty")) == 0

    def test_of_the_rows_that_pass_a_filter(self, shelf: Room, numbers: str) -> None:
        """By a declared field, and by a dynamic one, which no row need have."""
        assert shelf.catalog.count(numbers, "id >= 2 and id <= 3") == 2
        assert shelf.catalog.count(numbers, "size > 30") == 2
        assert shelf.catalog.count(shelf.name("words"), "rank >= 7") == len(WORDS) - 7
        assert shelf.catalog.count(shelf.name("words"), "rank > 1800000000000000000") == 0

    def test_sees_what_was_just_written_and_deleted(self, room: Room) -> None:
        name = room.create("c", NUMBERS)
        room.backend.admin.insert(name, [NUMBERS[0] | {"id": 6}], room.database)
        assert room.catalog.count(name) == len(NUMBERS) + 1
        room.backend.admin.delete(name, [1, 2], room.database)
        assert room.catalog.count(name) == len(NUMBERS) - 1


class TestSampleKeys:
    def test_are_keys_that_are_there(self, shelf: Room, numbers: str) -> None:
        some = shelf.catalog.sample_keys(numbers, "id", 2)
        assert len(some) == len(set(some)) == 2
        assert set(some) < {row["id"] for row in NUMBERS}

    def test_may_be_all(self, shelf: Room) -> None:
        assert set(shelf.catalog.sample_keys(shelf.name("words"), "id", MAX_LIMIT)) == set(ODD_KEYS)

    def test_of_nothing(self, shelf: Room) -> None:
        assert shelf.catalog.sample_keys(shelf.name("empty"), "id", 5) == ()


class TestRows:
    @pytest.mark.parametrize("strong", [True, False])
    def test_are_those_that_are_there(self, shelf: Room, numbers: str, strong: bool) -> None:
        found = shelf.catalog.rows(numbers, "id", [3, 99, 1], ["size", "vector", "never"], strong=strong)
        assert found == {
            1: {"size": 10, "vector": (1.0, 0.0, 0.0, 0.5)},
            3: {"size": 30, "vector": (3.0, 0.0, 0.0, 0.5)},
        }

    def test_of_no_keys(self, shelf: Room) -> None:
        calls = shelf.catalog.calls
        assert shelf.catalog.rows(shelf.name("numbers"), "id", [], ["size"]) == {}
        assert shelf.catalog.calls == calls

    @pytest.mark.parametrize("fields", [[], ["id"]])
    def test_need_no_fields(self, shelf: Room, fields: list[str]) -> None:
        assert shelf.catalog.rows(shelf.name("numbers"), "id", [1], fields) == {1: {"id": 1} if fields else {}}

    def test_by_keys_that_want_quoting(self, shelf: Room) -> None:
        found = shelf.catalog.rows(shelf.name("words"), "id", ODD_KEYS, ["rank"])
        assert found == {key: {"rank": n} for n, key in enumerate(ODD_KEYS)}
        for key in ODD_KEYS:
            assert list(shelf.catalog.rows(shelf.name("words"), "id", [key], ["rank"])) == [key]

    def test_of_a_field_that_there_is_not(self, shelf: Room) -> None:
        """Without dynamic fields that is a mistake, which Milvus Lite overlooks."""
        if shelf.flavour is LITE:
            assert shelf.catalog.rows(shelf.name("words"), "id", ["plain"], ["never"]) == {"plain": {}}
        else:
            with pytest.raises(UnexpectedAnswer):
                shelf.catalog.rows(shelf.name("words"), "id", ["plain"], ["never"])

    def test_as_many_as_may_be_asked_for(self, shelf: Room) -> None:
        assert len(shelf.catalog.rows(shelf.name("numbers"), "id", range(MAX_KEYS), ["size"])) == len(NUMBERS)


class TestSearch:
    @pytest.mark.parametrize("strong", [True, False])
    def test_the_nearest_first_for_each_vector(self, shelf: Room, numbers: str, strong: bool) -> None:
        vectors = [(4.1, 0.0, 0.0, 0.5), (1.2, 0.0, 0.0, 0.5)]
        assert shelf.catalog.search(numbers, "vector", vectors, limit=3, strong=strong) == ((4, 5, 3), (1, 2, 3))

    def test_by_the_metric_of_the_index(self, shelf: Room) -> None:
        found = shelf.catalog.search(shelf.name("words"), "vector", [(0.0, 1.0, 0.0)], limit=2)
        assert found == ((ODD_KEYS[-1], ODD_KEYS[-2]),)

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ("size >= 30", (3, 4)),
            ("size in [10, 50]", (1, 5)),
            ("size == 20", (2,)),
            ("size > 10 and not (size == 20 or size < 5)", (3, 4)),
            ("size == 15", ()),
            ("never == 1", ()),
        ],
    )
    def test_among_what_the_filter_passes(self, shelf: Room, where: str, expected: tuple[int, ...]) -> None:
        vectors = [(1.0, 0.0, 0.0, 0.5)]
        assert shelf.catalog.search(shelf.name("numbers"), "vector", vectors, limit=2, where=where) == (expected,)

    def test_finds_nothing_where_there_is_nothing(self, shelf: Room) -> None:
        assert shelf.catalog.search(shelf.name("empty"), "vector", [(0.0,) * 4] * 2, limit=2) == ((), ())

    def test_of_no_vectors(self, shelf: Room) -> None:
        calls = shelf.catalog.calls
        assert shelf.catalog.search(shelf.name("numbers"), "vector", [], limit=2) == ()
        assert shelf.catalog.calls == calls

    @pytest.mark.parametrize(
        ("field", "vector", "where"),
        [("vector", (1.0, 2.0), ""), ("no_field", (0.0, 0.0, 0.0), ""), ("vector", (0.0, 0.0, 0.0), "rank ==")],
        ids=["dimension", "field", "filter"],
    )
    def test_that_makes_no_sense(self, shelf: Room, field: str, vector: tuple[float, ...], where: str) -> None:
        with pytest.raises(UnexpectedAnswer):
            shelf.catalog.search(shelf.name("words"), field, [vector], limit=2, where=where)

    def test_as_much_as_may_be_asked_for(self, shelf: Room) -> None:
        found = shelf.catalog.search(shelf.name("numbers"), "vector", [(0.0,) * 4] * MAX_VECTORS, limit=MAX_LIMIT)
        assert found == ((1, 2, 3, 4, 5),) * MAX_VECTORS

    def test_in_one_of_several_vector_fields(self, room: Room) -> None:
        if room.flavour is Flavour.MILVUS_2_3:
            pytest.skip("a collection has one vector field there")
        schema = vector_schema(2, Field("other", "FLOAT_VECTOR", dimension=3))
        rows = [{"id": n, "vector": [float(n), 0.0], "other": [-float(n), 0.0, 0.0]} for n in range(1, 4)]
        name = room.create("c", rows, schema=schema, metric="IP")
        assert room.catalog.search(name, "vector", [(1.0, 0.0)], limit=2) == ((3, 2),)
        assert room.catalog.search(name, "other", [(1.0, 0.0, 0.0)], limit=2) == ((1, 2),)
        assert {index.field for index in room.catalog.indexes(name)} == {"vector", "other"}


@pytest.mark.parametrize("read", READS)
class TestEveryReadOfData:
    def test_of_a_collection_that_is_not_loaded(self, shelf: Room, read: str) -> None:
        if shelf.flavour is LITE and read == "count":
            assert shelf.catalog.count(shelf.name("unloaded")) == len(NUMBERS)
        else:
            with pytest.raises(NotLoaded):
                READS[read](shelf.catalog, shelf.name("unloaded"))

    def test_of_a_collection_that_does_not_exist(self, shelf: Room, read: str) -> None:
        with pytest.raises(CollectionNotFound):
            READS[read](shelf.catalog, shelf.name("nope"))

    def test_is_one_call(self, shelf: Room, read: str) -> None:
        shelf.catalog.server_version()
        calls = shelf.catalog.calls
        READS[read](shelf.catalog, shelf.name("a"))
        assert shelf.catalog.calls == calls + 1


class TestAMovedAlias:
    """It moves behind the back of a client that has read through it, to a collection that looks quite different."""

    def test_is_read_where_it_is_now(self, room: Room) -> None:
        old = room.create("old", NUMBERS)
        schema = Schema((Field("word", "VARCHAR", primary=True, length=20), Field("rest", "FLOAT_VECTOR", dimension=2)))
        new = room.create("new", [{"word": "x", "rest": [1.0, 2.0]}], schema=schema, metric="COSINE")
        alias = room.name("a")
        room.catalog.create_alias(alias, old)
        for read in READS.values():
            read(room.catalog, alias)
        assert room.catalog.schema(alias) == room.catalog.schema(old)

        mover = room.backend.connect(room.backend.connection, room.database)
        mover.alter_alias(alias, new)
        mover.close()
        assert room.catalog.count(alias) == 1
        assert room.catalog.sample_keys(alias, "word", 9) == ("x",)
        assert room.catalog.rows(alias, "word", ["x"], ["rest"]) == {"x": {"rest": (1.0, 2.0)}}
        assert room.catalog.search(alias, "rest", [(1.0, 0.0)], limit=9) == (("x",),)
        assert room.catalog.schema(alias) == room.catalog.schema(new) == schema
        assert [index.metric for index in room.catalog.indexes(alias)] == ["COSINE"]

    def test_that_is_gone(self, room: Room) -> None:
        alias = room.name("a")
        room.catalog.create_alias(alias, room.create("old", NUMBERS))
        assert room.catalog.count(alias) == len(NUMBERS)
        room.catalog.drop_alias(alias)
        for read in READS.values():
            with pytest.raises(CollectionNotFound):
                read(room.catalog, alias)


class TestSchema:
    WIDE = Schema(
        fields=(
            Field("id", "VARCHAR", primary=True, length=36),
            Field("vector", "FLOAT_VECTOR", dimension=8),
            Field("title", "VARCHAR", length=200),
            Field("year", "INT16"),
            Field("price", "DOUBLE"),
            Field("extra", "JSON"),
            Field("tags", "ARRAY<VARCHAR>", length=20, capacity=5),
        ),
        dynamic=True,
        properties={"embedding_model": "bge-m3"},
        description="revision 7",
    )

    def test_is_what_it_was_made_with(self, room: Room) -> None:
        name = room.create("c", schema=self.WIDE, loaded=False, indexes=())
        room.catalog.create_alias(room.name("a"), name)
        kept = self.WIDE
        if room.flavour is LITE:  # it forgets these
            *fields, tags = kept.fields
            kept = replace(kept, fields=(*fields, replace(tags, length=None)), description="")
        assert room.catalog.schema(name) == room.catalog.schema(room.name("a")) == kept

    def test_with_keys_that_the_server_makes(self, room: Room) -> None:
        fields = (Field("id", "INT64", primary=True, auto_id=True), Field("vector", "FLOAT_VECTOR", dimension=2))
        name = room.create("c", schema=Schema(fields), loaded=False, indexes=())
        assert room.catalog.schema(name) == Schema(fields)

    def test_with_fields_that_may_be_missing(self, room: Room) -> None:
        if room.flavour is Flavour.MILVUS_2_3:
            pytest.skip("nullable fields came with 2.5")
        optional = Field("note", "VARCHAR", length=9, nullable=True), Field("level", "INT32", has_default=True)
        schema = vector_schema(2, *optional)
        assert room.catalog.schema(room.create("c", schema=schema, loaded=False, indexes=())) == schema

    def test_of_a_collection_that_does_not_exist(self, room: Room) -> None:
        with pytest.raises(CollectionNotFound):
            room.catalog.schema(room.name("nope"))


class TestIndexes:
    def test_of_an_alias_too(self, shelf: Room, numbers: str) -> None:
        calls = shelf.catalog.calls
        assert shelf.catalog.indexes(numbers) == (Index("vector", "FLAT", "L2"),)
        assert shelf.catalog.calls == calls + 2
        assert shelf.catalog.indexes(shelf.name("words")) == (Index("vector", "FLAT", "IP"),)

    def test_may_be_none(self, room: Room) -> None:
        assert room.catalog.indexes(room.create("c", loaded=False, indexes=())) == ()

    def test_of_a_collection_that_does_not_exist(self, room: Room) -> None:
        with pytest.raises(CollectionNotFound):
            room.catalog.indexes(room.name("nope"))


@pytest.mark.parametrize("limit", [0, MAX_LIMIT + 1])
def test_too_much_for_one_call_is_refused_before_it(shelf: Room, limit: int) -> None:
    name, catalog = shelf.name("numbers"), shelf.catalog
    calls = catalog.calls
    for ask in (
        lambda: catalog.sample_keys(name, "id", limit),
        lambda: catalog.search(name, "vector", [(0.0,) * 4], limit=limit),
        lambda: catalog.search(name, "vector", [(0.0,) * 4] * (MAX_VECTORS + 1), limit=1),
        lambda: catalog.rows(name, "id", range(MAX_KEYS + 1), ["size"]),
    ):
        with pytest.raises(ValueError, match="too much for one call"):
            ask()
    assert catalog.calls == calls


def test_errors_are_ours(shelf: Room) -> None:
    with pytest.raises(CatalogError):
        shelf.catalog.sample_keys(shelf.name("numbers"), "no_field", 1)
