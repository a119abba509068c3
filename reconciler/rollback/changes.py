"""What earlier runs changed and no later rollback has reverted yet.

A change counts as rolled back if a rollback of its run reverted it, unless that rollback was itself rolled back. Steps
that a run reverted by itself or never made are not changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Target
from reconciler.core.report import Outcome, Report
from reconciler.journal import PastRun, PastStep, PastTarget, RunState

ROLLBACK = "rollback"
"""The command of runs that roll back others; their source is the id of the run they roll back."""
Selector = Callable[[PastTarget], bool]
"""Selects databases."""


class Changes(Struct, frozen=True):
    """What a run changed or may have changed. `run` is its id or its report's name; `about` describes it to people."""

    run: str
    about: str
    targets: tuple[PastTarget, ...]
    steps: tuple[PastStep, ...]

    def only(self, alias: str | None, selects: Selector = lambda _: True) -> Changes:
        """Return the changes of one alias (None for all) in the selected databases."""
        here = {target.target for target in self.targets if selects(target)}
        steps = tuple(past for past in self.steps if past.target in here and alias in {None, past.step.alias})
        return replace(self, steps=steps)

    def target(self, target: Target) -> PastTarget:
        """Return how a database was reached. Raises `InvalidInput` if that is not recorded."""
        for past in self.targets:
            if past.target == target:
                return past
        raise InvalidInput(Problem(f"{self.about}: how {target} was reached is not recorded"))


def changes_of(run: PastRun, alias: str | None = None) -> Changes:
    """Return what a recorded run changed. Raises `InvalidInput`: the run is still running."""
    _check_ended(run)
    return _changes_of(run, alias)


def _check_ended(run: PastRun) -> None:
    if run.state is RunState.RUNNING:
        process = f"process {run.origins.pid} on {run.origins.host}"
        raise InvalidInput(Problem(f"run {run.id} is still running ({process}); wait until it ends, or stop it"))


def _changes_of(run: PastRun, alias: str | None) -> Changes:
    origins = run.origins
    about = f"run {run.id} ({origins.command}, {run.started}, {origins.user}@{origins.host})"
    return Changes(run.id, about, run.targets, tuple(past for past in run.steps_of(alias) if may_have_changed(past)))


def changes_in(report: Report, name: str) -> Changes:
    """Return what a run changed according to its report."""
    targets = tuple(
        PastTarget(target.plan.target, target.plan.connection, {each.set: each.verify for each in target.plan.sets})
        for target in report.targets
    )
    steps = (
        PastStep(target.plan.target, result.step, result) for target in report.targets for result in target.results
    )
    return Changes(report.run or name, f"the run of {name}", targets, tuple(filter(may_have_changed, steps)))


def may_have_changed(past: PastStep) -> bool:
    """Return whether a step was made or may have been made, and can be undone.

    Not one that its run only verified or reverted, and not one of a dangling alias, which pointed nowhere.
    """
    if past.step.dangling or (past.result and past.result.moved_by):
        return False
    return (
        is_certain(past)
        or past.begun is not None
        or (past.outcome in _OPEN and past.result is not None and past.result.wrote)
    )


_OPEN = {Outcome.UNKNOWN, Outcome.FAILED}


def is_certain(past: PastStep) -> bool:
    """Return whether the record ends with the step done."""
    return past.outcome is Outcome.DONE and past.begun is None


def newest_changes(
    runs: Iterable[PastRun], alias: str | None = None, selects: Selector = lambda _: True, *, before: str = ""
) -> Changes | None:
    """Return the changes of the newest run that has any, or None. Rollbacks themselves do not count.

    Args:
        runs: recorded runs, newest first; they are read until one has changes.
        alias: consider this alias only; None for all.
        selects: consider these databases only.
        before: the id of a run; consider only runs that started before it.

    Raises:
        InvalidInput: that run is still running.
    """
    reverted: set[tuple[str, Target, str]] = set()
    older = not before
    for run in runs:
        if run.origins.command != ROLLBACK:
            if not older:
                older = run.id == before
                continue
            changes = _changes_of(run, alias).only(alias, selects)
            if alias is None or changes.steps:
                _check_ended(run)
            left = tuple(past for past in changes.steps if (run.id, past.target, past.step.alias) not in reverted)
            if left:
                return replace(changes, steps=left)
            continue
        for past in run.steps_of(alias):
            key = (past.target, past.step.alias)
            if past.outcome in {Outcome.DONE, Outcome.NOOP} and past.begun is None and (run.id, *key) not in reverted:
                reverted |= {(of, *key) for of in run.origins.source}
    return None


def locations_of(runs: Iterable[PastRun], alias: str, selects: Selector) -> dict[Target, tuple[PastTarget, PastStep]]:
    """Return the databases in which recorded runs (newest first) changed an alias, each with the newest such step."""
    found: dict[Target, tuple[PastTarget, PastStep]] = {}
    for run in runs:
        steps = run.steps_of(alias)
        targets = {target.target: target for target in run.targets if selects(target)} if steps else {}
        for past in steps:
            if past.target in targets:
                found.setdefault(past.target, (targets[past.target], past))
    return found
