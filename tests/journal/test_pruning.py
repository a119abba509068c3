"""Old runs are removed, and what later runs need stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.core.model import Target
from reconciler.core.report import Outcome, StepResult
from reconciler.journal import Act, Journal
from tests.journals import rows
from tests.test_journal import ANN, MOVE, TARGET, begun, done, ended, plan_of

DAY = 86_400.0
OTHER = Target("elsewhere:19530", "default")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def run(path: Path, *results: StepResult, target: Target = TARGET, ends: bool = True) -> str:
    """A run that called for each result; each is a second older than the next."""
    made = begun(path, MOVE)
    for result in results:
        made.intend(target, result.step, Act.MOVE)
        made.note(target, result)
    if ends:
        made.end(ended(plan_of(MOVE)))
    return made.id


def age(path: Path, days: float) -> None:
    """Let all runs so far be older by so many days."""
    rows(path, "UPDATE run SET last = last - ?", days * DAY)


def known(path: Path) -> tuple[object, ...]:
    """All that later runs take from the journal, of each alias and database."""
    journal = Journal(path)
    where = {
        alias: [(newest.id, newest.steps_of(alias)) for newest in journal.newest_by_database(alias)]
        for alias in ("a", "b")
    }
    return journal.decisions(), where


SOAK_FAILED = replace(done(MOVE, Outcome.FAILED), code="SoakFailed")
B = replace(MOVE, alias="b")
CASES: dict[str, Callable[[Path], object]] = {
    "moved": lambda path: [run(path, done(MOVE)) for _ in range(5)],
    "in two databases": lambda path: [run(path, done(MOVE), target=target) for target in (TARGET, OTHER)],
    "rejected": lambda path: (run(path, done(MOVE, Outcome.REVERTED)), run(path, done(B))),
    "rejected, then moved elsewhere": lambda path: (
        run(path, done(MOVE, Outcome.REVERTED)),
        run(path, done(replace(MOVE, desired="v3"))),
    ),
    "rejected with another, then moved after all": lambda path: (
        run(path, done(MOVE, Outcome.REVERTED), done(B)),
        run(path, done(MOVE)),
        run(path, done(replace(MOVE, desired="v3"))),
    ),
    "not verified": lambda path: (run(path, SOAK_FAILED), run(path, done(B))),
    "not verified, then verified": lambda path: (
        run(path, SOAK_FAILED, replace(SOAK_FAILED, step=B)),
        run(path, done(MOVE)),
    ),
    "without an end": lambda path: run(path, done(MOVE), ends=False),
}


@pytest.mark.parametrize("case", CASES)
def test_what_later_runs_need_stays(case: str, path: Path) -> None:
    CASES[case](path)
    age(path, 400)
    before = known(path)
    Journal(path).prune(365 * DAY)
    assert known(path) == before


def test_what_nobody_needs_is_removed_and_its_space_returned(path: Path) -> None:
    for _ in range(50):
        newest = run(path, done(MOVE))
    begun(path, MOVE, origins=replace(ANN, user="bob")).end(ended(plan_of(MOVE)))
    age(path, 400)
    young = Journal(path, retention=None).begin(plan_of(MOVE), ANN)
    young.intend(TARGET, B, Act.MOVE)
    young.end(ended(plan_of(MOVE)))
    size = path.stat().st_size
    assert Journal(path).prune(365 * DAY) == 50
    assert [past.id for past in Journal(path).runs()] == [newest, young.id]
    assert path.stat().st_size < size / 2
    assert Journal(path).prune(365 * DAY) == 0


def test_runs_remove_old_ones_once_a_day(path: Path) -> None:
    run(path, done(MOVE))
    newest = run(path, done(MOVE))
    age(path, 366)
    Journal(path, retention=None).begin(plan_of(MOVE), ANN)
    assert len(Journal(path).runs()) == 3, "that one keeps all"
    of_b = run(path, done(B))
    assert [past.id for past in Journal(path).runs() if past.steps] == [newest, of_b]
    newest = run(path, done(MOVE))
    age(path, 366)
    run(path)
    assert len(Journal(path).runs()) == 5, "old ones were removed today already"
    rows(path, "UPDATE pruning SET time = ?", time.time() - 2 * DAY)
    run(path)
    assert [past.id for past in Journal(path).runs() if past.steps] == [of_b, newest]
    assert rows(path, "SELECT count(*) FROM pruning") == [(1,)]


def test_a_journal_that_is_not_there_is_not_made(path: Path) -> None:
    assert Journal(path).prune(DAY) == 0
    assert not path.exists()
