"""Desired and live state, one row per alias: what `status` shows. Pure, from the same plan that `plan` makes.

The plan costs nothing for unchanged aliases; whether their collections are loaded is read apart (`load_states`).

    live                          last applied by a recorded run as desired   state
    ----                          -----------------------------------------   -----
    as desired                                                                InSync, PendingVerification, …
    anything else                 yes                                         Drifted
    another collection            no                                          Pending
    no such alias                 no                                          Missing
    an alias that is not desired  no                                          Unwanted
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from reconciler.core.errors import CatalogError
from reconciler.core.gates import DEFAULT_GUARD
from reconciler.core.model import Alias, AliasSet, LoadState, Target
from reconciler.core.plan import Action, BlockReason, Plan, SetPlan, Step, TargetPlan, describe_undetermined
from reconciler.core.record import INLINE, INTERNAL, Record
from reconciler.gates.loaded import what_readers_miss
from reconciler.inspect.load_states import Load, LoadStates
from reconciler.journal import Applied


class State(StrEnum):
    """How live compares with desired.

    `PendingVerification`: the alias is where it should be, and the run that moved it did not verify it.
    `PendingRevert`: a run decided to revert it, and did not finish. `NotLoaded`: the alias is where it should be, and
    its collection is not loaded, or not all of its partitions are. `Pending`: it is at another collection, and the
    change is not applied yet. `Missing`: it does not exist yet. `Unwanted`: it exists and should not. `Drifted`:
    someone else changed it after a run had applied what is desired. `Suspended`: it was not read.
    `Unmanaged`: no set is for its database.
    """

    IN_SYNC = "InSync"
    PENDING_VERIFICATION = "PendingVerification"
    PENDING_REVERT = "PendingRevert"
    NOT_LOADED = "NotLoaded"
    PENDING = "Pending"
    MISSING = "Missing"
    UNWANTED = "Unwanted"
    DRIFTED = "Drifted"
    SUSPENDED = "Suspended"
    UNMANAGED = "Unmanaged"


NO_PROBLEM = frozenset({State.IN_SYNC, State.SUSPENDED, State.UNMANAGED})
"""States that need nobody's attention, unless there is a note."""

AppliedCollections = Mapping[tuple[Target, str], Applied]
"""What recorded runs last applied, by database and alias."""


class StatusRow(Record, frozen=True):
    """One alias. `connection` is the name of its connection."""

    target: Annotated[Target, INLINE]
    connection: Annotated[str, INTERNAL]
    set: Annotated[str | None, Meta(description="The AliasSet; null: no set is for the database.")]
    alias: str
    desired: Annotated[
        str | None, Meta(description="A collection; null: the alias should not exist, or is not managed.")
    ]
    live: Annotated[
        str | None, Meta(description="A collection; null: the alias does not exist, or its set is suspended.")
    ]
    state: State
    note: Annotated[str | None, Meta(description="Why it cannot change, and other remarks.")] = None
    blocked: Annotated[BlockReason | None, Meta(description="Why the next run cannot change it.")] = None

    @property
    def needs_attention(self) -> bool:
        """Return whether it differs from what is desired, or may differ."""
        return self.state not in NO_PROBLEM or self.note is not None


def status(
    sets: Sequence[AliasSet], plan: Plan, loads: LoadStates, applied: AppliedCollections | None = None
) -> Iterator[StatusRow]:
    """Return the rows, by target, set and alias.

    Args:
        sets: the desired state.
        plan: `make_plan` of these sets: its steps are the differences.
        loads: from `read_load_states`.
        applied: of the aliases that differ; without it no difference is known to be drift.
    """
    desired = {alias_set.key: alias_set for alias_set in sets}
    for target in plan.targets:
        for set_plan in target.sets:
            listed = {alias.name: alias for alias in desired[set_plan.set].aliases}
            rows = _SetRows(target, set_plan, loads, applied or {})
            reverting = {pending.alias for pending in set_plan.pending_reverts}
            for name in sorted(listed.keys() | rows.steps.keys() | reverting):
                yield rows.row(listed.get(name) or Alias(name, None))


