"""A server that answers anything: what comes of it is an error of ours, or a value of the promised kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymilvus import DataType
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from reconciler.catalog import Catalog, connect
from reconciler.core.errors import CatalogError, UnexpectedAnswer
from reconciler.core.model import Certainty
from tests.hostile.mutations import bounded, mangled
from tests.reliability.tally import Tally
from tests.servers import ToyMilvus, connection_to, status, toy_milvus

OpenSuite = Callable[[str, str], Tally]


def described(**params: str) -> Any:
    """A collection with a vector whose type has these parameters."""
    vector = schema_pb2.FieldSchema(
        name="v",
        data_type=DataType.FLOAT_VECTOR,
        type_params=[common_pb2.KeyValuePair(key=key, value=value) for key, value in params.items()],
    )
    key = schema_pb2.FieldSchema(name="id", data_type=DataType.INT64, is_primary_key=True)
    schema = schema_pb2.CollectionSchema(name="c", fields=[key, vector])
    return milvus_pb2.DescribeCollectionResponse(status=status(), schema=schema, collection_name="c", collectionID=7)


def counted(*values: int) -> Any:
    data = schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=values))
    field = schema_pb2.FieldData(type=DataType.INT64, field_name="count(*)", scalars=data)
    return milvus_pb2.QueryResults(status=status(), fields_data=[field], collection_name="c")


ANSWERS: dict[str, Any] = {
    "ListAliases": milvus_pb2.ListAliasesResponse(status=status(), aliases=["a", "b"], collection_name="c"),
    "DescribeAlias": milvus_pb2.DescribeAliasResponse(status=status(), alias="a", collection="c"),
    "ShowCollections": milvus_pb2.ShowCollectionsResponse(status=status(), collection_names=["c"]),
    "DescribeCollection": described(dim="4"),
    "GetLoadState": milvus_pb2.GetLoadStateResponse(status=status(), state=3),
    "GetReplicas": milvus_pb2.GetReplicasResponse(status=status(), replicas=[milvus_pb2.ReplicaInfo(replicaID=1)]),
    "DescribeIndex": milvus_pb2.DescribeIndexResponse(
        status=status(), index_descriptions=[milvus_pb2.IndexDescription(index_name="v", field_name="v")]
    ),
    "Query": counted(3),
}
QUESTIONS: dict[str, Callable[[Catalog], object]] = {
    "ListAliases": lambda catalog: (catalog.alias_names(), catalog.aliases_of("c")),
    "DescribeAlias": lambda catalog: catalog.resolve("a"),
    "ShowCollections": lambda catalog: catalog.collections(),
    "DescribeCollection": lambda catalog: (catalog.describe("c"), catalog.schema("c")),
    "GetLoadState": lambda catalog: catalog.load_state("c"),
    "GetReplicas": lambda catalog: catalog.replicas("c"),
    "DescribeIndex": lambda catalog: catalog.indexes("c"),
    "Query": lambda catalog: catalog.count("c"),
}


class Raw:
    """An answer as its bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        return self._data


@pytest.fixture
def toy() -> Iterator[ToyMilvus]:
    with toy_milvus() as toy:
        for method, reply in ANSWERS.items():
            answer(toy, method, reply)
        yield toy


def answer(toy: ToyMilvus, method: str, reply: Any) -> None:
    toy.answers[method] = lambda *_: reply


@pytest.fixture
def catalog(toy: ToyMilvus) -> Iterator[Catalog]:
    catalog = connect(connection_to(toy.uri, timeout=5.0), "default")
    yield catalog
    catalog.close()


def test_an_honest_answer_to_each_question(catalog: Catalog) -> None:
    """So that the lies below are lies, and are believed as far as they can be."""
    for ask in QUESTIONS.values():
        ask(catalog)


def test_bytes_that_are_no_answer(toy: ToyMilvus, catalog: Catalog, tally: OpenSuite) -> None:
    suite = tally("Hostile server responses", "a hostile gRPC server")

    @settings(max_examples=150, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(sorted(ANSWERS)).flatmap(lambda item: st.tuples(st.just(item), lies(ANSWERS[item]))))
    def holds(lie: tuple[str, bytes]) -> None:
        method, data = lie
        answer(toy, method, Raw(data))
        try:
            with suite.case(faults=1), bounded(), suppress(CatalogError):
                QUESTIONS[method](catalog)
        finally:
            answer(toy, method, ANSWERS[method])

    holds()


def lies(reply: Any) -> st.SearchStrategy[bytes]:
    return mangled(reply.SerializeToString()) | st.binary(max_size=50)


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        ("DescribeCollection", described(dim="many")),
        ("GetLoadState", milvus_pb2.GetLoadStateResponse(status=status(), state=77)),
        ("Query", counted()),
    ],
)
def test_an_answer_that_makes_no_sense_is_told_as_the_servers(
    toy: ToyMilvus, catalog: Catalog, method: str, reply: Any
) -> None:
    answer(toy, method, reply)
    with pytest.raises(UnexpectedAnswer, match=r"answer .*from 127\.0\.0\.1"):
        QUESTIONS[method](catalog)


def test_a_number_far_into_a_version_counts_and_the_start_is_shown() -> None:
    with toy_milvus(version="x" * 120 + "-2.4.15") as toy:
        catalog = connect(connection_to(toy.uri), "default")
        try:
            assert catalog.behaviour.drops_by_prefix is Certainty.YES
            assert catalog.server_version() == "x" * 100
        finally:
            catalog.close()


def test_a_version_of_any_length_is_no_number_and_soon_told() -> None:
    with toy_milvus(version="v" + "9" * 5000 + ".1") as toy:
        answer(toy, "DescribeAlias", ANSWERS["DescribeAlias"])
        catalog = connect(connection_to(toy.uri, timeout=5.0), "default")
        try:
            assert catalog.resolve("a")
            assert len(catalog.server_version()) == 100
        finally:
            catalog.close()
