"""Keep notifications in the status of a set: what was last reported about its aliases, and what waits for delivery.

    a set is reconciled ─▶ the change of its status has the events that follow from it ─▶ `notifying` delivers them

The status is written before the first move of a run and at its end, so a move of a process that died is reported by the
next one. `core.notifications` decides what is reported. Aliases to which the same happened share an entry. Both lists
are bounded in bytes; what exceeds the second is dropped, oldest first, and counted. Only sets whose connection has
receivers import this.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import cast

from msgspec.structs import replace

from reconciler.core.json_strict import without_none
from reconciler.core.model import AliasSet, EventType, Target
from reconciler.core.notifications import (
    FINE,
    AliasState,
    Event,
    Move,
    Notification,
    Transition,
    ended,
    intended,
    planned,
    resulted,
    up_to_date,
)
from reconciler.core.reasons import Reason
from reconciler.core.report import Outcome, Report, StepResult
from reconciler.core.text import printable_lines, shortened
from reconciler.manifest.specs.status import (
    LARGE_SET,
    MAX_ALIASES,
    MAX_MESSAGE,
    MAX_NOTIFICATIONS,
    MAX_NOTIFICATIONS_OF_LARGE_SET,
    MAX_REASON_MESSAGE,
    MAX_ROWS,
)
from reconciler.operator.finding import Finding
from reconciler.operator.objects import Body, SetObject

ORDER = (
    EventType.MOVED,
    EventType.DRIFTED,
    EventType.BLOCKED,
    EventType.APPROVAL_REQUIRED,
    EventType.FAILED,
    EventType.REVERTED,
    EventType.VERIFIED,
    EventType.RECOVERED,
)
"""In which the events of one reconcile about one alias happened."""
TOGETHER = MAX_ROWS
"""Aliases that share an entry at most, so that little is dropped at once."""


class _Changes:
    """Makes transitions of the states of aliases, and collects their events."""

    def __init__(self, states: Mapping[str, AliasState], limit: int) -> None:
        self.states = dict(states)
        self.events: list[tuple[str, Event]] = []
        self.incomplete = False
        self._more = MAX_ALIASES - len(states)
        self._left = limit - len(json.dumps(_groups(states)))
        self._known = set(states.values())

    def make(self, alias: str, transition: Callable[[AliasState], Transition]) -> None:
        """Make a transition; not one to a state that could not be remembered, as it would be reported each time."""
        before = self.states.get(alias, FINE)
        after, events = transition(before)
        if after != FINE and after != before:
            cost = len(json.dumps([alias] if after in self._known else _group(alias, after)))
            if cost > self._left or (alias not in self.states and not self._more):
                self.incomplete = True
                return
            self._left -= cost
            self._more -= alias not in self.states
            self._known.add(after)
        self.states[alias] = after
        self.events += [(alias, event) for event in events]


def after(set_object: SetObject, finding: Finding, now: str) -> dict[str, object] | None:
    """Return the notifications for the next status; None for none.

    Args:
        set_object: with the status so far.
        finding: of the reconcile, or of a run that begins.
        now: RFC 3339.
    """
    before = cast("Body", set_object.status.get("notifications") or {})
    desired, plan = finding.desired, finding.plan
    if desired is None or desired.connection is None or plan is None or not plan.targets:
        return dict(before) or None
    receivers = [receiver for receiver in desired.connection.notify if not receiver.format.is_status]
    target, limit = plan.targets[0].target, _limit(desired)
    waiting = list(_still_received(before, target, {receiver.name for receiver in receivers}))
    if not receivers:
        return {"waiting": waiting} if waiting else None
    changes = _Changes(_states(before), limit // 3)
    if finding.report:
        _ended(changes, desired, finding.report)
    else:
        _planned(changes, desired, finding)
    waiting += _entries(set_object, finding, target, changes.events, _next_number(waiting, now), now)
    kept, dropped = _within(waiting, limit - limit // 3)
    return (
        without_none(
            reported=_groups(changes.states) or None,
            waiting=kept or None,
            dropped=cast("int", before.get("dropped", 0)) + dropped or None,
            incomplete=changes.incomplete or None,
        )
        or None
    )


def waiting(set_object: SetObject, address: str, receiver: str) -> Iterator[tuple[int, Notification]]:
    """Yield what waits for a receiver, in order, each with its number."""
    for entry in _waiting(set_object.status):
        if entry["address"] == address and receiver in cast("Sequence[str]", entry["receivers"]):
            for place, alias in enumerate(cast("Sequence[str]", entry["aliases"])):
                number = cast("int", entry["number"]) * TOGETHER + place
                yield number, _notification(set_object, entry, alias)


def without(set_object: SetObject, address: str, receiver: str, delivered: Callable[[str], bool]) -> Body | None:
    """Return the notifications without the entries that a receiver has got.

    `delivered`: takes the ID of a notification, and returns whether it was delivered.
    """
    left: list[Body] = []
    for entry in _waiting(set_object.status):
        receivers = list(cast("Sequence[str]", entry["receivers"]))
        aliases = cast("Sequence[str]", entry["aliases"])
        mine = entry["address"] == address and receiver in receivers
        if mine and all(delivered(_id(set_object, entry, alias)) for alias in aliases):
            receivers.remove(receiver)
        if receivers:
            left.append({**entry, "receivers": receivers})
    notifications = cast("Body", set_object.status.get("notifications") or {})
    return without_none(**{**notifications, "waiting": left or None}) or None


def _planned(changes: _Changes, desired: AliasSet, finding: Finding) -> None:
    """Make the transitions that follow from a plan, and from the begin of a run."""
    plan = finding.plan
    if plan is None:
        return
    drifted = {step.alias for step in finding.drift}
    approval = finding.message if finding.reason is Reason.APPROVAL_REQUIRED else ""
    refusal = "; ".join(plan.refusals)
    for step in plan.steps:
        is_drift = step.alias in drifted
        changes.make(step.alias, partial(planned, step=step, drifted=is_drift, refusal=refusal, approval=approval))
        if finding.run and not step.blocked:
            changes.make(step.alias, lambda state, step=step: (intended(state, step, finding.run), ()))  # type: ignore[misc]
    if finding.run:
        return
    busy = {step.alias for step in (*plan.steps, *plan.earlier_moves)}
    contested = {contest.name for contest in finding.contests}
    collections = {alias.name: alias.collection for alias in desired.aliases}
    for alias in changes.states.keys() - busy:
        if alias in contested:
            del changes.states[alias]
        else:
            changes.make(alias, partial(up_to_date, desired=collections.get(alias)))


def _ended(changes: _Changes, desired: AliasSet, report: Report) -> None:
    """Make the transitions that follow from the end of a run."""
    for result in report.results:
        changes.make(result.step.alias, partial(_step_ended, result=result, desired=desired, run=report.run))


def _step_ended(state: AliasState, result: StepResult, desired: AliasSet, run: str) -> Transition:
    """Return what follows from the last result of a step; only then it is known whether it was made at all."""
    events: tuple[Event, ...] = ()
    if result.outcome is Outcome.REVERTED and state.move:
        state, events = resulted(state, replace(result, outcome=Outcome.DONE))
    elif result.outcome not in (Outcome.DONE, Outcome.FAILED, Outcome.UNKNOWN) and state.move and state.move.run == run:
        state = replace(state, move=None)
    state, found = resulted(state, result)
    state, last = ended(state, result, desired.verify)
    return state, (*events, *found, *last)


def _limit(desired: AliasSet) -> int:
    """Return the maximum of bytes of all notifications: what the names of a set leave of an object of Kubernetes."""
    names = sum(len(alias.name) + len(alias.collection or "") for alias in desired.aliases)
    return MAX_NOTIFICATIONS_OF_LARGE_SET if names > LARGE_SET else MAX_NOTIFICATIONS


def _waiting(status: Body) -> Sequence[Body]:
    notifications = cast("Body", status.get("notifications") or {})
    return cast("Sequence[Body]", notifications.get("waiting") or ())


def _still_received(before: Body, target: Target, names: set[str]) -> Iterator[Body]:
    """Yield what waits, without receivers of this server that do not exist any more."""
    for entry in cast("Sequence[Body]", before.get("waiting") or ()):
        receivers = cast("Sequence[str]", entry["receivers"])
        left = [name for name in receivers if name in names or entry["address"] != target.address]
        if left:
            yield {**entry, "receivers": left}


def _next_number(waiting: Sequence[Body], now: str) -> int:
    """Return the number of the next entry: a time in milliseconds, so that numbers grow though entries are removed."""
    moment = round(datetime.fromisoformat(now).timestamp() * 1000)
    return max([moment, *(cast("int", entry["number"]) + 1 for entry in waiting[-1:])])


def _entries(
    set_object: SetObject,
    finding: Finding,
    target: Target,
    events: Sequence[tuple[str, Event]],
    number: int,
    now: str,
) -> Iterator[Body]:
    """Yield the entries for events, without those that no receiver takes."""
    connection = finding.desired and finding.desired.connection
    digest = finding.plan.digest if events and finding.plan and finding.plan.steps else ""
    together: dict[str, list[str]] = defaultdict(list)
    for alias, event in sorted(events, key=lambda item: ORDER.index(item[1].type)):
        receivers = (
            [receiver.name for receiver in connection.notify if receiver.takes(event.type)] if connection else []
        )
        if receivers:
            content = _content(finding, event) | {"receivers": receivers}
            together[json.dumps(content)].append(alias)
    provenance = set_object.provenance
    origin = without_none(
        connection=connection.name if connection else None,
        address=target.address,
        database=target.database,
        planDigest=digest or None,
        commit=provenance.commit[:MAX_MESSAGE] or None,
        repository=provenance.repository[:MAX_MESSAGE] or None,
    )
    for key, aliases in together.items():
        for start in range(0, len(aliases), TOGETHER):
            some = sorted(aliases)[start : start + TOGETHER]
            yield {"number": number, "time": now, **origin, **json.loads(key), "aliases": some}
            number += 1


def _content(finding: Finding, event: Event) -> dict[str, object]:
    run = event.run or finding.run or (finding.report.run if finding.report else "")
    return without_none(
        **{"from": event.current},
        event=str(event.type),
        to=event.desired,
        reason=event.reason or None,
        message=shortened(printable_lines(event.message), MAX_REASON_MESSAGE) or None,
        run=run or None,
    )


def _within(waiting: Sequence[Body], limit: int) -> tuple[list[Body], int]:
    """Return the newest entries that fit, and how many notifications were dropped with the others."""
    kept: list[Body] = []
    for entry in reversed(waiting):
        limit -= len(json.dumps(entry)) + 1
        if limit < 0:
            break
        kept.insert(0, entry)
    dropped = waiting[: len(waiting) - len(kept)]
    return kept, sum(len(cast("Sequence[str]", entry["aliases"])) for entry in dropped)


def _id(set_object: SetObject, entry: Body, alias: str) -> str:
    """Return the ID of a notification: the same if the status that has it was written twice."""
    cause = entry.get("run") or entry["number"]
    parts = (set_object.uid, cause, entry["event"], alias, entry.get("from"), entry.get("to"))
    return sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _notification(set_object: SetObject, entry: Body, alias: str) -> Notification:
    def text(name: str) -> str:
        return str(entry.get(name, ""))

    return Notification(
        id=_id(set_object, entry, alias),
        type=EventType(text("event")),
        time=text("time"),
        connection=text("connection"),
        target=Target(text("address"), text("database")),
        set=str(set_object.ref),
        alias=alias,
        current=text("from") or None,
        desired=text("to") or None,
        reason=text("reason"),
        message=text("message"),
        run=text("run"),
        command="operator",
        plan_digest=text("planDigest"),
        commit=text("commit"),
        repository=text("repository"),
    )


def _states(before: Body) -> dict[str, AliasState]:
    """Return what was last reported, by alias."""
    found: dict[str, AliasState] = {}
    for group in cast("Sequence[Body]", before.get("reported") or ()):
        move = None
        if moved := cast("Body", group.get("move")):
            move = Move(str(moved["run"]), _name(moved, "from"), _name(moved, "to"))
        problem = EventType(str(group["event"])) if "event" in group else None
        state = AliasState(problem, _name(group, "collection"), str(group.get("reason", "")), move)
        found |= dict.fromkeys(cast("Sequence[str]", group["aliases"]), state)
    return found


def _name(group: Body, field: str) -> str | None:
    return cast("str | None", group.get(field))


def _groups(states: Mapping[str, AliasState]) -> list[Body]:
    """Return what was last reported; aliases of the same state together."""
    together: dict[AliasState, list[str]] = defaultdict(list)
    for alias in sorted(states):
        if states[alias] != FINE:
            together[states[alias]].append(alias)
    return [{**_group("", state), "aliases": aliases} for state, aliases in together.items()]


def _group(alias: str, state: AliasState) -> Body:
    move = state.move
    return without_none(
        event=str(state.problem) if state.problem else None,
        collection=state.desired,
        reason=state.reason or None,
        move=without_none(**{"from": move.current}, run=move.run, to=move.desired) if move else None,
        aliases=[alias],
    )
