"""The gate `canary`, on vectors whose neighbours can be told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.catalog.memory import DEFAULT_SCHEMA, MemoryCatalog, MemoryServer
from reconciler.core.errors import InvalidName, PermissionDenied, UnexpectedAnswer
from reconciler.core.gates import Gates
from reconciler.core.model import Field, PrimaryKey, Row, Schema
from reconciler.core.plan import GateResult, Verdict
from reconciler.gates import comparison, evaluate_gates
from reconciler.gates.canary import CanaryGate
from tests.builders import server, vector_schema
from tests.faults.memory import Recorder
from tests.gates.judging import OFF, asked, counting, failing, move, rows, vectors


def pair(
    before: Iterable[Row], after: Iterable[Row], schema: Schema = DEFAULT_SCHEMA, new_schema: Schema | None = None
) -> MemoryServer:
    made = server()
    made.create_collection("c1", schema=schema, rows=before)
    made.create_collection("c2", schema=new_schema or schema, rows=after)
    return made


def reembedded(old: Sequence[Row], start: int = 0, dimension: int = 4) -> list[Row]:
    """The same rows with vectors that have nothing to do with the old ones, from the row `start` on."""
    other = vectors(len(old), dimension, seed=99)
    return [*old[:start], *({**row, "vector": vector} for row, vector in zip(old[start:], other[start:], strict=True))]


def scaled(old: Sequence[Row]) -> list[Row]:
    """The same rows as a model with the same idea of nearness would embed them: longer vectors of 5 dimensions."""
    return [{**row, "vector": (*(3 * x for x in vector_of(row)), 0.0)} for row in old]


def vector_of(row: Row) -> tuple[float, ...]:
    vector = row["vector"]
    assert isinstance(vector, tuple)
    return vector


def gates(min_overlap: float = 0.6, **settings: object) -> Gates:
    return Gates(OFF, CanaryGate(min_overlap, **settings))  # type: ignore[arg-type]


def queries_file(path: Path, *lines: object) -> dict[str, Any]:
    content = "\n".join(json.dumps(line) for line in lines).encode()
    path.write_bytes(content)
    return {"queries_file": str(path), "queries_sha256": hashlib.sha256(content).hexdigest()}


def floats(result: GateResult, name: str) -> tuple[float, ...]:
    found = result.figures[name]
    assert isinstance(found, tuple)
    return found


class TestSampled:
    def test_the_same_vectors_pass(self) -> None:
        result = asked(pair(rows(100), rows(100)), gates(1.0))
        assert (result.verdict, result.detail) == (Verdict.PASS, "overlap@10 1.00 over 20 queries")
        assert result.figures == {"overlap": 1.0, "k": 10, "queries": 20, "overlaps": (1.0,) * 20}

    def test_vectors_of_nothing_to_do_with_it_fail_and_the_worst_rows_are_named(self) -> None:
        old = rows(100)
        result = asked(pair(old, reembedded(old)), gates())
        overlaps = floats(result, "overlaps")
        worst = sorted(range(20), key=lambda number: overlaps[number])[:3]
        shown = ", ".join(f"{number * 5} ({overlaps[number]:.2f})" for number in worst)
        assert result.verdict is Verdict.FAIL
        mean = result.figures["overlap"]
        assert isinstance(mean, float)
        assert mean < 0.3
        assert result.detail == (
            f"overlap@10 {mean:.2f}, need ≥ 0.60 (20 queries; worst rows {shown}); check the embedding job of c2"
        )

    def test_a_new_model_of_another_dimension_is_compared_by_neighbours(self) -> None:
        old = rows(100)
        made = pair(old, scaled(old), new_schema=vector_schema(5))
        assert asked(made, gates(1.0)).verdict is Verdict.PASS
        made = pair(old, reembedded(old, dimension=5), new_schema=vector_schema(5))
        assert asked(made, gates()).verdict is Verdict.FAIL

    def test_the_sampled_row_itself_is_no_hit(self) -> None:
        """Every row finds itself, whatever else it finds; with that hit counted the overlap would be 0.5."""
        old: list[Row] = [{"id": key, "vector": (float(x), 0.0)} for key, x in enumerate((0, 1, 10, 11))]
        new: list[Row] = [{"id": key, "vector": (float(x), 0.0)} for key, x in enumerate((0, 10, 1, 11))]
        made = pair(old, new, vector_schema(2))
        assert asked(made, gates(k=1)).figures["overlap"] == 0.0
        assert asked(made, gates(k=3)).figures["overlap"] == 1.0

    def test_the_limit_is_the_mean_and_reaching_it_is_enough(self) -> None:
        old: list[Row] = [{"id": key, "vector": (float(x), 0.0)} for key, x in enumerate((0, 1, 10, 11, 20, 21))]
        new = [*old[:4], {"id": 4, "vector": (20.0, 0.0)}, {"id": 5, "vector": (-1.0, 0.0)}]
        made = pair(old, new, vector_schema(2))
        overlap = asked(made, gates(k=1)).figures["overlap"]
        assert overlap == round(4 / 6, 4)
        assert asked(made, gates(4 / 6, k=1)).verdict is Verdict.PASS
        assert asked(made, gates(4 / 6 + 0.001, k=1)).verdict is Verdict.FAIL

    def test_a_mean_just_below_the_limit_does_not_look_like_it(self) -> None:
        old = rows(300)
        made = pair(old, reembedded(old, 290))
        mean = asked(made, gates(sample=200)).figures["overlap"]
        assert isinstance(mean, float)
        limit = round(mean, 2) if round(mean, 2) > mean else round(mean + 0.005, 2)
        detail = asked(made, gates(limit, sample=200)).detail
        assert f"overlap@10 {limit:.2f}," not in detail

    def test_the_sample_is_spread_over_the_collection(self) -> None:
        old = rows(1000)
        result = asked(pair(old, reembedded(old)), gates(sample=3, min_overlap=1.0))
        assert all(f" {key} (" in result.detail for key in (0, 333, 666))

    @pytest.mark.parametrize(("desired", "verdict"), [(0.9, Verdict.PASS), (0.97, Verdict.FAIL)])
    def test_rows_that_the_target_lacks_count_as_found_by_nobody(self, desired: float, verdict: Verdict) -> None:
        old = rows(100)
        result = asked(pair(old, [row for row in old if row["id"] != 50]), gates(desired))
        assert (result.verdict, result.figures["queries"], result.figures["missing"]) == (verdict, 19, 1)
        assert "1 of 20 sample rows is missing from c2" in result.detail

    @pytest.mark.parametrize(("start", "verdict"), [(50, Verdict.PASS), (55, Verdict.UNKNOWN), (100, Verdict.UNKNOWN)])
    def test_where_most_of_them_are_lacking_nothing_can_be_said(self, start: int, verdict: Verdict) -> None:
        result = asked(pair(rows(100), rows(100)[start:]), gates(0.0))
        assert result.verdict is verdict
        if verdict is Verdict.UNKNOWN:
            assert result.detail == (
                f"c2 lacks {start // 5} of 20 rows of c1, so no sample can be compared; give gates.canary.queriesFile"
            )

    def test_rows_without_a_vector_are_left_out(self) -> None:
        old = rows(40)
        nullable = Schema((vector_schema().fields[0], replace(vector_schema().fields[1], nullable=True)))
        made = pair(old, old, nullable)
        made.insert("c1", [{"id": 1000, "vector": None}])
        made.insert("c2", [{"id": 1000, "vector": None}])
        result = asked(made, gates(sample=41, k=1))
        assert result.figures == {"overlap": 1.0, "k": 1, "queries": 40, "overlaps": (1.0,) * 40}

    def test_a_small_collection_is_compared_with_as_many_hits_as_it_has(self) -> None:
        assert asked(pair(rows(3), rows(3)), gates()).figures == {
            "overlap": 1.0,
            "k": 10,
            "queries": 3,
            "overlaps": (1.0, 1.0, 1.0),
        }

    def test_text_keys_work(self) -> None:
        named = [{**row, "id": f"sku-{row['id']}"} for row in rows(40)]
        assert asked(pair(named, named, vector_schema(key="VARCHAR")), gates()).verdict is Verdict.PASS


class TestNothingToCompare:
    @pytest.mark.parametrize(
        ("trouble", "detail"),
        [
            ("released", "no sample can be taken of c1: it is not loaded"),
            ("empty", "c1 has no rows to take a sample of"),
            ("single", "no query has hits on the current collection"),
            ("gone", "the schema of c1 cannot be read: there is no collection c1"),
            ("create", "there is no collection to compare with yet"),
        ],
    )
    def test_the_current_side_is_not_applicable(self, trouble: str, detail: str) -> None:
        made = pair(rows({"empty": 0, "single": 1}.get(trouble, 20)), rows(20))
        if trouble == "released":
            made.release("c1")
            made.release("c2")
        if trouble == "gone":
            made.drop_collection("c1")
        result = asked(made, gates(), current=None if trouble == "create" else "c1")
        assert (result.verdict, result.detail) == (Verdict.NOT_APPLICABLE, detail)

    @pytest.mark.parametrize("question", ["sample_keys", "rows", "search"])
    def test_when_it_may_not_be_read_the_result_is_unknown(self, question: str) -> None:
        result = asked(failing(pair(rows(20), rows(20)), PermissionDenied("no"), (question, "c1")), gates())
        assert result.verdict is Verdict.UNKNOWN

    @pytest.mark.parametrize(
        ("question", "verdict", "detail"),
        [
            ("schema", Verdict.UNKNOWN, "the schema of c2 cannot be read: no"),
            ("rows", Verdict.UNKNOWN, "rows of c2 cannot be read: no"),
            ("search", Verdict.FAIL, "c2 cannot be searched: no"),
        ],
    )
    def test_the_target_side_is_unknown_and_a_search_that_it_refuses_a_failure(
        self, question: str, verdict: Verdict, detail: str
    ) -> None:
        result = asked(failing(pair(rows(20), rows(20)), UnexpectedAnswer("no"), (question, "c2")), gates())
        assert (result.verdict, result.detail) == (verdict, detail)

    def test_a_target_that_is_not_loaded(self) -> None:
        made = pair(rows(20), rows(20))
        made.release("c2")
        result = asked(made, gates())
        assert (result.verdict, result.detail) == (
            Verdict.UNKNOWN,
            "rows of c2 cannot be read: it is not loaded; load it",
        )

    def test_the_time_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(comparison, "BUDGET_SECONDS", -1.0)
        result = asked(pair(rows(20), rows(20)), gates())
        assert result.verdict is Verdict.UNKNOWN
        assert result.detail.startswith("the searches take longer than -1 s; give fewer queries")


IMAGE = Field("image", "FLOAT_VECTOR", dimension=4)
BITS = Field("bits", "BINARY_VECTOR", dimension=8)


class TestFields:
    @pytest.mark.parametrize(
        ("before", "after", "field", "verdict", "detail"),
        [
            (
                vector_schema(4, IMAGE),
                vector_schema(4, IMAGE),
                None,
                Verdict.UNKNOWN,
                "c2 has several vector fields; name one in gates.canary.field: vector, image",
            ),
            (
                vector_schema(4, IMAGE),
                vector_schema(),
                None,
                Verdict.UNKNOWN,
                "c1 has several vector fields; name one in gates.canary.field: vector, image",
            ),
            (
                vector_schema(4, IMAGE),
                vector_schema(4, IMAGE),
                "vector",
                Verdict.PASS,
                "overlap@10 1.00 over 20 queries",
            ),
            (
                vector_schema(),
                vector_schema(),
                "vektor",
                Verdict.UNKNOWN,
                "c2 has no vector field vektor; it has vector",
            ),
            (
                vector_schema(),
                vector_schema(4, IMAGE),
                "image",
                Verdict.NOT_APPLICABLE,
                "c1 has no vector field image; it has vector",
            ),
            (
                vector_schema(4, BITS),
                vector_schema(4, BITS),
                "bits",
                Verdict.UNKNOWN,
                "bits of c2 is a BINARY_VECTOR; only a FLOAT_VECTOR is supported",
            ),
            (
                vector_schema(),
                vector_schema(key="VARCHAR"),
                None,
                Verdict.UNKNOWN,
                "hits cannot be compared: the primary key is INT64 in c1 and VARCHAR in c2",
            ),
        ],
    )
    def test_the_field_to_search(
        self, before: Schema, after: Schema, field: str | None, verdict: Verdict, detail: str
    ) -> None:
        result = asked(pair(rows(40), rows(40), before, after), gates(field=field))
        assert (result.verdict, result.detail) == (verdict, detail)

    def test_a_lone_vector_field_may_have_another_name(self) -> None:
        new_schema = Schema((vector_schema().fields[0], replace(IMAGE, name="vector_v2")))
        new = [{"id": row["id"], "vector_v2": row["vector"]} for row in rows(40)]
        assert asked(pair(rows(40), new, new_schema=new_schema), gates(1.0)).verdict is Verdict.PASS


class TestQueriesFile:
    def test_both_are_searched_with_the_vectors_of_the_file(self, tmp_path: Path) -> None:
        file = queries_file(tmp_path / "q.jsonl", *({"vector": vector} for vector in vectors(30, seed=5)))
        result = asked(pair(rows(100), rows(100)), gates(1.0, **file))
        assert (result.verdict, result.figures["queries"]) == (Verdict.PASS, 30)

    def test_the_worst_queries_are_named_by_their_number(self, tmp_path: Path) -> None:
        old: list[Row] = [{"id": key, "vector": (float(key), 0.0)} for key in range(8)]
        new = [*old[:6], {"id": 6, "vector": (99.0, 0.0)}, {"id": 7, "vector": (98.0, 0.0)}]
        file = queries_file(tmp_path / "q.jsonl", *({"vector": [float(x), 0.0]} for x in (0, 7, 2)))
        result = asked(pair(old, new, vector_schema(2)), gates(1.0, k=2, **file))
        assert result.detail.startswith(
            "overlap@2 0.67, need ≥ 1.00 (3 queries; worst queries 2 (0.00), 1 (1.00), 3 (1.00)); "
        )
        assert result.figures["overlaps"] == (1.0, 0.0, 1.0)

    def test_shares_that_are_all_the_same_are_given_once(self, tmp_path: Path) -> None:
        old: list[Row] = [{"id": key, "vector": (float(key), 0.0)} for key in range(8)]
        new: list[Row] = [{"id": key + 100, "vector": (float(key), 0.0)} for key in range(8)]
        file = queries_file(tmp_path / "q.jsonl", *({"vector": [float(x), 0.0]} for x in (0, 7)))
        result = asked(pair(old, new, vector_schema(2)), gates(k=2, **file))
        assert result.detail.startswith("overlap@2 0.00, need ≥ 0.60 (2 queries; worst queries 1, 2); ")

    def test_each_collection_can_have_its_own_vectors(self, tmp_path: Path) -> None:
        old = rows(100)
        made = pair(old, scaled(old), new_schema=vector_schema(5))
        lines = [
            {"from": vector_of(row), "to": vector_of(new)} for row, new in zip(old[:5], scaled(old)[:5], strict=True)
        ]
        assert asked(made, gates(1.0, **queries_file(tmp_path / "q.jsonl", *lines))).verdict is Verdict.PASS

    def test_the_filter_of_each_query_counts_on_both_sides(self, tmp_path: Path) -> None:
        old = [{**row, "lang": "en" if number < 50 else "de"} for number, row in enumerate(rows(100))]
        made = pair(old, reembedded(old, 50))
        english = [{"vector": vector, "filter": 'lang == "en"'} for vector in vectors(4, seed=5)]
        assert asked(made, gates(1.0, **queries_file(tmp_path / "q", *english))).verdict is Verdict.PASS
        both = [*english, {"vector": [1, 0, 0, 0], "filter": 'lang == "de"'}]
        result = asked(made, gates(1.0, **queries_file(tmp_path / "q", *both)))
        assert floats(result, "overlaps")[:4] == (1.0,) * 4
        assert floats(result, "overlaps")[4] < 1

    def test_queries_that_find_nothing_now_do_not_count(self, tmp_path: Path) -> None:
        lines = [{"vector": [1, 0, 0, 0], "filter": where} for where in ("id >= 0", "id >= 1000")]
        result = asked(pair(rows(20), rows(20)), gates(1.0, **queries_file(tmp_path / "q", *lines)))
        assert (result.verdict, result.figures["queries"], result.figures["withoutHits"]) == (Verdict.PASS, 1, 1)

    def test_a_mistake_in_a_filter_does_not_pass_for_a_collection_that_cannot_be_searched(self, tmp_path: Path) -> None:
        file = queries_file(tmp_path / "q", {"vector": [1, 0, 0, 0], "filter": "lang = en"})
        result = asked(pair(rows(20), rows(20)), gates(**file))
        assert result.verdict is Verdict.FAIL
        assert result.detail == "c2 cannot be searched: cannot parse expression: lang = en"

    def test_what_only_the_current_one_refuses_is_not_applicable(self, tmp_path: Path) -> None:
        file = queries_file(tmp_path / "q", {"vector": [1, 0, 0, 0]})
        made = failing(pair(rows(20), rows(20)), InvalidName("no such field"), ("search", "c1"))
        result = asked(made, gates(**file))
        assert (result.verdict, result.detail) == (
            Verdict.NOT_APPLICABLE,
            "c1 cannot be searched: no such field",
        )

    @pytest.mark.parametrize(("released", "verdict"), [("c1", Verdict.NOT_APPLICABLE), ("c2", Verdict.FAIL)])
    def test_a_collection_that_is_not_loaded(self, tmp_path: Path, released: str, verdict: Verdict) -> None:
        made = pair(rows(20), rows(20))
        made.release(released)
        result = asked(made, gates(**queries_file(tmp_path / "q", {"vector": [1, 0, 0, 0]})))
        assert result.verdict is verdict
        assert result.detail.startswith(f"{released} cannot be searched: it is not loaded")

    @pytest.mark.parametrize(
        ("line", "dimensions", "detail"),
        [
            (
                {"vector": [1, 0]},
                (4, 4),
                "the queries for c1 have 2 numbers, its field vector has dimension 4; give others",
            ),
            (
                {"vector": [1, 0, 0, 0]},
                (4, 5),
                "the queries for c2 have 4 numbers, its field vector has dimension 5; "
                'give each collection its own, {"from": […], "to": […]}',
            ),
            (
                {"vector": [1, 0, 0, 0, 0]},
                (4, 5),
                "the queries for c1 have 5 numbers, its field vector has dimension 4; "
                'give each collection its own, {"from": […], "to": […]}',
            ),
        ],
    )
    def test_vectors_that_do_not_fit_are_told_with_both_numbers(
        self, tmp_path: Path, line: object, dimensions: tuple[int, int], detail: str
    ) -> None:
        made = pair([], [], vector_schema(dimensions[0]), vector_schema(dimensions[1]))
        result = asked(made, gates(**queries_file(tmp_path / "q", line)))
        assert (result.verdict, result.detail) == (Verdict.FAIL, detail)

    @pytest.mark.parametrize("content", ['{"vector": [2, 0, 0, 0]}', "not JSON", ""])
    def test_a_file_that_changed_since_the_plan_is_not_used(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "q.jsonl"
        file = queries_file(path, {"vector": [1, 0, 0, 0]})
        path.write_text(content)
        result = asked(pair(rows(20), rows(20)), gates(**file))
        assert (result.verdict, result.detail) == (
            Verdict.FAIL,
            f"{path} changed since the plan was made; plan again",
        )

    def test_a_file_that_is_gone_is_unknown(self, tmp_path: Path) -> None:
        file: dict[str, Any] = {"queries_file": str(tmp_path / "gone"), "queries_sha256": "0" * 64}
        result = asked(pair(rows(20), rows(20)), gates(**file))
        assert (result.verdict, result.detail) == (
            Verdict.UNKNOWN,
            f"{tmp_path / 'gone'} cannot be read: No such file or directory",
        )

    def test_keys_that_the_server_makes_are_pointed_out(self, tmp_path: Path) -> None:
        makes_keys = Schema((replace(vector_schema().fields[0], auto_id=True), vector_schema().fields[1]))
        made = pair(rows(20), [{**row, "id": int(str(row["id"])) + 7000} for row in rows(20)], new_schema=makes_keys)
        file = queries_file(tmp_path / "q", {"vector": [1, 0, 0, 0]})
        assert asked(made, gates(**file)).detail.endswith(
            "and that its keys are the same: the server assigns them (auto_id)"
        )

    def test_searches_go_out_in_batches_of_one_filter(self, tmp_path: Path) -> None:
        lines = [
            {"vector": vector, "filter": "id >= 0" if number % 2 else ""} for number, vector in enumerate(vectors(250))
        ]
        recorder, calls = counting(pair(rows(20), rows(20)))
        asked(recorder, gates(**queries_file(tmp_path / "q", *lines)))
        assert calls("search") == 2 * (2 + 2)


class TestLatency:
    @pytest.mark.parametrize(("limit", "verdict"), [(1e9, Verdict.PASS), (1e-9, Verdict.FAIL)])
    def test_the_ratio_is_measured_and_held_to_its_limit(self, limit: float, verdict: Verdict) -> None:
        result = asked(pair(rows(50), rows(50)), gates(max_latency_ratio=limit))
        assert result.verdict is verdict
        assert result.figures.keys() >= {"overlap", "latencyRatio", "latencyMs", "currentLatencyMs"}
        if verdict is Verdict.FAIL:
            assert "times as long as on c1 (" in result.detail
        else:
            assert result.detail.startswith("overlap@10 1.00 over 20 queries, ")

    def test_both_sides_take_turns_after_a_round_that_does_not_count(self) -> None:
        order: list[str] = []
        recorder = Recorder(pair(rows(20), rows(20)))
        recorder.before = lambda method, name: order.append(name) if method == "search" else None
        asked(recorder, gates(max_latency_ratio=2))
        assert order == ["c1", "c2"] * (1 + comparison.TIMED_ROUNDS)

    def test_hits_are_found_with_strong_consistency_and_times_measured_without(self) -> None:
        levels: list[bool] = []

        class Noted(MemoryCatalog):
            def search(self, *args: Any, **options: Any) -> tuple[tuple[PrimaryKey, ...], ...]:
                levels.append(options["strong"])
                return super().search(*args, **options)

        evaluate_gates([move(gates(max_latency_ratio=2))], Noted(pair(rows(20), rows(20)), "default"))
        assert levels == [True] * 2 + [False] * 2 * comparison.TIMED_ROUNDS

    def test_without_a_limit_there_is_one_round(self) -> None:
        recorder, calls = counting(pair(rows(20), rows(20)))
        assert "latencyRatio" not in asked(recorder, gates()).figures
        assert calls("search") == 2
