"""The gate `rows`."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.errors import PermissionDenied
from reconciler.core.gates import Gates
from reconciler.core.plan import Verdict
from reconciler.gates.rows import RowsGate
from tests.builders import server
from tests.gates.judging import OFF, asked, counting, failing, rows

REMEDY = "check the import job or relax gates.rows"


def gates(**limits: Any) -> Gates:
    return Gates(OFF, RowsGate(**limits))


@pytest.mark.parametrize(
    ("limits", "before", "after", "trouble"),
    [
        ({"min": 3}, 0, 3, None),
        ({"min": 3}, 0, 2, "c2 has 2 rows; need ≥ 3; 1 row short"),
        ({"min": 3}, 0, 1, "c2 has 1 row; need ≥ 3; 2 rows short"),
        ({"max": 3}, 0, 3, None),
        ({"max": 3}, 0, 5, "c2 has 5 rows; need ≤ 3; 2 rows too many"),
        ({"min_percent_of_current": 95}, 20, 19, None),
        ({"min_percent_of_current": 95}, 20, 18, "c2 has 18 rows, 90 % of c1 (20); need ≥ 95 % (19); 1 row short"),
        ({"max_percent_of_current": 120}, 10, 12, None),
        (
            {"max_percent_of_current": 120},
            10,
            15,
            "c2 has 15 rows, 150 % of c1 (10); need ≤ 120 % (12); 3 rows too many",
        ),
        ({"min_percent_of_current": 99.9}, 1000, 999, None),
        (
            {"min_percent_of_current": 95},
            3001,
            2850,
            "c2 has 2,850 rows, 94.97 % of c1 (3,001); need ≥ 95 % (2,851); 1 row short",
        ),
        (
            {"min": 5, "min_percent_of_current": 50.5},
            10,
            2,
            "c2 has 2 rows, 20 % of c1 (10); need ≥ 5; 3 rows short; need ≥ 50.5 % (6); 4 rows short",
        ),
    ],
)
def test_limits_are_kept_exactly_and_a_failure_says_by_how_much(
    limits: dict[str, float], before: int, after: int, trouble: str | None
) -> None:
    made = server()
    made.create_collection("c1", rows=rows(before))
    made.create_collection("c2", rows=rows(after))
    result = asked(made, gates(**limits))
    assert result.verdict is (Verdict.FAIL if trouble else Verdict.PASS)
    assert result.figures["rows"] == after
    if trouble:
        assert result.detail == f"{trouble}; {REMEDY}"


@pytest.mark.parametrize(
    ("after", "shown", "percent"),
    [
        (999, "99.9 %", 99.9),
        (1000, "100 %", 100),
        (1001, "100.1 %", 100.1),
        (333, "33.3 %", 33.3),
    ],
)
def test_the_plan_shows_the_share(after: int, shown: str, percent: float) -> None:
    made = server()
    made.create_collection("c1", rows=rows(1000))
    made.create_collection("c2", rows=rows(after))
    result = asked(made, gates(min_percent_of_current=1))
    assert (result.detail, result.figures) == (shown, {"rows": after, "currentRows": 1000, "percent": percent})


def test_nearly_all_is_not_shown_as_all() -> None:
    made = server()
    made.create_collection("c1", rows=rows(3000))
    made.create_collection("c2", rows=rows(2999))
    assert asked(made, gates(min_percent_of_current=99)).detail == "99.97 %"


def test_a_create_is_held_to_what_does_not_need_a_current_collection() -> None:
    made = server()
    made.create_collection("c2", rows=rows(5))
    result = asked(made, gates(min=5, min_percent_of_current=90), current=None)
    assert (result.verdict, result.detail) == (
        Verdict.PASS,
        "5 rows; not compared: there is no collection to compare with yet",
    )
    assert asked(made, gates(min=6, min_percent_of_current=90), current=None).verdict is Verdict.FAIL
    assert asked(made, gates(min_percent_of_current=90), current=None).verdict is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("released", "c1 cannot be counted: it is not loaded"),
        ("empty", "c1 has no rows to compare with"),
        ("gone", "c1 cannot be counted: there is no collection c1"),
    ],
)
def test_a_current_collection_without_a_number_is_not_compared(trouble: str, reason: str) -> None:
    made = server()
    made.create_collection("c1", rows=rows(0 if trouble == "empty" else 5))
    made.create_collection("c2", rows=rows(5))
    if trouble == "released":
        made.release("c1")
    if trouble == "gone":
        made.drop_collection("c1")
    result = asked(made, gates(min_percent_of_current=90))
    assert (result.verdict, result.detail) == (Verdict.NOT_APPLICABLE, reason)


@pytest.mark.parametrize(
    ("released", "detail"),
    [(True, "c2 cannot be counted: it is not loaded; load it"), (False, "c2 cannot be counted: no")],
)
def test_a_target_that_cannot_be_counted_is_unknown(released: bool, detail: str) -> None:
    made = server("c1", "c2")
    if released:
        made.release("c2")
    asking = made if released else failing(made, PermissionDenied("no"), ("count", "c2"))
    result = asked(asking, gates(min=1))
    assert (result.verdict, result.detail) == (Verdict.UNKNOWN, detail)


def test_without_a_percentage_the_current_collection_is_not_counted() -> None:
    recorder, calls = counting(server("c1", "c2"))
    asked(recorder, gates(min=0))
    assert calls("count") == 1
