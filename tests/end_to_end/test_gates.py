"""The gates on real servers: Milvus Lite and Milvus 2.3.5, with real vectors and indexes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.catalog import Catalogs
from reconciler.catalog.memory import Flavour
from reconciler.core.durations import Age, Duration
from reconciler.core.errors import ExitCode
from reconciler.core.gates import Gates
from reconciler.core.model import DEFAULT_DATABASE, Alias, Field, Index, Row, Vector
from reconciler.core.plan import GateResult, Step, Verdict
from reconciler.gates import evaluate_gates
from reconciler.gates.canary import CanaryGate
from reconciler.gates.contract import ContractGate
from reconciler.gates.freshness import FreshnessGate, Unit
from reconciler.gates.indexed import IndexedGate
from reconciler.gates.loaded import LoadedGate
from reconciler.gates.rows import RowsGate
from reconciler.gates.schema import SchemaGate
from reconciler.gates.schema_changes import SchemaPolicy
from reconciler.gates.warm import WarmGate
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set, vector_schema
from tests.servers import Backend, Room, opened_room

ROWS, DIMENSION = 300, 16
TITLE = Field("title", "VARCHAR", length=50)
SCHEMA = vector_schema(DIMENSION, TITLE)
OFF = LoadedGate(enabled=False)


def random_vectors(random: Random) -> list[Vector]:
    return [tuple(random.gauss(0, 1) for _ in range(DIMENSION)) for _ in range(ROWS)]


def noisy(vectors: Sequence[Vector], random: Random) -> list[Vector]:
    """As another run of the same model would give them."""
    return [tuple(x + random.gauss(0, 0.01) for x in vector) for vector in vectors]


def of_vectors(vectors: Sequence[Vector]) -> list[Row]:
    return [{"id": key, "vector": vector, "title": f"row {key}"} for key, vector in enumerate(vectors)]


@dataclass(frozen=True)
class Stock:
    """Collections to move between.

    `old`; `good`, embedded again; `bad`, the same with each vector at another row; `part`, fewer rows and another
    schema and metric; `released`, the old one again but not loaded; `bare`, without an index.
    """

    room: Room
    old: list[Vector]

    def ask(self, gates: Gates, desired: str, current: str | None = "old") -> GateResult:
        """The one gate that is on, beside `loaded`."""
        step = Step("shop", "a", self.room.name(current) if current else None, self.room.name(desired), gates=gates)
        (result,) = evaluate_gates((step,), self.room.catalog)[0].gate_results
        return replace(result, detail=result.detail.replace(self.room.prefix, ""))


@pytest.fixture(scope="module", params=["lite", "milvus", "emulated-2.6.13"])
def stock(request: pytest.FixtureRequest) -> Iterator[Stock]:
    backend: Backend = request.getfixturevalue(request.param)
    random = Random(7)  # noqa: S311 - the same ones each time
    old = random_vectors(random)
    shuffled = random.sample(old, ROWS)
    described = replace(SCHEMA, description="Products; embedding_model: bge-m3")
    if backend.flavour is Flavour.LITE:  # it keeps no description
        described = replace(SCHEMA, properties={"embedding_model": "bge-m3"})
    with opened_room(backend, DEFAULT_DATABASE) as room:
        room.create("old", of_vectors(old), schema=SCHEMA)
        room.create(
            "good", of_vectors(noisy(old, random)), schema=described, indexes=[Index("vector", "AUTOINDEX", "L2")]
        )
        room.create("bad", of_vectors(shuffled), schema=SCHEMA)
        part = replace(vector_schema(8), properties={"embedding_model": "bge-small"})
        room.create("part", [{"id": key, "vector": (float(key),) * 8} for key in range(10)], schema=part, metric="IP")
        room.create("released", of_vectors(old), schema=SCHEMA, loaded=False)
        room.create("bare", schema=SCHEMA, indexes=(), loaded=False)
        yield Stock(room, old)


INDEXED = Gates(OFF, IndexedGate())
ALMOST_ALL = Gates(OFF, RowsGate(min_percent_of_current=99))
ANY_ROW = Gates(OFF, RowsGate(min=1))
SAME_SCHEMA = Gates(OFF, SchemaGate(SchemaPolicy.IDENTICAL))
MODEL = Gates(OFF, ContractGate({"embedding_model": "bge-m3"}))
CANARY = Gates(OFF, CanaryGate(0.8))


@pytest.mark.parametrize(
    ("gates", "desired", "verdict", "detail"),
    [
        (INDEXED, "good", Verdict.PASS, ""),
        (INDEXED, "bare", Verdict.FAIL, "bare: vector has no index; create one"),
        (INDEXED, "gone", Verdict.UNKNOWN, "the indexes of gone cannot be read: no such collection"),
        (ALMOST_ALL, "good", Verdict.PASS, "100 %"),
        (ALMOST_ALL, "part", Verdict.FAIL, "part has 10 rows, 3.3 % of old (300); need ≥ 99 % (297); 287 rows short"),
        (ANY_ROW, "gone", Verdict.UNKNOWN, "gone cannot be counted: no such collection"),
        (SAME_SCHEMA, "good", Verdict.PASS, ""),
        (
            SAME_SCHEMA,
            "part",
            Verdict.FAIL,
            "vector: dimension 16 → 8, metric L2 → IP; title: VARCHAR(50) → gone; "
            "allow with gates.schema.allowChanges: [vector, title]",
        ),
        (
            SAME_SCHEMA,
            "bare",
            Verdict.UNKNOWN,
            "metrics cannot be compared: bare has no index on vector that tells a metric; create one",
        ),
        (MODEL, "good", Verdict.PASS, ""),
        (MODEL, "bad", Verdict.FAIL, 'bad: property embedding_model is missing (expected "bge-m3")'),
        (MODEL, "part", Verdict.FAIL, 'part: property embedding_model is "bge-small" (expected "bge-m3")'),
        (MODEL, "gone", Verdict.UNKNOWN, "the properties of gone cannot be read: no such collection"),
        (CANARY, "released", Verdict.UNKNOWN, "rows of released cannot be read: it is not loaded; load it"),
        (CANARY, "gone", Verdict.UNKNOWN, "the schema of gone cannot be read: no such collection"),
    ],
)
def test_what_is_true_of_a_collection(stock: Stock, gates: Gates, desired: str, verdict: Verdict, detail: str) -> None:
    result = stock.ask(gates, desired)
    assert (result.verdict, result.detail[: len(detail)]) == (verdict, detail)
    if not detail:
        assert result.detail == ""


def test_a_loaded_collection_gets_warm(stock: Stock) -> None:
    result = stock.ask(Gates(OFF, WarmGate(Duration(2))), "good", current=None)
    assert (result.verdict, result.figures["searches"]) == (Verdict.PASS, 20)
    result = stock.ask(Gates(OFF, WarmGate(Duration(0.000001), Duration(0.5))), "good")
    assert result.verdict is Verdict.FAIL
    assert ", need p95 ≤ 0.001ms in 2 rounds; apply again when its data is in memory" in result.detail


@pytest.mark.parametrize("declared", [True, False])
def test_rows_that_were_written_lately_are_counted(stock: Stock, declared: bool) -> None:
    room, now = stock.room, int(time.time())
    name = "dated" if declared else "dynamic"
    written = [now - 10, now - 90, now - 9000, now + 3600]
    rows = [{"id": key, "vector": [float(key)] * 4, "written_ms": at * 1000} for key, at in enumerate(written)]
    room.create(name, rows, schema=vector_schema(4, *([Field("written_ms", "INT64")] if declared else [])))
    two_hours = FreshnessGate("written_ms", Age(7200), unit=Unit.MILLISECONDS, min_rows=2)
    assert stock.ask(Gates(OFF, two_hours), name).detail == "2 rows of the last 2h"
    result = stock.ask(Gates(OFF, replace(two_hours, max_age=Age(60))), name)
    assert (result.verdict, result.figures) == (Verdict.FAIL, {"rows": 1, "future": 1})
    result = stock.ask(Gates(OFF, replace(two_hours, field="title")), "old")
    assert (result.verdict, result.detail) == (Verdict.UNKNOWN, "title of old is VARCHAR, need INT64 or DOUBLE")


def test_rows_that_were_deleted_or_just_written_are_counted_right(stock: Stock) -> None:
    admin, name = stock.room.backend.admin, stock.room.name("part")
    admin.insert(name, [{"id": 100, "vector": (0.0,) * 8}])
    assert stock.ask(ANY_ROW, "part").figures == {"rows": 11}
    admin.delete(name, [100])
    assert stock.ask(ANY_ROW, "part").figures == {"rows": 10}


def test_the_same_rows_embedded_again_pass_the_canary_and_shuffled_ones_do_not(stock: Stock) -> None:
    good = stock.ask(CANARY, "good")
    assert (good.verdict, good.figures["queries"]) == (Verdict.PASS, 20)
    bad = stock.ask(CANARY, "bad")
    assert bad.verdict is Verdict.FAIL
    assert bad.detail.startswith("overlap@10 0.")
    assert bad.detail.endswith("; check the embedding job of bad")
    assert isinstance(bad.figures["overlap"], float)
    assert bad.figures["overlap"] < 0.3


def queries_file(path: Path, lines: Sequence[object]) -> dict[str, Any]:
    content = "\n".join(map(json.dumps, lines)).encode()
    path.write_bytes(content)
    return {"queries_file": str(path), "queries_sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize(("desired", "verdict"), [("good", Verdict.PASS), ("bad", Verdict.FAIL)])
def test_queries_of_a_file_with_filters_and_latency(
    stock: Stock, tmp_path: Path, desired: str, verdict: Verdict
) -> None:
    lines = [{"vector": vector, "filter": "id < 200"} for vector in stock.old[200:]]
    file = queries_file(tmp_path / "q.jsonl", [*lines, {"vector": stock.old[0]}])
    result = stock.ask(Gates(OFF, CanaryGate(0.8, **file, max_latency_ratio=1000)), desired)
    assert (result.verdict, result.figures["queries"]) == (verdict, 101)
    assert isinstance(result.figures["latencyRatio"], float)


def test_queries_in_another_dimension_for_each_side(stock: Stock, tmp_path: Path) -> None:
    one_for_both = queries_file(tmp_path / "one.jsonl", [{"vector": stock.old[0]}])
    result = stock.ask(Gates(OFF, CanaryGate(0, **one_for_both)), "part")
    assert (result.verdict, result.detail) == (
        Verdict.FAIL,
        "the queries for part have 16 numbers, its field vector has dimension 8; "
        'give each collection its own, {"from": […], "to": […]}',
    )
    one_each = queries_file(tmp_path / "each.jsonl", [{"from": stock.old[0], "to": (1.0,) * 8}])
    result = stock.ask(Gates(OFF, CanaryGate(0, **one_each)), "part")
    assert (result.verdict, result.figures["queries"]) == (Verdict.PASS, 1)


@pytest.mark.parametrize("where", ["id ==", "vector == 3"])
def test_a_filter_that_no_server_takes_is_a_failure(stock: Stock, tmp_path: Path, where: str) -> None:
    file = queries_file(tmp_path / "q.jsonl", [{"vector": stock.old[0], "filter": where}])
    result = stock.ask(Gates(OFF, CanaryGate(0.8, **file)), "good")
    assert (result.verdict, result.detail[:24]) == (Verdict.FAIL, "good cannot be searched:")


def test_a_collection_that_is_not_loaded_cannot_be_counted_but_on_lite(stock: Stock) -> None:
    target = stock.ask(ANY_ROW, "released")
    current = stock.ask(ALMOST_ALL, "good", current="released")
    if stock.room.flavour is Flavour.LITE:
        assert (target.figures, current.detail) == ({"rows": ROWS}, "100 %")
    else:
        assert (target.verdict, target.detail) == (
            Verdict.UNKNOWN,
            "released cannot be counted: it is not loaded; load it",
        )
        assert (current.verdict, current.detail) == (
            Verdict.NOT_APPLICABLE,
            "released cannot be counted: it is not loaded",
        )


def test_a_current_collection_that_is_not_loaded_gives_the_canary_nothing_to_compare_with(stock: Stock) -> None:
    result = stock.ask(CANARY, "good", current="released")
    assert (result.verdict, result.detail) == (
        Verdict.NOT_APPLICABLE,
        "no sample can be taken of released: it is not loaded",
    )


def test_an_alias_moves_to_the_good_collection_and_not_to_the_bad_one(stock: Stock) -> None:
    room = stock.room
    alias = room.name("search")
    room.catalog.create_alias(alias, room.name("old"))
    gates = Gates(IndexedGate(), RowsGate(min_percent_of_current=99), SchemaGate(), *CANARY.settings.values())

    def move_to(desired: str) -> ExitCode:
        entry = Alias(alias, room.name(desired), gates=gates)
        with Catalogs(room.backend.connect) as catalogs:
            plan = make_plan([alias_set({}, entry, connection=room.backend.connection)], catalogs=catalogs)
            return apply_plan(plan, catalogs=catalogs).exit_code

    def serves() -> str | None:
        found = room.catalog.resolve(alias)
        return found.name.removeprefix(room.prefix) if found else None

    assert (move_to("bad"), serves()) == (ExitCode.REFUSED, "old")
    assert (move_to("good"), serves()) == (ExitCode.DONE, "good")
