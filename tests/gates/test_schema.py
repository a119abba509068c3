"""The gate `schema`: what counts as a change, and what is said of it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.core.errors import PermissionDenied
from reconciler.core.gates import Gates
from reconciler.core.model import Field, Function, Index, Schema
from reconciler.core.plan import GateResult, Verdict
from reconciler.gates.schema import SchemaGate
from reconciler.gates.schema_changes import SchemaPolicy
from tests.builders import server
from tests.gates.judging import OFF, asked, counting, failing

COMPATIBLE, IDENTICAL = SchemaPolicy.COMPATIBLE, SchemaPolicy.IDENTICAL
ID = Field("id", "INT64", primary=True)
VECTOR = Field("vector", "FLOAT_VECTOR", dimension=768)
TITLE = Field("title", "VARCHAR", length=200)
TAGS = Field("tags", "ARRAY<INT64>", capacity=10)
SPARSE = Field("sparse", "SPARSE_FLOAT_VECTOR")
BM25 = Function("bm25", "BM25", ("title",), ("sparse",))


def schema(*fields: Field, **options: object) -> Schema:
    return Schema((ID, VECTOR, *fields), **options)  # type: ignore[arg-type]


def compared(
    before: Schema,
    after: Schema,
    policy: SchemaPolicy = COMPATIBLE,
    allow: tuple[str, ...] = (),
    indexes: tuple[tuple[Index, ...] | None, tuple[Index, ...] | None] = (None, None),
) -> GateResult:
    made = server()
    made.create_collection("c1", schema=before, indexes=indexes[0])
    made.create_collection("c2", schema=after, indexes=indexes[1])
    return asked(made, Gates(OFF, SchemaGate(policy, frozenset(allow))))


def with_id(**changes: object) -> Schema:
    return Schema((replace(ID, **changes), VECTOR))


BREAKING = [
    (schema(TITLE), schema(), "title: VARCHAR(200) → gone"),
    (schema(TITLE), schema(replace(TITLE, type="INT64", length=None)), "title: VARCHAR(200) → INT64"),
    (schema(), Schema((ID, replace(VECTOR, dimension=1024))), "vector: dimension 768 → 1024"),
    (schema(TITLE), schema(replace(TITLE, length=100)), "title: length 200 → 100"),
    (schema(TAGS), schema(replace(TAGS, capacity=5)), "tags: capacity 10 → 5"),
    (schema(TAGS), schema(replace(TAGS, type="ARRAY<INT32>")), "tags: ARRAY<INT64>[10] → ARRAY<INT32>[10]"),
    (
        schema(TITLE),
        Schema((replace(ID, primary=False), VECTOR, replace(TITLE, primary=True))),
        "id: primary key → no primary key; title: no primary key → primary key",
    ),
    (with_id(), with_id(type="VARCHAR", length=64), "id: INT64 → VARCHAR(64)"),
    (with_id(), with_id(auto_id=True), "id: auto_id off → on"),
    (with_id(auto_id=True), with_id(), "id: auto_id on → off"),
    (schema(TITLE), schema(replace(TITLE, nullable=True)), "title: now nullable"),
    (
        schema(replace(TITLE, nullable=True)),
        schema(TITLE),
        "title: now required: inserts fail without it",
    ),
    (
        schema(replace(TITLE, has_default=True)),
        schema(TITLE),
        "title: now required: inserts fail without it",
    ),
    (schema(), schema(TITLE), "title: new and required: inserts fail without it"),
    (schema(dynamic=True), schema(), "$meta: dynamic field on → off"),
    (
        schema(TITLE, SPARSE, functions=(BM25,)),
        schema(TITLE, SPARSE),
        "bm25: BM25(title → sparse) → gone",
    ),
    (
        schema(TITLE, TAGS, SPARSE, functions=(BM25,)),
        schema(TITLE, TAGS, SPARSE, functions=(replace(BM25, inputs=("tags",)),)),
        "bm25: BM25(title → sparse) → BM25(tags → sparse)",
    ),
    (schema(TITLE, SPARSE), schema(TITLE, SPARSE, functions=(BM25,)), "sparse: now filled by a function"),
]

HARMLESS = [
    (schema(TITLE), schema(replace(TITLE, length=300)), "title: length 200 → 300"),
    (schema(TAGS), schema(replace(TAGS, capacity=20)), "tags: capacity 10 → 20"),
    (schema(), schema(replace(TITLE, nullable=True)), "title: new, VARCHAR(200)"),
    (schema(), schema(replace(TITLE, has_default=True)), "title: new, VARCHAR(200)"),
    (
        schema(TITLE),
        schema(TITLE, SPARSE, functions=(BM25,)),
        "sparse: new, SPARSE_FLOAT_VECTOR; bm25: new, BM25(title → sparse)",
    ),
    (schema(), schema(dynamic=True), "$meta: dynamic field off → on"),
    (schema(TITLE), schema(replace(TITLE, has_default=True)), "title: no default → one"),
    (
        schema(replace(TITLE, nullable=True)),
        schema(replace(TITLE, has_default=True)),
        "title: no longer nullable, no default → one",
    ),
]

NO_CHANGE = [
    (schema(TITLE), Schema((TITLE, VECTOR, ID))),
    (schema(TITLE), schema(TITLE, description="other", properties={"x": "y"})),
]


@pytest.mark.parametrize(("before", "after", "change"), BREAKING)
def test_what_breaks_an_application_is_named_with_the_way_out(before: Schema, after: Schema, change: str) -> None:
    result = compared(before, after)
    names = [part.partition(":")[0] for part in change.split("; ")]
    assert result.verdict is Verdict.FAIL
    assert result.detail == f"{change}; allow with gates.schema.allowChanges: [{', '.join(names)}]"
    assert result.figures["changes"] == len(names)
    assert all(f"{name}: {result.figures[f'changes.{name}']}" in change for name in names)


@pytest.mark.parametrize(("before", "after", "change"), BREAKING)
def test_what_is_named_is_allowed_and_shown(before: Schema, after: Schema, change: str) -> None:
    names = tuple(part.partition(":")[0] for part in change.split("; "))
    result = compared(before, after, allow=names)
    assert (result.verdict, result.detail) == (Verdict.PASS, f"allowed: {change}")
    assert (result.figures["changes"], result.figures["allowed"]) == (len(names), len(names))


@pytest.mark.parametrize(("before", "after", "change"), HARMLESS)
def test_what_an_application_does_not_notice_differs_only_where_all_must_be_identical(
    before: Schema, after: Schema, change: str
) -> None:
    result = compared(before, after)
    assert (result.verdict, result.detail) == (Verdict.PASS, "")
    strict = compared(before, after, IDENTICAL)
    assert strict.verdict is Verdict.FAIL
    assert strict.detail.startswith(f"{change}; allow with")


@pytest.mark.parametrize(("before", "after", "change"), BREAKING)
def test_identical_is_symmetric(before: Schema, after: Schema, change: str) -> None:
    assert compared(before, after, IDENTICAL).verdict is Verdict.FAIL
    assert compared(after, before, IDENTICAL).verdict is Verdict.FAIL


@pytest.mark.parametrize(("before", "after"), NO_CHANGE)
@pytest.mark.parametrize("policy", SchemaPolicy)
def test_order_description_and_properties_do_not_matter(before: Schema, after: Schema, policy: SchemaPolicy) -> None:
    assert compared(before, after, policy).figures == {"changes": 0, "allowed": 0}


def test_several_changes_of_one_field_are_one_entry() -> None:
    wider = replace(VECTOR, dimension=1024, nullable=True)
    result = compared(
        schema(TITLE), Schema((ID, wider)), indexes=((Index("vector", "HNSW", "IP"),), (Index("vector", "HNSW", "L2"),))
    )
    assert result.detail == (
        "vector: dimension 768 → 1024, now nullable, metric IP → L2; title: VARCHAR(200) → gone; "
        "allow with gates.schema.allowChanges: [vector, title]"
    )


def test_many_changes_are_counted() -> None:
    fields = [replace(TITLE, name=f"f{number}") for number in range(8)]
    result = compared(schema(*fields), schema())
    assert "f4: VARCHAR(200) → gone; and 3 more; allow with" in result.detail
    assert result.figures["changes"] == 8


HNSW_L2, FLAT_L2, HNSW_IP = (
    Index("vector", kind, metric) for kind, metric in (("HNSW", "L2"), ("FLAT", "l2"), ("HNSW", "IP"))
)
NO_METRIC = Index("vector", "HNSW")


@pytest.mark.parametrize("policy", SchemaPolicy)
@pytest.mark.parametrize(
    ("before", "after", "verdict", "detail"),
    [
        (HNSW_L2, FLAT_L2, Verdict.PASS, ""),
        (
            HNSW_L2,
            HNSW_IP,
            Verdict.FAIL,
            "vector: metric L2 → IP; allow with gates.schema.allowChanges: [vector]",
        ),
        (None, HNSW_L2, Verdict.PASS, "metrics not compared: c1 has no index on vector that tells a metric"),
        (NO_METRIC, HNSW_L2, Verdict.PASS, "metrics not compared: c1 has no index on vector that tells a metric"),
        (
            HNSW_L2,
            None,
            Verdict.UNKNOWN,
            "metrics cannot be compared: c2 has no index on vector that tells a metric; create one",
        ),
        (None, None, Verdict.PASS, "metrics not compared: c1 has no index on vector that tells a metric"),
    ],
)
def test_the_metric_must_stay_and_the_type_of_the_index_need_not(
    policy: SchemaPolicy, before: Index | None, after: Index | None, verdict: Verdict, detail: str
) -> None:
    sides = (before,) if before else (), (after,) if after else ()
    result = compared(schema(), schema(), policy, indexes=sides)
    assert (result.verdict, result.detail) == (verdict, detail)


@pytest.mark.parametrize(
    ("question", "verdict", "detail"),
    [
        (("schema", "c1"), Verdict.UNKNOWN, "the schema of c1 cannot be read: no"),
        (("schema", "c2"), Verdict.UNKNOWN, "the schema of c2 cannot be read: no"),
        (("indexes", "c1"), Verdict.UNKNOWN, "metrics cannot be compared: the indexes of c1 cannot be read: no"),
        (("indexes", "c2"), Verdict.UNKNOWN, "metrics cannot be compared: the indexes of c2 cannot be read: no"),
    ],
)
def test_what_may_not_be_read(question: tuple[str, str], verdict: Verdict, detail: str) -> None:
    result = asked(failing(server("c1", "c2"), PermissionDenied("no"), question), Gates(OFF, SchemaGate()))
    assert (result.verdict, result.detail) == (verdict, detail)


def test_a_create_has_nothing_to_compare_with() -> None:
    result = asked(server("c2"), Gates(OFF, SchemaGate()), current=None)
    assert (result.verdict, result.detail) == (Verdict.NOT_APPLICABLE, "there is no collection to compare with yet")


def test_where_a_vector_field_may_change_its_metric_is_not_asked_for() -> None:
    recorder, calls = counting(server("c1", "c2"))
    asked(recorder, Gates(OFF, SchemaGate(allow_changes=frozenset({"vector"}))))
    assert calls("indexes") == 0
