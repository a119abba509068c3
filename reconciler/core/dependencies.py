"""Order between sets (`spec.dependsOn`): a set waits until others are applied and verified.

    in order    sets are planned, and so applied, after those that they depend on
    blocked     a plan makes no change of a set if one that it depends on cannot be completed by this run
    waiting     a run makes no change of a set if one that it depends on was not completed

What a set waits for includes what its dependencies wait for. Reverts never wait.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar

from msgspec.structs import replace

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import AliasSet
from reconciler.core.plan import Block, BlockReason, Plan, SetPlan, TargetPlan
from reconciler.core.report import ACHIEVED, Outcome, StepResult

K = TypeVar("K", bound=Any)

ENDED = {
    Outcome.DONE: "is not verified",
    Outcome.NOOP: "is not verified",
    Outcome.BLOCKED: "is blocked",
    Outcome.FAILED: "failed",
    Outcome.UNKNOWN: "may not be done",
    Outcome.NOT_ATTEMPTED: "was not attempted",
    Outcome.REVERTED: "was reverted",
}
"""How an alias ended that keeps its set from being complete."""


def in_order(sets: Iterable[AliasSet], place: Callable[[AliasSet], K]) -> list[tuple[K, list[AliasSet]]]:
    """Return the sets in groups that share a place: by place, but none before a set that one of it depends on.

    A place has several groups if a set depends on another one of its place, also through others.
    """
    left = sorted(sets, key=lambda alias_set: (place(alias_set), alias_set.key))
    missing = {alias_set.key for alias_set in left}
    groups = []
    while left:
        ready = [each for each in left if missing.isdisjoint(each.depends_on)]
        if not ready:
            path = " → ".join(cycle_in({each.key: each.depends_on for each in left}))
            raise InvalidInput(Problem(f"sets depend on each other: {path}"))
        first = place(ready[0])
        group = [each for each in ready if place(each) == first]
        groups.append((first, group))
        missing -= {each.key for each in group}
        chosen = set(map(id, group))
        left = [each for each in left if id(each) not in chosen]
    return groups


def cycle_in(graph: Mapping[K, Iterable[K]]) -> tuple[K, ...]:
    """Return a path from a node through its dependencies back to it; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return tuple(reversed(error.args[1]))
    return ()


def waits_for(name: str, why: str) -> str:
    """Return what a set waits for, in words."""
    return f'waits for AliasSet "{name}": {why}'


def block_dependents(plan: Plan, unready: Mapping[str, str] = {}) -> Plan:
    """Return the plan without the changes of sets that depend on one which this run cannot complete.

    Args:
        plan: its sets in order.
        unready: further sets that it cannot complete, by key, and why.
    """
    if not any(each.depends_on for each in plan.set_plans):
        return plan
    known = dict(unready)
    included = {each.set for each in plan.set_plans}
    known |= {
        name: "it is not part of this run"
        for each in plan.set_plans
        for name in each.depends_on
        if name not in included
    }

    def checked(_: TargetPlan, each: SetPlan) -> SetPlan:
        if why := _first(each, known):
            block = Block(BlockReason.DEPENDENCY, why)
            each = replace(
                each, steps=tuple(step if step.blocked else replace(step, blocked=block) for step in each.steps)
            )
        if problem := why or _obstacle(each):
            known.setdefault(each.set, problem)
        return each

    return plan.with_sets(checked)


def waiting(target: TargetPlan, unready: Mapping[str, str]) -> dict[str, str]:
    """Return the sets of a database whose changes have to wait, and what for.

    `unready`: the sets that were not completed, by key, and why.
    """
    found = ((each, _first(each, unready)) for each in target.sets)
    return {each.set: why for each, why in found if why and each.steps and not each.pending_reverts}


def incomplete(target: TargetPlan, results: Sequence[StepResult], unready: Mapping[str, str]) -> dict[str, str]:
    """Return the sets of a database that are not applied and verified after a run, and why.

    Args:
        target: the database.
        results: what the run did there.
        unready: as for `waiting`.
    """
    found: dict[str, str] = {}
    tried = {(result.step.set, result.step.alias) for result in results}
    for each in target.sets:
        if why := _first(each, unready) or _obstacle(each):
            found[each.set] = why
    for result in results:
        if result.outcome not in ACHIEVED or result.code:
            reason = f": {result.message}" if result.message else ""
            found.setdefault(result.step.set, f'"{result.step.alias}" {ENDED[result.outcome]}{reason}')
    for pending in target.pending_verification:
        if (pending.step.set, pending.alias) not in tried:
            found.setdefault(pending.step.set, f'"{pending.alias}" is not verified')
    return found


def dependents(plan: Plan, sets: Collection[str]) -> set[str]:
    """Return the sets of a plan that depend on some sets, also through others."""
    found: set[str] = set()
    for each in plan.set_plans:
        if any(name in sets or name in found for name in each.depends_on):
            found.add(each.set)
    return found


def _first(each: SetPlan, unready: Mapping[str, str]) -> str:
    """Return the first reason why a set has to wait; empty if there is none."""
    return next((waits_for(name, unready[name]) for name in each.depends_on if name in unready), "")


def _obstacle(each: SetPlan) -> str:
    """Return why a run cannot complete a set, as far as its plan says; empty if it may."""
    if each.suspended:
        return "it is suspended"
    for pending in each.pending_reverts:
        return f'"{pending.alias}" is to be moved back: {pending.reason}'
    for step in each.steps:
        if step.blocked:
            return f'"{step.alias}" is blocked: {step.blocked.message}'
    return ""
