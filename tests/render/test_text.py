"""Text for a terminal: what stands in columns."""

from __future__ import annotations

from reconciler.core.report import Outcome
from reconciler.render.text import report_lines
from tests.render.scenes import move, plan_of, report_of, result


def test_outcomes_stand_in_a_column_and_one_long_name_does_not_push_it_away() -> None:
    long = "x" * 100
    steps = [move("a", "v1", "v2"), move("bb", "products_v1", "v2"), move("c", long, "v2")]
    lines = report_lines(report_of(plan_of(*steps), *(result(step, Outcome.UNKNOWN) for step in steps)))
    assert [line.plain for line in lines][1:4] == [
        "  ~ a    v1 → v2            unknown",
        "  ~ bb   products_v1 → v2   unknown",
        f"  ~ c    {long} → v2   unknown",
    ]
