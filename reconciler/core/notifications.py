"""Which notifications a run and a plan produce: one for each change of state of an alias, none while a state lasts.

    intent of a move       remembered, so that a move of an interrupted run is reported once its end is seen
    result of a step       moved, reverted, failed, blocked
    end of a run           verified, recovered
    plan before a run      blocked, drifted, approvalRequired; and recovered, for what needs no step any more

What was last reported about an alias is its `AliasState`. Each function returns the next state and what to report.
Pure; `journal.outbox` records both in the transaction that records their cause.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from reconciler.core.decide import BLOCKS
from reconciler.core.model import EventType, Target, Verify
from reconciler.core.pending_verification import needs_proof
from reconciler.core.plan import Action, BlockReason, Step, describe_location
from reconciler.core.record import INLINE, Record, Time
from reconciler.core.report import ACHIEVED, Outcome, Reach, StepResult

LIMIT_EXCEEDED = "limitExceeded"
"""The reason of steps that a limit refuses."""
REVERTED = "reverted"


class Notification(Record, frozen=True):
    """One event about one alias, as it waits for its delivery."""

    id: Annotated[str, Meta(description="The same each time that the event is delivered.")]
    type: EventType
    time: Time
    connection: str
    target: Annotated[Target, INLINE]
    set: Annotated[str, Meta(description="The AliasSet: name, or namespace/name.")]
    alias: str
    current: Annotated[str | None, Meta(description="Where the alias was; null for no alias.")] = field(name="from")
    desired: Annotated[str | None, Meta(description="Where it is, or is to be; null for no alias.")] = field(name="to")
    reason: Annotated[str, Meta(description="A word for programs, such as gateFailed.")] = ""
    message: str = ""
    run: Annotated[str, Meta(description="The run in the journal.")] = ""
    command: Annotated[str, Meta(description="apply, rollback or sync.")] = ""
    plan_digest: Annotated[str, Meta(description="SHA-256 of the plan.")] = ""
    commit: Annotated[str, Meta(description="The commit of the manifests.")] = ""
    repository: Annotated[str, Meta(description="Its repository, without credentials.")] = ""


class StatusState(Record, frozen=True):
    """The status of a commit, as it waits for its delivery."""

    id: Annotated[str, Meta(description="The same each time that it is delivered.")]
    time: Time
    commit: str
    state: Annotated[str, Meta(description="success, failure or pending.")]
    description: str


class Move(Record, frozen=True):
    """A move whose call may have been made: by which run, and from where to where."""

    run: str
    current: Annotated[str | None, Meta(description="Where it was.")] = field(name="from")
    desired: Annotated[str | None, Meta(description="Where it was to be.")] = field(name="to")


class AliasState(Record, frozen=True):
    """What was last reported about an alias, and a move of it that was not reported yet."""

    problem: EventType | None = None
    desired: str | None = None
    reason: str = ""
    move: Move | None = None


FINE = AliasState()


class Event(Struct, frozen=True):
    """A change of state to report. `run`: that made it, if it is not the present one."""

    type: EventType
    current: str | None
    desired: str | None
    reason: str = ""
    message: str = ""
    run: str = ""


Transition = tuple[AliasState, tuple[Event, ...]]


def intended(state: AliasState, step: Step, run: str) -> AliasState:
    """Return the state before the call of a move."""
    return replace(state, move=Move(run, step.current, step.desired))


def resulted(state: AliasState, result: StepResult) -> Transition:
    """Return what follows from the result of a step, as soon as it is recorded."""
    step = result.step
    match result.outcome:
        case Outcome.DONE if state.move:
            return replace(state, reason="", move=None), (_moved(state.move),)
        case Outcome.REVERTED:
            return _reported(state, EventType.REVERTED, step, REVERTED, result.message)
        case Outcome.FAILED | Outcome.UNKNOWN:
            made = state.move if result.wrote else None
            reason = result.code or str(result.outcome)
            return _reported(replace(state, move=made), EventType.FAILED, step, reason, result.message)
        case Outcome.BLOCKED:
            return _blocked(state, step, result.code or "", result.message)
    return state, ()


def ended(state: AliasState, result: StepResult, verify: Verify) -> Transition:
    """Return what follows from the last result of a step, at the end of the run."""
    step = result.step
    if result.outcome not in ACHIEVED or result.code:
        return state, ()
    events = [_moved(state.move)] if state.move and state.move.desired == step.desired else []
    mine = result.outcome is Outcome.DONE or result.moved_by or events
    if mine and step.desired and needs_proof(verify) and _is_proved(result, verify):
        events.append(Event(EventType.VERIFIED, step.current, step.desired))
    if _is_problem(state):
        events.append(_recovered(state, step.current, step.desired))
    return FINE, tuple(events)


def planned(state: AliasState, step: Step, *, drifted: bool, refusal: str = "", approval: str = "") -> Transition:
    """Return what follows from a step of a plan, before it is made.

    `drifted`: something else moved the alias since it was applied. `refusal`: of a limit. `approval`: how to
    approve the plan, if it waits for that.
    """
    state, events = _settled(state, step.current)
    if drifted and state.problem in (None, EventType.DRIFTED):
        message = f"it is {step.location}, not {describe_location(step.desired)}; something else moved it"
        key = step.current or "absent"
        state, found = _reported(state, EventType.DRIFTED, step, key, message)
        events += tuple(replace(event, reason="", current=step.desired, desired=step.current) for event in found)
    if step.blocked:
        state, found = _blocked(state, step, step.blocked.reason, step.blocked.message)
        events += found
    elif refusal:
        state, found = _reported(state, EventType.BLOCKED, step, LIMIT_EXCEEDED, refusal)
        events += found
    elif approval:
        state, found = _reported(state, EventType.APPROVAL_REQUIRED, step, "", approval)
        events += found
    return state, events


def up_to_date(state: AliasState, desired: str | None) -> Transition:
    """Return what follows if an alias needs no change. `desired`: where it is; None if it is absent or not managed."""
    state, events = _settled(state, desired)
    if _is_problem(state):
        events += (_recovered(state, None, desired),)
    return FINE, events


def _settled(state: AliasState, found: str | None) -> Transition:
    """Return the state without its unreported move, which is reported if the alias was found where it led."""
    move = state.move
    if move is None:
        return state, ()
    if move.desired == found:
        return replace(state, reason="", move=None), (_moved(move),)
    return replace(state, move=None), ()


def _blocked(state: AliasState, step: Step, reason: str, message: str | None) -> Transition:
    """Report a block, unless it only follows from another one, or from a revert that was reported."""
    if reason not in BLOCKS:
        return state, ()
    if reason == BlockReason.REJECTED and state.problem is EventType.REVERTED and state.desired == step.desired:
        return state, ()
    return _reported(state, EventType.BLOCKED, step, reason, message)


def _reported(state: AliasState, problem: EventType, step: Step, reason: str, message: str | None) -> Transition:
    """Report a problem, unless it is what was last reported."""
    if (state.problem, state.desired, state.reason) == (problem, step.desired, reason):
        return state, ()
    ends = (step.desired, step.current) if problem is EventType.REVERTED else (step.current, step.desired)
    after = replace(state, problem=problem, desired=step.desired, reason=reason)
    return after, (Event(problem, *ends, reason, message or ""),)


def _is_problem(state: AliasState) -> bool:
    """Return whether an alias recovers from what was last reported; nothing is wrong with one that waits."""
    return state.problem not in (None, EventType.APPROVAL_REQUIRED)


def _moved(move: Move) -> Event:
    return Event(EventType.MOVED, move.current, move.desired, run=move.run)


def _recovered(state: AliasState, current: str | None, desired: str | None) -> Event:
    return Event(EventType.RECOVERED, current, desired, message=f"after: {state.problem}")


def _is_proved(result: StepResult, verify: Verify) -> bool:
    """Return whether reads have proved a move, if they were to."""
    if verify.propagation is None or result.step.action is not Action.ALTER:
        return True
    return bool(result.propagation) and all(item.reach is Reach.VERIFIED for item in result.propagation)
