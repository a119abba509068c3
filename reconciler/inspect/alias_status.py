"""Desired against live, one row an alias: what `status` shows. Pure, over the same plan that `plan` makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from reconciler.core.model import AliasSet, Target
from reconciler.core.plan import Plan, Step


class State(StrEnum):
    """How one alias compares. `Unwanted`: it exists and should not. `Suspended`: nobody looked."""

    IN_SYNC = "InSync"
    MISSING = "Missing"
    DRIFTED = "Drifted"
    UNWANTED = "Unwanted"
    SUSPENDED = "Suspended"


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One alias: `wanted` and `live` are collections, None for no alias. `note` says what keeps it from changing."""

    target: Target
    connection: str
    set: str
    alias: str
    desired: str | None
    live: str | None
    state: State
    note: str | None = None


def status(sets: Sequence[AliasSet], plan: Plan) -> Iterator[StatusRow]:
    """The rows, by target, set and alias.

    Args:
        sets: what is wanted.
        plan: `make_plan` of these sets: its steps are what is not in sync.
    """
    desired = {alias_set.key: alias_set for alias_set in sets}
    for target in plan.targets:
        for set_plan in target.sets:
            steps = {step.alias: step for step in set_plan.steps}
            listed = {alias.name: alias.collection for alias in desired[set_plan.set].aliases}
            for name in sorted(listed.keys() | steps.keys()):
                row = partial(StatusRow, target.target, target.connection.name, set_plan.set, name)
                if set_plan.suspended:
                    yield row(listed[name], None, State.SUSPENDED)
                elif step := steps.get(name):
                    yield row(step.desired, step.current, _state(step), step.blocked.message if step.blocked else None)
                else:
                    yield row(listed[name], listed[name], State.IN_SYNC)


def _state(step: Step) -> State:
    if step.desired is None:
        return State.UNWANTED
    return State.DRIFTED if step.current else State.MISSING
