"""A finding that is repeated is recorded once, and counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.core.plan import GateResult, Step, Verdict
from reconciler.core.report import Outcome, StepResult
from reconciler.journal import Act, Journal, Origins
from tests.journals import rows
from tests.test_journal import ANN, MOVE, TARGET, begun, done, ended, plan_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def blocked(step: Step = MOVE, *, rows: int = 134, verdict: Verdict = Verdict.FAIL) -> StepResult:
    """A step that a gate blocked."""
    gate = GateResult("rows", verdict, f"{rows} rows short", {"rows": rows})
    message = f"rows: {rows} rows short"
    return replace(done(replace(step, gate_results=(gate,)), Outcome.BLOCKED, message), code="gateFailed", wrote=False)


def look(path: Path, *results: StepResult, origins: Origins = ANN) -> str:
    """A run that found this and changed nothing; under what name it is recorded."""
    run = begun(path, MOVE, origins=origins)
    for result in results or (blocked(),):
        run.note(TARGET, result)
    return run.end(ended(plan_of(MOVE)))


def move(path: Path) -> str:
    run = begun(path, MOVE)
    run.intend(TARGET, MOVE, Act.MOVE)
    run.note(TARGET, done(MOVE))
    return run.end(ended(plan_of(MOVE)))


def times(path: Path) -> list[int]:
    return [run.end.times if run.end else 0 for run in Journal(path).runs()]


def test_ten_days_of_a_blocked_agent_are_one_run(path: Path) -> None:
    first, *later = [look(path, origins=replace(ANN, pid=pid)) for pid in range(1, 30)]
    assert set(later) == {first}
    size = path.stat().st_size
    look(path)
    assert path.stat().st_size == size
    (run,) = Journal(path).runs()
    assert run.end
    assert (run.id, run.end.times) == (first, 30)
    assert run.end.last
    assert run.end.last > run.end.time
    (step,) = run.steps
    assert step.outcome is Outcome.BLOCKED


def test_figures_that_change_are_the_same_finding_and_verdicts_that_change_are_another(path: Path) -> None:
    look(path)
    look(path, blocked(rows=12))
    look(path, blocked(verdict=Verdict.UNKNOWN))
    look(path)
    assert times(path) == [1, 3]


@pytest.mark.parametrize(
    "other",
    [
        [blocked(), blocked(replace(MOVE, alias="b"))],
        [replace(blocked(), code="collectionMissing")],
        [blocked(replace(MOVE, set="other"))],
    ],
    ids=["another alias", "another reason", "another set"],
)
def test_another_finding_is_another_run(path: Path, other: list[StepResult]) -> None:
    look(path)
    look(path, *other)
    assert times(path) == [1, 1]


@pytest.mark.parametrize("origins", [replace(ANN, user="bob"), replace(ANN, source=("other/",))])
def test_two_agents_have_a_finding_each(path: Path, origins: Origins) -> None:
    for _ in range(3):
        look(path)
        look(path, origins=origins)
    assert times(path) == [3, 3]


def test_after_a_change_a_finding_is_recorded_anew(path: Path) -> None:
    before = look(path)
    look(path)
    moved = move(path)
    after = look(path)
    assert times(path) == [2, 1, 1]
    assert [run.id for run in Journal(path).runs()] == [before, moved, after]


def test_runs_that_did_anything_are_never_counted_together(path: Path) -> None:
    for _ in range(2):
        move(path)
        look(path, replace(blocked(), outcome=Outcome.FAILED))
        begun(path, MOVE)
    assert len(Journal(path).runs()) == 6


def test_what_was_found_again_is_the_newest(path: Path) -> None:
    first = look(path)
    second = look(path, blocked(verdict=Verdict.UNKNOWN))
    assert [run.id for run in Journal(path).newest()] == [second, first]
    look(path)
    assert [run.id for run in Journal(path).newest()] == [first, second]


def test_a_run_with_a_damaged_entry_ends(path: Path) -> None:
    look(path)
    run = begun(path, MOVE)
    run.note(TARGET, blocked())
    rows(path, "UPDATE entry SET text = '{torn' WHERE outcome IS NOT NULL")
    assert run.end(ended(plan_of(MOVE))) == run.id
    assert times(path) == [1, 1]


def test_a_damaged_count_is_not_counted_further(path: Path) -> None:
    """One byte of it was changed, where it is still JSON and has all fields."""
    look(path)
    look(path)
    assert (
        rows(path, """UPDATE entry SET text = replace(text, '"times":2', '"times":9') WHERE event = 'runEnded'""") == []
    )
    look(path)
    assert times(path) == [0, 1]
