"""The gate `freshness`, with rows of every unit and age."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from reconciler.catalog.memory import MemoryServer
from reconciler.core.durations import Age
from reconciler.core.errors import ConnectionFailed
from reconciler.core.gates import Gates, OnUnknown
from reconciler.core.model import Field
from reconciler.core.plan import GateResult, Verdict
from reconciler.gates import freshness
from reconciler.gates.freshness import FreshnessGate, Unit
from tests.builders import server, vector_schema
from tests.faults.memory import Recorder
from tests.gates.judging import OFF, asked, judged, move

NOW = 1_800_000_000
HOUR = 3600


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "time", lambda: NOW + 0.5)


def holding(ages: Iterable[float], *, per_second: int = 1, kind: str = "INT64", declared: bool = True) -> MemoryServer:
    """A server on which `c2` has a row of each age in seconds."""
    field = [Field("updated_at", kind)] if declared else []
    made = server("c1")
    rows = [
        {"id": key, "vector": (0.0, 0.0, 0.0, 1.0), "updated_at": int((NOW - age) * per_second)}
        for key, age in enumerate(ages)
    ]
    made.create_collection("c2", schema=vector_schema(4, *field), rows=rows)
    return made


def gate(hours: float = 2, unit: Unit = Unit.SECONDS, min_rows: int = 1) -> FreshnessGate:
    return FreshnessGate("updated_at", Age(hours * HOUR), unit=unit, min_rows=min_rows)


def evaluated(made: MemoryServer | Recorder, settings: FreshnessGate) -> GateResult:
    return asked(made, Gates(OFF, settings))


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize("kind", ["INT64", "DOUBLE"])
def test_rows_are_counted_in_every_unit(unit: Unit, kind: str) -> None:
    made = holding([HOUR, 2 * HOUR - 1, 2 * HOUR + 2, 90 * HOUR], per_second=unit.per_second, kind=kind)
    result = evaluated(made, gate(unit=unit))
    assert (result.verdict, result.detail, result.figures) == (Verdict.PASS, "2 rows of the last 2h", {"rows": 2})


def test_too_few_rows_fail() -> None:
    result = evaluated(holding([HOUR, 3 * HOUR]), gate(min_rows=2))
    assert (result.verdict, result.figures) == (Verdict.FAIL, {"rows": 1, "future": 0})
    assert result.detail == "c2 has 1 row of the last 2h by updated_at, need ≥ 2; check the import job"


def test_rows_ahead_of_the_clock_count_up_to_five_minutes() -> None:
    assert evaluated(holding([-299]), gate()).verdict is Verdict.PASS
    result = evaluated(holding([-302, -HOUR]), gate())
    assert (result.verdict, result.figures) == (Verdict.FAIL, {"rows": 0, "future": 2})
    assert "; 2 rows more than 5m in the future, check gates.freshness.unit; check the import job" in result.detail


def test_milliseconds_taken_for_seconds_are_not_fresh() -> None:
    assert evaluated(holding([90 * HOUR], per_second=1000), gate()).verdict is Verdict.FAIL


def test_a_dynamic_field_counts_where_rows_have_it() -> None:
    assert evaluated(holding([HOUR], declared=False), gate()).verdict is Verdict.PASS
    assert evaluated(holding([], declared=False), gate()).verdict is Verdict.FAIL


def test_a_field_of_another_type_or_none_is_unknown() -> None:
    result = evaluated(holding([HOUR], kind="VARCHAR"), gate())
    assert (result.verdict, result.detail) == (Verdict.UNKNOWN, "updated_at of c2 is VARCHAR, need INT64 or DOUBLE")
    made = server("c1")
    made.create_collection("c2", schema=vector_schema(dynamic=False))
    result = evaluated(made, gate())
    assert (result.verdict, result.detail) == (
        Verdict.UNKNOWN,
        "c2 has no field updated_at; name one in gates.freshness.field: id, vector",
    )


def test_what_is_not_loaded_is_unknown_and_blocks_unless_the_manifest_says_pass() -> None:
    made = holding([HOUR])
    made.release("c2")
    for on_unknown in OnUnknown:
        step = judged(made, move(Gates(OFF, gate(), on_unknown=on_unknown)))
        assert [result.detail for result in step.gate_results] == [
            "c2 cannot be counted by updated_at: it is not loaded; load it"
        ]
        assert (step.blocked is None) is (on_unknown is OnUnknown.PASS)


def test_a_lost_connection_is_an_error_and_not_a_verdict() -> None:
    recorder = Recorder(holding([HOUR]))

    def cut(method: str, _: str) -> None:
        if method == "count":
            raise ConnectionFailed("cut")

    recorder.before = cut
    with pytest.raises(ConnectionFailed):
        evaluated(recorder, gate())


def test_aliases_of_one_collection_share_the_count() -> None:
    recorder, counts = Recorder(holding([HOUR])), []
    recorder.before = lambda method, _: counts.append(method)
    judged(recorder, *(move(Gates(OFF, gate()), alias=alias) for alias in "abc"))
    assert counts.count("count") == 1
