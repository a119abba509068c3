"""Text for a terminal: what stands in columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from reconciler.core.plan import Block, BlockReason, Plan, Verdict
from reconciler.core.report import Outcome
from reconciler.inspect.access import check_access
from reconciler.render.check import access_lines
from reconciler.render.results import plan_result, report_result
from reconciler.render.wording import duration, product
from tests.builders import alias_set, catalogs, server
from tests.render.scenes import blocked, gate, move, plan_html, plan_markdown, plan_of, report_of, result


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


def text_of(plan: Plan) -> list[str]:
    return [line.plain for line in plan_result(plan).lines()]


def test_a_move_of_several_aliases_shows_its_gates_and_reason_once() -> None:
    gates = (
        gate("loaded", Verdict.PASS),
        gate("rows", Verdict.PASS, "100 %"),
        gate("canary", Verdict.FAIL, "overlap@5 0.00, need ≥ 0.60 (20 queries; worst rows 0, 15, 30)"),
        gate("warm", Verdict.NOT_EVALUATED),
        gate("access", Verdict.NOT_EVALUATED),
    )
    block = Block(BlockReason.GATE_FAILED, "canary: overlap@5 0.00, need ≥ 0.60 (20 queries; worst rows 0, 15, 30)")
    names = ["autocomplete", "products", "search"]
    steps = [move(name, "v7", "v8", wave=int(name > "b"), gate_results=gates, blocked=block) for name in names]
    assert text_of(plan_of(*steps))[1:-1] == [
        "  ! v7 → v8   3 aliases   BLOCKED",
        "    ✗ canary         overlap@5 0.00, need ≥ 0.60 (20 queries; worst rows 0, 15, 30)",
        "    ○ warm, access   not evaluated",
        "    ✓ loaded   ✓ rows (100 %)",
        "      wave 0   autocomplete",
        "      wave 1   products, search",
    ]


def test_one_alias_takes_one_line_and_its_gates() -> None:
    passed = (gate("loaded", Verdict.PASS), gate("rows", Verdict.PASS, "100 %"))
    many = (*passed, gate("canary", Verdict.PASS, "overlap@5 0.96 over 20 queries"), gate("schema", Verdict.PASS))
    assert text_of(plan_of(move("products", "v1", "v2", gate_results=passed)))[1:-1] == [
        "  ~ products   v1 → v2   ✓ loaded   ✓ rows (100 %)"
    ]
    assert text_of(plan_of(move("products", "products_v1", "products_v2", gate_results=many)))[1:-1] == [
        "  ~ products   products_v1 → products_v2",
        "    ✓ loaded   ✓ rows (100 %)   ✓ canary (overlap@5 0.96 over 20 queries)   ✓ schema",
    ]


def test_single_aliases_with_the_same_gates_share_one_explanation() -> None:
    unknown = (gate("rows", Verdict.NOT_EVALUATED), gate("loaded", Verdict.PASS))
    steps = [move(f"tenant_{number}", f"a{number}", f"b{number}", gate_results=unknown) for number in range(3)]
    assert text_of(plan_of(*steps, move("other", "c", None)))[1:-2] == [
        "  ~ tenant_0   a0 → b0",
        "  ~ tenant_1   a1 → b1",
        "  ~ tenant_2   a2 → b2",
        "    all 3: ○ rows   not evaluated",
        "           ✓ loaded",
        "  - other      c",
    ]


def test_a_reason_that_another_move_of_the_set_gave_is_not_repeated() -> None:
    reason = '"a": during the soak: loaded: v2 is not loaded'
    steps = [move("a", "v1", "v2"), move("b", "v1", "v2"), move("c", "r1", "r2")]
    results = [result(step, Outcome.REVERTED, f'{reason}; it is at "{step.current}" again') for step in steps]
    lines = [line.plain for line in report_result(report_of(plan_of(*steps), *results)).lines()]
    assert lines[1:5] == [
        "  ~ v1 → v2   2 aliases   reverted",
        f"    {reason}",
        "      a, b",
        "  ~ c   r1 → r2   reverted: same reason as above",
    ]


def test_a_report_names_the_one_alias_of_a_move_whose_gate_was_skipped() -> None:
    steps = [move("a", "v1", "v2"), move("b", "v1", "v2", skipped_gates=("rows",)), move("c", "v1", "v2")]
    report = report_of(plan_of(*steps), *(result(step, Outcome.DONE) for step in steps))
    assert [line.plain for line in report_result(report).lines()][1:4] == [
        "  ~ v1 → v2   3 aliases   done, readers verified",
        "      done, gates skipped: rows   b",
        "      done                        a, c",
    ]


def test_red_means_blocked_or_failed_and_what_was_not_evaluated_is_not_green() -> None:
    unsure = (gate("rows", Verdict.NOT_EVALUATED),)
    steps = [
        move("a", None, "v1", gate_results=unsure),
        move("b", None, "v2"),
        move("c", "v1", None),
        blocked("d", "v9 does not exist"),
    ]
    styles = {line[2]: line[1][1] for line in plan_result(plan_of(*steps)).lines() if line[0] == "  "}
    assert styles == {" a": "yellow", " b": "green", " c": "magenta", " d": "bold red"}


def test_a_rollback_shows_no_alarm_about_gates_that_cannot_block_it() -> None:
    gates = (
        gate("loaded", Verdict.PASS),
        gate("contract", Verdict.FAIL, "property embedding_model is missing"),
        gate("rows", Verdict.UNKNOWN, "v1 cannot be counted"),
    )
    plan = plan_of(move("a", "v2", "v1", reverting=True, gate_results=gates))
    assert text_of(plan)[1:-1] == [
        "  ~ a   v2 → v1",
        "    - contract, rows   n/a: not required for a rollback",
        "    ✓ loaded",
    ]
    (summary, undo) = [
        line.plain for line in report_result(report_of(plan, result(plan.steps[0], Outcome.DONE))).lines()
    ][-2:]
    assert summary == "Rollback: 1 done in 0.0 s.   run 20261124-030000-4f2a9c"
    assert undo == "To undo: aliasctl rollback 20261124-030000-4f2a9c"


@pytest.mark.parametrize(
    ("outcome", "message", "expected"),
    [
        (Outcome.DONE, None, ["To undo: aliasctl rollback 20261124-030000-4f2a9c"]),
        (Outcome.NOOP, None, []),
        (Outcome.FAILED, "no", ["To continue: fix the cause, then run aliasctl apply again."]),
        (Outcome.NOT_ATTEMPTED, None, ["To continue: run aliasctl apply again."]),
        (
            Outcome.REVERTED,
            "no",
            [
                "Reverted moves stay blocked until the manifest changes.",
                "To retry them anyway: aliasctl apply --retry-rejected",
            ],
        ),
    ],
)
def test_a_report_says_what_to_do_next(outcome: Outcome, message: str | None, expected: list[str]) -> None:
    step = move("a", "v1", "v2")
    lines = [line.plain for line in report_result(report_of(plan_of(step), result(step, outcome, message))).lines()]
    assert lines[3:] == expected


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0.0 s"), (12.34, "12.3 s"), (725, "12 min 5 s"), (7260, "2 h 1 min")]
)
def test_a_duration_as_a_person_says_it(seconds: float, shown: str) -> None:
    start = datetime(2026, 11, 24, 3, tzinfo=UTC)
    assert duration(start.isoformat(), (start + timedelta(seconds=seconds)).isoformat()) == shown


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