def differing(plan: Plan) -> list[tuple[Target, str]]:
    """Return the aliases that differ from what is desired."""
    return [(target.target, step.alias) for target in plan.targets for step in target.steps]


class _SetRows:
    """Makes the rows of one set."""

    def __init__(self, target: TargetPlan, plan: SetPlan, loads: LoadStates, applied: AppliedCollections) -> None:
        self.steps = {step.alias: step for step in plan.steps}
        self._target, self._plan, self._loads, self._applied = target, plan, loads, applied
        self._unverified = {pending.alias: pending for pending in plan.pending_verification}
        self._reverts = {pending.alias: pending for pending in plan.pending_reverts}

    def row(self, alias: Alias) -> StatusRow:
        """Return the row of an alias that the set lists or covers."""
        if self._plan.suspended:
            return self._row(alias.name, alias.collection, None, State.SUSPENDED)
        if step := self.steps.get(alias.name):
            return self._differing(step)
        if pending := self._reverts.get(alias.name):
            note = f"run {pending.run} decided to revert it"
            return self._row(alias.name, alias.collection, alias.collection, State.PENDING_REVERT, note)
        return self._row(alias.name, alias.collection, alias.collection, *self._unchanged(alias))

    def _row(
        self,
        name: str,
        desired: str | None,
        live: str | None,
        state: State,
        note: str | None = None,
        blocked: BlockReason | None = None,
    ) -> StatusRow:
        target = self._target
        return StatusRow(
            target.target, target.connection.name, self._plan.set, name, desired, live, state, note, blocked
        )

    def _differing(self, step: Step) -> StatusRow:
        applied = self._applied.get((self._target.target, step.alias))
        state, note = _state(step), _note(step)
        if applied and applied.collection == step.desired:
            state, drift = State.DRIFTED, f"changed by someone else since run {applied.run}"
            note = f"{drift}; {note}" if note else drift
        reason = step.blocked.reason if step.blocked else None
        return self._row(step.alias, step.desired, step.current, state, note, reason)

    def _unchanged(self, alias: Alias) -> tuple[State, str | None]:
        """Return the state and the note of an alias that is where it should be."""
        if alias.name in self._plan.undetermined:
            return State.IN_SYNC, describe_undetermined([alias.name])
        state, note = State.IN_SYNC, None
        if alias.collection and alias.gates.has(DEFAULT_GUARD):
            state, note = _loaded(alias.collection, self._loads.get((self._target.target, alias.collection)))
        if pending := self._unverified.get(alias.name):
            unverified = f"run {pending.run} did not verify it"
            note = f"{note}; {unverified}" if note else unverified
            state = State.PENDING_VERIFICATION if state is State.IN_SYNC else state
        return state, note


def _loaded(collection: str, load: Load | CatalogError | None) -> tuple[State, str | None]:
    if isinstance(load, CatalogError):
        return State.IN_SYNC, f"the load state of {collection} cannot be read: {load}"
    if load is None or load.state is LoadState.MISSING:
        return State.IN_SYNC, None
    missed = what_readers_miss(collection, load.state, load.unloaded)
    return (State.NOT_LOADED, missed) if missed else (State.IN_SYNC, None)


def _note(step: Step) -> str | None:
    if step.blocked:
        return f"blocked: {step.blocked.message}"
    if step.dangling:
        return "dangling: its collection is gone, and the alias still holds the name"
    unloaded = (result.detail for result in step.gate_results if result.gate == DEFAULT_GUARD)
    return next(unloaded, None) or None if step.action is Action.CREATE else None


def _state(step: Step) -> State:
    """Return the state of an alias that differs, if no recorded run applied what is desired."""
    if step.desired is None:
        return State.UNWANTED
    return State.PENDING if step.current else State.MISSING
