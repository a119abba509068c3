"""Desired against live, one row an alias: what `status` shows. Pure, over the same plan that `plan` makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconciler.model import AliasSet, Target
from reconciler.plan import Plan, Step


class State(StrEnum):
    """How one alias compares. `Unwanted`: it exists and should not."""

    IN_SYNC = "InSync"
    MISSING = "Missing"
    DRIFTED = "Drifted"
    UNWANTED = "Unwanted"


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One alias: `wanted` and `live` are collections, None for no alias. `note` says what keeps it from changing."""

    target: Target
    set: str
    alias: str
    wanted: str | None
    live: str | None
    state: State
    note: str | None = None


def status(sets: Sequence[AliasSet], plan: Plan) -> Iterator[StatusRow]:
    """The rows, by target, set and alias.

    Args:
        sets: what is wanted.
        plan: `make_plan` of these sets, suspended ones included: its steps are what is not in sync.
    """
    wanted = {one.key: one for one in sets}
    for target in plan.targets:
        for set_plan in target.sets:
            steps = {step.alias: step for step in set_plan.steps}
            suspended = "its set is suspended" if wanted[set_plan.set].suspend else None
            listed = {alias.name: alias.collection for alias in wanted[set_plan.set].aliases}
            for name in sorted(listed.keys() | steps.keys()):
                if step := steps.get(name):
                    note = suspended or (step.blocked.message if step.blocked else None)
                    yield StatusRow(target.target, set_plan.set, name, step.wanted, step.current, _state(step), note)
                else:
                    live = listed[name]
                    yield StatusRow(target.target, set_plan.set, name, live, live, State.IN_SYNC, suspended)


def _state(step: Step) -> State:
    if step.wanted is None:
        return State.UNWANTED
    return State.DRIFTED if step.current else State.MISSING
