"""Record notifications with their cause: the entries of a run, its end, and a plan before it is applied.

`core.notifications` decides what is reported. Only runs whose connections have receivers import this.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TypeAlias

from reconciler.core import json_strict
from reconciler.core.json_strict import whole_characters
from reconciler.core.model import AliasSet, Target, Verify
from reconciler.core.notifications import (
    FINE,
    AliasState,
    Event,
    Notification,
    Transition,
    ended,
    intended,
    planned,
    resulted,
    up_to_date,
)
from reconciler.core.plan import Plan, SetPlan, Step
from reconciler.core.report import Report
from reconciler.core.text import shortened
from reconciler.documents.codec import decode, encode
from reconciler.documents.timestamps import now
from reconciler.journal.database import Writer
from reconciler.journal.entries import Entry, Intent, Result, RunStarted
from reconciler.journal.outbox import create_tables, put
from reconciler.journal.records import Act, Origins

MAX_MESSAGE = 1000
"""Characters of the message of a notification."""

Drifted: TypeAlias = Collection[tuple[Target, str]]
"""Aliases that something else moved since they were applied."""


class Recorder:
    """Records the notifications of one run or plan, in transactions of the caller.

    Args:
        plan: what is, or would be, done.
        origins: who does it, and from which source.
        run: its ID; empty for a plan.
    """

    def __init__(self, plan: Plan, origins: Origins, run: str = "") -> None:
        self._plan = plan
        self._origins = origins
        self._run = run
        self._connections = {target.target: target.connection for target in plan.targets if target.connection.notify}
        self._digest = plan.digest

    def entry(self, connection: sqlite3.Connection, entry: Entry) -> None:
        """Record what follows from an entry of the journal."""
        match entry:
            case RunStarted():
                create_tables(connection)
            case Intent(act=Act.MOVE, target=target, step=step):
                self._change(connection, target, step, lambda state: (intended(state, step, self._run), ()))
            case Result(target=target, result=result):
                self._change(connection, target, result.step, partial(resulted, result=result))

    def end(self, connection: sqlite3.Connection, report: Report) -> None:
        """Record what follows from the end of a run."""
        for target in report.targets:
            verify = {set_plan.set: set_plan.verify for set_plan in target.plan.sets}
            for result in target.results:
                transition = partial(ended, result=result, verify=verify.get(result.step.set, Verify()))
                self._change(connection, target.plan.target, result.step, transition)

    def plan(self, connection: sqlite3.Connection, sets: Sequence[AliasSet], drifted: Drifted) -> None:
        """Record what follows from a plan, before it is applied.

        `sets`: those that were planned as a whole, so that an alias without a step is up to date.
        """
        desired = {alias_set.key: {alias.name: alias.collection for alias in alias_set.aliases} for alias_set in sets}
        for target in self._plan.targets:
            for set_plan in target.sets:
                for step in set_plan.steps:
                    is_drift = (target.target, step.alias) in drifted
                    refusal = "; ".join(set_plan.refusals)
                    transition = partial(planned, step=step, drifted=is_drift, refusal=refusal)
                    self._change(connection, target.target, step, transition)
                if set_plan.set in desired and not set_plan.suspended:
                    self._settle(connection, target.target, set_plan, desired[set_plan.set])

    def _settle(
        self, connection: sqlite3.Connection, target: Target, plan: SetPlan, desired: Mapping[str, str | None]
    ) -> None:
        """Record the end of the problems of those aliases of a set that need no change."""
        busy = {step.alias for step in plan.steps}
        busy |= {item.alias for item in plan.pending_reverts}
        busy |= {item.alias for item in plan.pending_verification}
        found = connection.execute(
            "SELECT alias FROM notified WHERE address = ? AND database = ? AND set_key = ?",
            (target.address, target.database, plan.set),
        )
        for (alias,) in found.fetchall():
            if alias not in busy:
                step = Step(plan.set, alias, None, None)
                self._change(connection, target, step, partial(up_to_date, desired=desired.get(alias)))

    def _change(
        self,
        connection: sqlite3.Connection,
        target: Target,
        step: Step,
        transition: Callable[[AliasState], Transition],
    ) -> None:
        """Make a transition of the state of an alias, and put its events into the outbox."""
        if target not in self._connections:
            return
        key = (target.address, target.database, whole_characters(step.alias))
        before = _state(connection, key)
        after, events = transition(before)
        for event in events:
            self._put(connection, target, step, event)
        if after == FINE and before != FINE:
            connection.execute("DELETE FROM notified WHERE address = ? AND database = ? AND alias = ?", key)
        elif after != before:
            connection.execute(
                "INSERT OR REPLACE INTO notified (address, database, alias, set_key, text) VALUES (?, ?, ?, ?, ?)",
                (*key, step.set, json_strict.dumps(encode(after))),
            )

    def _put(self, connection: sqlite3.Connection, target: Target, step: Step, event: Event) -> None:
        milvus, provenance = self._connections[target], self._origins.provenance
        notification = Notification(
            id=token_hex(16),
            type=event.type,
            time=now(),
            connection=milvus.name,
            target=target,
            set=step.set,
            alias=step.alias,
            current=event.current,
            desired=event.desired,
            reason=event.reason,
            message=shortened(event.message, MAX_MESSAGE),
            run=event.run or self._run,
            command=self._origins.command,
            plan_digest=self._digest,
            commit=provenance.commit,
            repository=provenance.repository,
        )
        text = json_strict.dumps(encode(notification))
        for receiver in milvus.notify:
            if receiver.takes(event.type):
                put(connection, target.address, receiver, "event", text)


def record_plan(path: Path, plan: Plan, origins: Origins, sets: Sequence[AliasSet], drifted: Drifted) -> None:
    """Record the notifications that follow from a plan, before it is applied; see `Recorder.plan`.

    Raises:
        JournalError: the journal cannot be written.
    """
    recorder = Recorder(plan, origins)

    def change(connection: sqlite3.Connection) -> None:
        create_tables(connection)
        recorder.plan(connection, sets, drifted)

    with closing(Writer(path)) as writer:
        writer.write(change)


def _state(connection: sqlite3.Connection, key: tuple[str, str, str]) -> AliasState:
    """Return what was last reported about an alias; damaged records count as nothing."""
    found = connection.execute("SELECT text FROM notified WHERE address = ? AND database = ? AND alias = ?", key)
    with suppress(ValueError):
        for (text,) in found.fetchall():
            return decode(json_strict.loads(str(text).encode()), AliasState, lenient=True)
    return FINE
