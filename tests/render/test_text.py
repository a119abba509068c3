"""Text for a terminal: what stands in columns."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.core.report import Outcome
from reconciler.inspect.access import check_access
from reconciler.render.check import access_lines
from reconciler.render.results import plan_result, report_result
from reconciler.render.wording import product
from tests.builders import alias_set, catalogs, server
from tests.render.scenes import move, plan_html, plan_markdown, plan_of, report_of, result


def test_outcomes_stand_in_a_column_and_one_long_name_does_not_push_it_away() -> None:
    long = "x" * 100
    steps = [move("a", "v1", "v2"), move("bb", "products_v1", "v2"), move("c", long, "v2")]
    report = report_of(plan_of(*steps), *(result(step, Outcome.UNKNOWN) for step in steps))
    lines = report_result(report).lines()
    assert [line.plain for line in lines][1:4] == [
        "  ~ a    v1 → v2            unknown",
        "  ~ bb   products_v1 → v2   unknown",
        f"  ~ c    {long} → v2   unknown",
    ]


def test_a_known_problem_of_the_server_is_one_line_below_the_target() -> None:
    plan = plan_of(move("a", "v1", "v2"))
    problem = "every search through an alias is slow (milvus#49510); upgrade to 2.6.16 or later"
    noted = replace(plan, targets=(replace(plan.targets[0], notices=(problem,)),))
    assert [line.plain for line in plan_result(noted).lines()][1] == f"  note: {problem}"
    assert len(list(plan_result(noted).lines())) == len(list(plan_result(plan).lines())) + 1
    assert f"<br>note: <code>{problem.replace('#', '&#35;')}</code>" in plan_markdown(noted)
    assert f"Note: <bdi>{problem}</bdi>" in plan_html(noted)


@pytest.mark.parametrize(
    ("reported", "shown"),
    [
        ("v2.3.5", "Milvus 2.3.5"),
        ("milvus_lite-3.2.2", "Milvus Lite 3.2.2"),
        ("pkg/v2.5.4", "Milvus pkg/v2.5.4"),
        (
            "Zilliz Cloud Vector Database(Compatible with Milvus 2.6)",
            "Zilliz Cloud Vector Database(Compatible with Milvus 2.6)",
        ),
    ],
)
def test_a_server_s_version_as_a_person_says_it(reported: str, shown: str) -> None:
    assert product(reported) == shown


def test_check_lists_the_known_problems_of_the_server() -> None:
    made = server("v1", version="2.6.13")
    lines = [line.plain for line in access_lines(check_access([alias_set({"a": "v1"})], catalogs(made)))]
    assert [line for line in lines if line.startswith("  ! known problem: ") and "milvus#49510" in line]
