"""Reads of schemas, indexes and data, as they go over the wire: how many calls, how often, for how long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from reconciler.catalog import Catalog, connect
from reconciler.core.errors import CallTimedOut, ConnectionFailed, NotLoaded, UnexpectedAnswer
from reconciler.core.model import Field, Function, Index, Schema
from tests.catalog.test_trouble import takes_at_most
from tests.servers import ToyMilvus, aborting, connection_to, slow, status

Type = schema_pb2.DataType

LONGS = schema_pb2.LongArray(data=[7])
KEYS = schema_pb2.FieldData(field_name="id", type=Type.Int64, scalars=schema_pb2.ScalarField(long_data=LONGS))
COUNT = schema_pb2.FieldData(field_name="count(*)", type=Type.Int64, scalars=schema_pb2.ScalarField(long_data=LONGS))


def answering_query(request: bytes, _context: grpc.ServicerContext) -> Any:
    asked = milvus_pb2.QueryRequest.FromString(request).output_fields
    return milvus_pb2.QueryResults(status=status(), fields_data=[COUNT if "count(*)" in asked else KEYS])


HITS = schema_pb2.SearchResultData(
    num_queries=1, top_k=1, topks=[1], scores=[0.5], ids=schema_pb2.IDs(int_id=schema_pb2.LongArray(data=[7]))
)


def described_index(name: str) -> Any:
    metric = common_pb2.KeyValuePair(key="metric_type", value="COSINE")
    kind = common_pb2.KeyValuePair(key="index_type", value="HNSW")
    return milvus_pb2.IndexDescription(
        index_name=name,
        field_name=f"of_{name}",
        params=[metric, kind],
        state=common_pb2.IndexState.InProgress,
        pending_index_rows=12,
    )


def answering_indexes(request: bytes, _context: grpc.ServicerContext) -> Any:
    name = milvus_pb2.DescribeIndexRequest.FromString(request).index_name
    found = [described_index(each) for each in ([name] if name else ["i", "j"])]
    return milvus_pb2.DescribeIndexResponse(status=status(), index_descriptions=found)


READS: dict[str, tuple[str, int, Callable[[Catalog], object], object]] = {
    "schema": ("DescribeCollection", 1, lambda catalog: catalog.schema("c").description, "told"),
    "indexes": (
        "DescribeIndex",
        3,
        lambda catalog: catalog.indexes("c"),
        tuple(Index(f"of_{name}", "HNSW", "COSINE", finished=False, pending_rows=12) for name in "ij"),
    ),
    "count": ("Query", 1, lambda catalog: catalog.count("c"), 7),
    "sample_keys": ("Query", 1, lambda catalog: catalog.sample_keys("c", "id", 9), (7,)),
    "rows": ("Query", 1, lambda catalog: catalog.rows("c", "id", [7], []), {7: {}}),
    "search": ("Search", 1, lambda catalog: catalog.search("c", "v", [(0.5, 1.0)], limit=3), ((7,),)),
}


@pytest.fixture
def stocked(toy: ToyMilvus) -> ToyMilvus:
    """A server that has a collection `c` with one row."""
    schema = schema_pb2.CollectionSchema(name="c", description="told")
    toy.answers |= {
        "DescribeCollection": lambda *_: milvus_pb2.DescribeCollectionResponse(status=status(), schema=schema),
        "DescribeIndex": answering_indexes,
        "Query": answering_query,
        "Search": lambda *_: milvus_pb2.SearchResults(status=status(), results=HITS),
    }
    return toy


@pytest.mark.parametrize("read", READS)
class TestRead:
    def test_sends_what_it_counts(self, stocked: ToyMilvus, read: str) -> None:
        """pymilvus would ask for a schema first, for some ways of asking, and keep it."""
        method, sends, ask, answer = READS[read]
        catalog = connect(connection_to(stocked.uri), "default")
        assert ask(catalog) == ask(catalog) == answer
        assert stocked.seen == ["Connect", "GetVersion", *[method] * sends * 2]
        assert catalog.calls == len(stocked.seen) - 1, "connecting is not counted"
        catalog.close()

    def test_is_tried_again(self, toy: ToyMilvus, read: str) -> None:
        method, _, ask, _ = READS[read]
        toy.answers[method] = aborting(grpc.StatusCode.UNAVAILABLE, "not now")
        catalog = connect(connection_to(toy.uri), "default")
        with takes_at_most(2.0), pytest.raises(ConnectionFailed):
            ask(catalog)
        assert toy.count(method) == 4
        assert catalog.calls == 5
        catalog.close()

    def test_ends_in_time(self, toy: ToyMilvus, read: str) -> None:
        method, _, ask, _ = READS[read]
        toy.answers[method] = slow(2.0, status())
        catalog = connect(connection_to(toy.uri, timeout=0.5), "default")
        with takes_at_most(0.5), pytest.raises(CallTimedOut, match=r"no answer from .* within 0\.5 s"):
            ask(catalog)
        assert toy.count(method) == 1
        catalog.close()

    def test_says_that_the_collection_is_not_loaded(self, toy: ToyMilvus, read: str) -> None:
        method, _, ask, _ = READS[read]
        toy.answers[method] = lambda *_: common_answer(method, status(101, "collection not loaded[collection=7]"))
        catalog = connect(connection_to(toy.uri), "default")
        words = r"^the collection is not loaded in 127\.0\.0\.1:\d+ / default: collection not loaded\[collection=7\]$"
        with pytest.raises(NotLoaded, match=words):
            ask(catalog)
        assert toy.count(method) == 1
        catalog.close()


def test_a_proxy_that_does_not_know_yet_who_answers_is_asked_again(stocked: ToyMilvus) -> None:
    """As on 2.3.5, in the moment after an alias has moved."""

    def second_time(request: bytes, context: grpc.ServicerContext) -> Any:
        if stocked.count("Query") < 2:
            reason = "failed to get delegator -1 for channel dml_1: can not find client of node -1"
            return milvus_pb2.QueryResults(status=status(65535, reason))
        return answering_query(request, context)

    stocked.answers["Query"] = second_time
    catalog = connect(connection_to(stocked.uri), "default")
    assert catalog.count("c") == 7
    assert stocked.count("Query") == 2
    catalog.close()


def common_answer(method: str, state: Any) -> Any:
    kind = {
        "DescribeCollection": milvus_pb2.DescribeCollectionResponse,
        "DescribeIndex": milvus_pb2.DescribeIndexResponse,
        "Query": milvus_pb2.QueryResults,
        "Search": milvus_pb2.SearchResults,
    }[method]
    return kind(status=state)


def request_of(toy: ToyMilvus, method: str, kind: Any, ask: Callable[[Catalog], object]) -> Any:
    """The request that a read sends, in the database `shop`."""
    seen = []
    answer = toy.answers[method]

    def note(request: bytes, context: grpc.ServicerContext) -> Any:
        seen.append(kind.FromString(request))
        return answer(request, context)

    toy.answers[method] = note
    catalog = connect(connection_to(toy.uri), "shop")
    ask(catalog)
    catalog.close()
    return seen[-1]


STRONG, EVENTUALLY = 0, 1
"""Guarantee timestamps: see everything, see whatever is there."""


@pytest.mark.parametrize(
    ("ask", "where", "fields", "guarantee"),
    [
        (lambda catalog: catalog.count("c"), "", ["count(*)"], STRONG),
        (lambda catalog: catalog.sample_keys("c", "id", 5), "", ["id"], STRONG),
        (lambda catalog: catalog.rows("c", "id", [7, -8], ["v"]), "id in [7, -8]", ["id", "v"], STRONG),
        (
            lambda catalog: catalog.rows("c", "id", ['a"\\\n'], [], strong=False),
            r'id in ["a\"\\\n"]',
            ["id"],
            EVENTUALLY,
        ),
    ],
)
def test_a_query_says_how_much_it_must_see(
    stocked: ToyMilvus, ask: Callable[[Catalog], object], where: str, fields: list[str], guarantee: int
) -> None:
    sent = request_of(stocked, "Query", milvus_pb2.QueryRequest, ask)
    assert (sent.expr, list(sent.output_fields), sent.guarantee_timestamp) == (where, fields, guarantee)
    assert not sent.use_default_consistency


@pytest.mark.parametrize(("strong", "guarantee"), [(True, STRONG), (False, EVENTUALLY)])
def test_a_search_says_how_much_it_must_see(stocked: ToyMilvus, strong: bool, guarantee: int) -> None:
    def ask(catalog: Catalog) -> object:
        return catalog.search("c", "v", [(1.0,)], limit=3, strong=strong)

    sent = request_of(stocked, "Search", milvus_pb2.SearchRequest, ask)
    assert sent.guarantee_timestamp == guarantee
    assert not sent.use_default_consistency
    assert {"topk": "3", "anns_field": "v"}.items() <= {param.key: param.value for param in sent.search_params}.items()


def test_an_index_that_is_dropped_meanwhile_is_none(toy: ToyMilvus) -> None:
    def once(request: bytes, _context: grpc.ServicerContext) -> Any:
        if milvus_pb2.DescribeIndexRequest.FromString(request).index_name == "i":
            return milvus_pb2.DescribeIndexResponse(status=status(700, "index not found"))
        return answering_indexes(request, _context)

    toy.answers["DescribeIndex"] = once
    catalog = connect(connection_to(toy.uri), "default")
    assert [index.field for index in catalog.indexes("c")] == ["of_j"]
    catalog.close()


def test_an_answer_without_the_key_is_an_error(toy: ToyMilvus) -> None:
    """As Milvus Lite gives where an alias has moved to a collection with another primary key."""
    toy.answers["Query"] = lambda *_: milvus_pb2.QueryResults(status=status(), fields_data=[KEYS])
    catalog = connect(connection_to(toy.uri), "default")
    for ask in (lambda: catalog.sample_keys("c", "key", 1), lambda: catalog.rows("c", "key", [7], [])):
        with pytest.raises(UnexpectedAnswer, match="no primary key key"):
            ask()
    catalog.close()


def parameters(**values: object) -> list[Any]:
    return [common_pb2.KeyValuePair(key=name, value=str(value)) for name, value in values.items()]


def test_a_schema_of_milvus_2_6_with_everything(toy: ToyMilvus) -> None:
    """As the protocol has it; no server that is this new was asked."""
    level = schema_pb2.ValueField(int_data=3)
    schema = schema_pb2.CollectionSchema(
        name="c",
        enable_dynamic_field=True,
        fields=[
            schema_pb2.FieldSchema(name="id", data_type=Type.Int64, is_primary_key=True, autoID=True),
            schema_pb2.FieldSchema(name="half", data_type=Type.Float16Vector, type_params=parameters(dim=8)),
            schema_pb2.FieldSchema(
                name="text", data_type=Type.VarChar, nullable=True, type_params=parameters(max_length=200)
            ),
            schema_pb2.FieldSchema(name="level", data_type=Type.Int32, default_value=level),
            schema_pb2.FieldSchema(name="bm25", data_type=Type.SparseFloatVector, is_function_output=True),
            schema_pb2.FieldSchema(name="$meta", data_type=Type.JSON, is_dynamic=True),
        ],
        struct_array_fields=[
            schema_pb2.StructArrayFieldSchema(
                name="chunks",
                fields=[
                    schema_pb2.FieldSchema(
                        name="chunks[body]",
                        data_type=Type.Array,
                        element_type=Type.VarChar,
                        type_params=parameters(max_length=50, max_capacity=9),
                    ),
                    schema_pb2.FieldSchema(
                        name="chunks[vector]",
                        data_type=Type.ArrayOfVector,
                        element_type=Type.FloatVector,
                        type_params=parameters(dim=4, max_capacity=9),
                    ),
                ],
            )
        ],
        functions=[
            schema_pb2.FunctionSchema(
                name="words",
                type=schema_pb2.FunctionType.BM25,
                input_field_names=["text"],
                output_field_names=["bm25"],
            )
        ],
    )
    toy.answers["DescribeCollection"] = lambda *_: milvus_pb2.DescribeCollectionResponse(
        status=status(), schema=schema, properties=parameters(timezone="UTC")
    )
    catalog = connect(connection_to(toy.uri), "default")
    found = catalog.schema("c")
    catalog.close()
    assert found == Schema(
        fields=(
            Field("id", "INT64", primary=True, auto_id=True),
            Field("half", "FLOAT16_VECTOR", dimension=8),
            Field("text", "VARCHAR", nullable=True, length=200),
            Field("level", "INT32", has_default=True),
            Field("bm25", "SPARSE_FLOAT_VECTOR"),
            Field("chunks", "ARRAY<STRUCT>", capacity=9),
            Field("chunks[body]", "ARRAY<VARCHAR>", length=50),
            Field("chunks[vector]", "ARRAY<FLOAT_VECTOR>", dimension=4),
        ),
        dynamic=True,
        functions=(Function("words", "BM25", ("text",), ("bm25",)),),
        properties={"timezone": "UTC"},
    )
    assert [vector.name for vector in found.vectors] == ["half", "bm25"]


class TestLoaded:
    @pytest.mark.parametrize(
        ("replicas", "serving"),
        [
            ([{"a": 1, "b": 1}], 1),
            ([{"a": 1, "b": 1}, {"a": 2, "b": 2}], 2),
            ([{"a": 1, "b": 1}, {"a": 2}], 1),
            ([{"a": 1, "b": 1}, {"a": 2, "b": -1}], 1),
            ([{"a": 0}], 0),
            ([{}], 0),
            ([], 0),
        ],
    )
    def test_only_replicas_with_a_leader_for_every_shard_serve(
        self, toy: ToyMilvus, replicas: list[dict[str, int]], serving: int
    ) -> None:
        found = [
            milvus_pb2.ReplicaInfo(
                replicaID=number,
                shard_replicas=[
                    milvus_pb2.ShardReplica(dm_channel_name=channel, leaderID=leader)
                    for channel, leader in shards.items()
                ],
            )
            for number, shards in enumerate(replicas)
        ]
        toy.answers["DescribeCollection"] = lambda *_: milvus_pb2.DescribeCollectionResponse(status=status())
        toy.answers["GetReplicas"] = lambda *_: milvus_pb2.GetReplicasResponse(status=status(), replicas=found)
        catalog = connect(connection_to(toy.uri), "default")
        assert catalog.replicas("c") == serving
        catalog.close()

    @pytest.mark.parametrize(
        ("in_memory", "loaded"),
        [
            ({"_default": 100, "p1": 100}, {"_default", "p1"}),
            ({"p1": 100}, {"p1"}),
            ({"_default": 99, "p1": 100}, {"p1"}),
            ({}, set()),
            (status(101, "collection not loaded"), set()),
        ],
    )
    def test_a_partition_counts_once_all_of_it_is_loaded(
        self, toy: ToyMilvus, in_memory: Any, loaded: set[str]
    ) -> None:
        databases: set[str] = set()

        def show(request: bytes, _context: grpc.ServicerContext) -> Any:
            asked = milvus_pb2.ShowPartitionsRequest.FromString(request)
            databases.add(asked.db_name)
            if asked.type == milvus_pb2.ShowType.All:
                return milvus_pb2.ShowPartitionsResponse(status=status(), partition_names=["_default", "p1"])
            if not isinstance(in_memory, dict):
                return milvus_pb2.ShowPartitionsResponse(status=in_memory)
            return milvus_pb2.ShowPartitionsResponse(
                status=status(), partition_names=in_memory.keys(), inMemory_percentages=in_memory.values()
            )

        toy.answers["ShowPartitions"] = show
        catalog = connect(connection_to(toy.uri), "shop")
        assert catalog.partitions("c") == {name: name in loaded for name in ("_default", "p1")}
        assert (databases, toy.count("ShowPartitions")) == ({"shop"}, 2)
        catalog.close()
