"""Queries on recorded runs: find one, count outcomes, select those that changed an alias. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.report import Outcome
from reconciler.core.text import listed
from reconciler.journal import Act, PastRun


def find_run(runs: Sequence[PastRun], name: str) -> PastRun:
    """Find a run by its id or the beginning of its id.

    Raises:
        InvalidInput: there is none, or more than one.
    """
    found = [run for run in runs if run.id.startswith(name)]
    if exact := [run for run in found if run.id == name]:
        return exact[0]
    if not found:
        raise InvalidInput(Problem(f'no run "{name}"; see aliasctl history'))
    if len(found) > 1:
        several = listed([run.id for run in found], 3)
        raise InvalidInput(Problem(f'"{name}" is the beginning of several runs: {several}; write more of it'))
    return found[0]


def counts_of(run: PastRun) -> tuple[Counter[Outcome], int]:
    """Return the number of steps by outcome, and the number of started calls without a recorded outcome."""
    if run.end:
        return Counter(run.end.counts), 0
    steps = run.steps
    recorded = Counter(step.outcome for step in steps if step.outcome and not step.begun)
    return recorded, sum(step.begun is not None for step in steps)


def newest(runs: Sequence[PastRun], alias: str | None) -> Iterator[PastRun]:
    """Yield the runs, newest first; with an alias, only those that changed it."""
    return (run for run in reversed(runs) if alias is None or run.steps_of(alias))


def begun_words(act: Act) -> str:
    """Describe a step at which the record of its run ends."""
    if act is Act.REVERT:
        return "interrupted: it may or may not have been moved back"
    return "interrupted: the call may or may not have been made"
