"""Groups: what the aliases of one move share is shown once, and what differs stays with its aliases."""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.core.plan import Block, BlockReason, GateResult, Plan, Step, Verdict
from reconciler.core.report import Outcome
from reconciler.render.groups import Group, groups_of, problems_of
from reconciler.render.view import Weight, plan_view, report_view
from tests.render.scenes import blocked, gate, move, plan_of, report_of, result

LOADED = gate("loaded", Verdict.PASS)
DETAIL = "overlap@5 0.00, need ≥ 0.60 (20 queries)"
CANARY = gate("canary", Verdict.FAIL, DETAIL, overlap=0.0)


def groups(plan: Plan) -> tuple[Group, ...]:
    return groups_of(plan_view(plan).sections[0])


def failed(alias: str, *gates: GateResult, wave: int = 0, more: str = "") -> Step:
    """A move that a gate blocks."""
    message = "; also ".join(f"{each.gate}: {each.detail}" for each in gates if each.verdict is not Verdict.PASS)
    block = Block(BlockReason.GATE_FAILED, message + more)
    return move(alias, "v1", "v2", wave=wave, gate_results=gates, blocked=block)


def test_aliases_of_one_move_share_its_gates_and_stand_below_it_by_wave() -> None:
    [group] = groups(
        plan_of(failed("b", LOADED, CANARY, wave=1), failed("a", LOADED, CANARY), failed("c", LOADED, CANARY, wave=1))
    )
    assert (group.current, group.desired, group.sign, group.labels) == ("v1", "v2", "!", (("blocked", 3),))
    assert [(each.name, each.detail) for each in group.gates] == [("canary", DETAIL), ("loaded", "")]
    assert group.reason == "", "the gates say it"
    assert [(batch.wave, batch.aliases, batch.gates, batch.reason) for batch in group.batches] == [
        (0, ("a",), (), ""),
        (1, ("b", "c"), (), ""),
    ]


def test_a_gate_that_differs_stays_with_its_alias() -> None:
    good = move("good", "v1", "v2", gate_results=(LOADED, gate("canary", Verdict.PASS, "overlap@5 0.90")))
    [group] = groups(plan_of(good, failed("bad", LOADED, CANARY)))
    assert [each.name for each in group.gates] == ["loaded"]
    assert group.labels == (("blocked", 1), ("alter", 1))
    assert [(batch.aliases, [each.detail for each in batch.gates]) for batch in group.batches] == [
        (("bad",), [DETAIL]),
        (("good",), ["overlap@5 0.90"]),
    ], "what is blocked comes first"


def test_what_a_block_says_beyond_its_gates_is_kept() -> None:
    hint = "; set gates.onUnknown: Pass to go on without an answer"
    unknown = gate("rows", Verdict.UNKNOWN, "v2 cannot be counted")
    schema = gate("schema", Verdict.UNKNOWN, "the schema of v2 cannot be read")
    [group] = groups(plan_of(failed("a", LOADED, unknown, schema, more=hint)))
    assert group.reason == "set gates.onUnknown: Pass to go on without an answer"
    assert [each.name for each in group.gates] == ["rows", "schema", "loaded"]


def test_a_set_without_waves_shows_none_and_sets_are_not_mixed() -> None:
    steps = [move("a", "v1", "v2"), replace(move("b", "v1", "v2"), set="other")]
    first, second = groups(plan_of(*steps))
    assert (first.set, second.set) == ("shop", "other")
    assert first.batches[0].wave is None


def test_drops_of_what_is_not_listed_are_apart_and_have_no_wave() -> None:
    listed, pruned = groups(plan_of(move("a", "v1", None, wave=1), move("b", "v1", None, prune=True, wave=2)))
    assert [batch.wave for batch in (*listed.batches, *pruned.batches)] == [1, None]
    assert [remark.words for remark in pruned.remarks] == ["in scope, not listed"]


def test_outcomes_of_one_move_are_counted_the_worst_first() -> None:
    steps = [move(name, "v1", "v2", wave=number) for number, name in enumerate("abc")]
    plan = plan_of(*steps)
    outcomes = [(Outcome.DONE, None), (Outcome.FAILED, "out of memory"), (Outcome.NOT_ATTEMPTED, "stopped")]
    report = report_of(plan, *(result(step, *outcome) for step, outcome in zip(steps, outcomes, strict=True)))
    [group] = groups_of(report_view(report).sections[0])
    assert group.labels == (("failed", 1), ("not attempted", 1), ("done", 1))
    assert [(batch.label, batch.wave, batch.reason) for batch in group.batches] == [
        ("failed", 1, "out of memory"),
        ("not attempted", 2, "stopped"),
        ("done", 0, ""),
    ]


def test_a_reason_is_a_problem_once_with_all_aliases_of_all_moves() -> None:
    plan = plan_of(blocked("a", "v9 does not exist"), move("b", "v1", "v2"), blocked("c", "v9 does not exist"))
    [problem] = problems_of(plan_view(plan))
    assert (problem.message, problem.aliases, problem.weight) == ("v9 does not exist", ("a", "c"), Weight.BLOCKED)
