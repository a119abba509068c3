"""Desired and live state, one row per alias: what `status` shows. Pure, from the same plan that `plan` makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated

from msgspec import Meta

from reconciler.core.model import AliasSet, Target
from reconciler.core.plan import Plan, Step, describe_undetermined
from reconciler.core.record import INLINE, INTERNAL, Record


class State(StrEnum):
    """How live compares with desired. `Unwanted`: the alias exists and should not. `Suspended`: it was not read."""

    IN_SYNC = "InSync"
    MISSING = "Missing"
    DRIFTED = "Drifted"
    UNWANTED = "Unwanted"
    SUSPENDED = "Suspended"


class StatusRow(Record, frozen=True):
    """One alias. `connection` is the name of its connection."""

    target: Annotated[Target, INLINE]
    connection: Annotated[str, INTERNAL]
    set: str
    alias: str
    desired: Annotated[str | None, Meta(description="A collection; null: the alias should not exist.")]
    live: Annotated[
        str | None, Meta(description="A collection; null: the alias does not exist, or its set is suspended.")
    ]
    state: State
    note: Annotated[str | None, Meta(description="What keeps the alias from changing, or is to be known of it.")] = None


def status(sets: Sequence[AliasSet], plan: Plan) -> Iterator[StatusRow]:
    """Return the rows, by target, set and alias. `plan`: `make_plan` of these sets: its steps are the differences."""
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
                    yield row(step.desired, step.current, _state(step), _note(step))
                else:
                    undetermined = describe_undetermined([name]) if name in set_plan.undetermined else None
                    yield row(listed[name], listed[name], State.IN_SYNC, undetermined)


def _note(step: Step) -> str | None:
    if step.blocked:
        return step.blocked.message
    return "dangling: its collection is gone, and the alias still holds the name" if step.dangling else None


def _state(step: Step) -> State:
    if step.desired is None:
        return State.UNWANTED
    return State.DRIFTED if step.current else State.MISSING
