"""What earlier runs left behind, as far as it is not undone yet.

Undone is what a later rollback of that run moved back, unless that rollback was itself undone. What a run reverted by
itself, or never did, leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Target
from reconciler.core.report import Outcome, Report
from reconciler.journal import PastRun, PastStep, PastTarget, RunState

ROLLBACK = "rollback"
"""The command of runs that undo others; their source is the id of the run they undo."""
Place = Callable[[PastTarget], bool]
"""Whether a database is one that is meant."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a run did, or may have done. `run` is its id, or where its report came from; `about` says it to a person."""

    run: str
    about: str
    targets: tuple[PastTarget, ...]
    steps: tuple[PastStep, ...]

    def only(self, alias: str | None, place: Place = lambda _: True) -> Made:
        """As far as it concerns one alias (None for all), and some databases."""
        here = {target.target for target in self.targets if place(target)}
        steps = tuple(past for past in self.steps if past.target in here and alias in {None, past.step.alias})
        return replace(self, steps=steps)

    def target(self, target: Target) -> PastTarget:
        """How a database was reached. Raises `InvalidInput` if that is not known."""
        for item in self.targets:
            if item.target == target:
                return item
        raise InvalidInput(Problem(f"{self.about}: how {target} was reached is not recorded"))


def made_by(run: PastRun, alias: str | None = None) -> Made:
    """What a recorded run left behind.

    Raises:
        InvalidInput: it is still running.
    """
    _insist_on_end(run)
    return _left_by(run, alias)


def _insist_on_end(run: PastRun) -> None:
    if run.state is RunState.RUNNING:
        process = f"process {run.origins.pid} on {run.origins.host}"
        raise InvalidInput(Problem(f"run {run.id} is still running ({process}); wait for its end, or end it"))


def _left_by(run: PastRun, alias: str | None) -> Made:
    origins = run.origins
    about = f"run {run.id} ({origins.command}, {run.started}, {origins.user}@{origins.host})"
    return Made(run.id, about, run.targets, tuple(past for past in run.steps_of(alias) if leaves_something(past)))


def reported(report: Report, name: str) -> Made:
    """What a run left behind, as its report tells."""
    targets = tuple(
        PastTarget(target.plan.target, target.plan.connection, {each.set: each.verify for each in target.plan.sets})
        for target in report.targets
    )
    steps = (
        PastStep(target.plan.target, result.step, result) for target in report.targets for result in target.results
    )
    return Made(report.run or name, f"the run of {name}", targets, tuple(filter(leaves_something, steps)))


def leaves_something(past: PastStep) -> bool:
    """Whether a step was done, or may have been: its alias may be where it was to go."""
    return (
        is_certain(past)
        or past.begun is not None
        or (past.outcome in _OPEN and past.result is not None and past.result.wrote)
    )


_OPEN = {Outcome.UNKNOWN, Outcome.FAILED}


def is_certain(past: PastStep) -> bool:
    """Whether the record says that the step was done, and nothing after it."""
    return past.outcome is Outcome.DONE and past.begun is None


def newest_made(runs: Sequence[PastRun], alias: str | None = None, place: Place = lambda _: True) -> Made | None:
    """What the newest run left behind that left anything; None if there is none. Rollbacks themselves do not count.

    Args:
        runs: oldest first.
        alias: look at this alias only; None for all.
        place: look at these databases only.

    Raises:
        InvalidInput: that run is still running.
    """
    undone: set[tuple[str, Target, str]] = set()
    for run in reversed(runs):
        if run.origins.command != ROLLBACK:
            made = _left_by(run, alias).only(alias, place)
            if alias is None or made.steps:
                _insist_on_end(run)
            left = tuple(past for past in made.steps if (run.id, past.target, past.step.alias) not in undone)
            if left:
                return replace(made, steps=left)
            continue
        for past in run.steps_of(alias):
            key = (past.target, past.step.alias)
            if past.outcome in {Outcome.DONE, Outcome.NOOP} and past.begun is None and (run.id, *key) not in undone:
                undone |= {(of, *key) for of in run.origins.source}
    return None


def places_of(runs: Sequence[PastRun], alias: str, place: Place) -> dict[Target, tuple[PastTarget, PastStep]]:
    """The databases in which recorded runs had anything to do with an alias, each with the newest such step."""
    found: dict[Target, tuple[PastTarget, PastStep]] = {}
    for run in reversed(runs):
        steps = run.steps_of(alias)
        targets = {target.target: target for target in run.targets if place(target)} if steps else {}
        for past in steps:
            if past.target in targets:
                found.setdefault(past.target, (targets[past.target], past))
    return found
