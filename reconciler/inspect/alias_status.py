"""Desired and live state, one row per alias: what `status` shows. Pure, from the same plan that `plan` makes.

The plan costs nothing for unchanged aliases; whether their collections are loaded is read apart (`load_states`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated

from msgspec import Meta

from reconciler.core.errors import CatalogError
from reconciler.core.gates import DEFAULT_GUARD
from reconciler.core.model import AliasSet, LoadState, Target
from reconciler.core.plan import Action, Plan, Step, describe_undetermined
from reconciler.core.record import INLINE, INTERNAL, Record
from reconciler.gates.loaded import what_readers_miss
from reconciler.inspect.load_states import Load, LoadStates


class State(StrEnum):
    """How live compares with desired.

    `NotLoaded`: the alias is where it should be, and its collection is not loaded, or not all of its partitions are.
    `Unwanted`: the alias exists and should not. `Suspended`: it was not read.
    """

    IN_SYNC = "InSync"
    NOT_LOADED = "NotLoaded"
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
    note: Annotated[str | None, Meta(description="What keeps it from changing, or is to be known of it.")] = None


def status(sets: Sequence[AliasSet], plan: Plan, loads: LoadStates) -> Iterator[StatusRow]:
    """Return the rows, by target, set and alias.

    `plan`: `make_plan` of these sets: its steps are the differences; `loads`: from `read_load_states`.
    """
    desired = {alias_set.key: alias_set for alias_set in sets}
    for target in plan.targets:
        for set_plan in target.sets:
            steps = {step.alias: step for step in set_plan.steps}
            notes = {pending.alias: f"run {pending.run} did not verify it" for pending in set_plan.pending_verification}
            notes |= {pending.alias: f"run {pending.run} decided to revert it" for pending in set_plan.pending_reverts}
            listed = {alias.name: alias.collection for alias in desired[set_plan.set].aliases}
            gated = {alias.name: alias.gates.has(DEFAULT_GUARD) for alias in desired[set_plan.set].aliases}
            for name in sorted(listed.keys() | steps.keys()):
                row = partial(StatusRow, target.target, target.connection.name, set_plan.set, name)
                if set_plan.suspended:
                    yield row(listed[name], None, State.SUSPENDED)
                elif step := steps.get(name):
                    yield row(step.desired, step.current, _state(step), _note(step))
                else:
                    collection = listed[name]
                    load = loads.get((target.target, collection)) if collection and gated[name] else None
                    undetermined = name in set_plan.undetermined
                    state, note = _unchanged(name, collection, load, undetermined=undetermined)
                    yield row(collection, collection, state, notes.get(name) or note)


def _unchanged(
    alias: str, collection: str | None, load: Load | CatalogError | None, *, undetermined: bool
) -> tuple[State, str | None]:
    if undetermined:
        return State.IN_SYNC, describe_undetermined([alias])
    if isinstance(load, CatalogError):
        return State.IN_SYNC, f"the load state of {collection} cannot be read: {load}"
    if load is None or load.state is LoadState.MISSING or collection is None:
        return State.IN_SYNC, None
    missed = what_readers_miss(collection, load.state, load.unloaded)
    return (State.NOT_LOADED, missed) if missed else (State.IN_SYNC, None)


def _note(step: Step) -> str | None:
    if step.blocked:
        return step.blocked.message
    if step.dangling:
        return "dangling: its collection is gone, and the alias still holds the name"
    unloaded = (result.detail for result in step.gate_results if result.gate == DEFAULT_GUARD)
    return next(unloaded, None) or None if step.action is Action.CREATE else None


def _state(step: Step) -> State:
    if step.desired is None:
        return State.UNWANTED
    return State.DRIFTED if step.current else State.MISSING
