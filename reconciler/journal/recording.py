"""Record a run while it happens."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.core.json_strict import digest_of, whole_characters
from reconciler.core.model import Target
from reconciler.core.plan import Plan, Step
from reconciler.core.rejections import Rejected
from reconciler.core.report import Outcome, Report, StepResult, missing_proof
from reconciler.documents.codec import encode
from reconciler.journal import entries
from reconciler.journal.database import Writer
from reconciler.journal.entries import Entry, Intent, Result, RevertDecided, RunEnded, RunStarted
from reconciler.journal.pruning import prune_daily
from reconciler.journal.queries import NOT_VERIFIED, REVERTED, History
from reconciler.journal.records import Act, Origins, new_run_id

if TYPE_CHECKING:
    from reconciler.journal.notifying import Recorder

NOTHING_DONE = frozenset({Outcome.BLOCKED, Outcome.NOT_ATTEMPTED})
"""Outcomes after which nothing is different for later runs."""
COLUMNS = ("run", "event", "address", "database", "set_key", "alias", "current", "desired", "outcome", "concern")
INSERT = f"INSERT INTO entry ({', '.join(COLUMNS)}, text, checksum) VALUES ({', '.join('?' * len(COLUMNS))}, ?, ?)"


class Run:
    """A run being recorded. May be used by several threads.

    Args:
        path: the journal.
        plan: the plan to be applied.
        origins: who applies it, and from which source.
        retention: age in seconds from which entries that later runs do not need are removed; None to keep all.

    Raises:
        JournalError: the journal is damaged, or cannot be written.
    """

    def __init__(self, path: Path, plan: Plan, origins: Origins, retention: float | None) -> None:
        self.id = new_run_id()
        self._path = path
        self._writer = Writer(path)
        self._notifying = _notifying(plan, origins, self.id)
        try:
            self._writer.check()
            self._record(*entries.run_started(self.id, plan, origins))
            if retention is not None:
                prune_daily(path, self._writer, retention)
        except BaseException:
            self._writer.close()
            raise

    def intend(self, target: Target, step: Step, act: Act) -> None:
        """Record that a call is about to be made; for every call that changes an alias.

        Raises:
            JournalError: the entry is not on disk, and the call must not be made.
        """
        self._record(entries.intent(self.id, target, step, act))

    def rejected(self, aliases: Collection[str], /) -> Rejected:
        """Return the moves of these aliases that other runs have rejected by now. Raises `JournalError`."""
        with closing(History(self._path, set())) as history:
            return history.decisions(aliases, other_than=self.id).rejected

    def decide_revert(self, target: Target, steps: Sequence[Step], reason: str) -> None:
        """Record that steps are about to be reverted, and that their moves are rejected.

        Raises:
            JournalError: that is not on disk, and nothing must be reverted.
        """
        self._record(*entries.reverts_decided(self.id, target, steps, reason))

    def note(self, target: Target, result: StepResult) -> None:
        """Record the outcome of a step; the last outcome of a step counts.

        It is on disk with the next intent or the end of the run: if the machine fails in between, the intent has no
        outcome, and readers have to check the server.

        Raises:
            JournalError: the entry may not have been written.
        """
        self._record(entries.result(self.id, target, result), durable=False)

    def end(self, report: Report) -> str:
        """Record the end of the run.

        A run that changed nothing and found what an earlier one found is counted there: since the last change of any
        alias, each finding is recorded once.

        Returns:
            The ID of the run that it is recorded as.

        Raises:
            JournalError: the end may not be on disk.
        """

        def change(connection: sqlite3.Connection) -> str:
            record(connection, entries.run_ended(self.id, report))
            if self._notifying:
                self._notifying.end(connection, report)
            return count_repetition(connection, self.id)

        try:
            return self._writer.write(change)
        finally:
            self._writer.close()

    def _record(self, *recorded: Entry, durable: bool = True) -> None:
        texts = [(entry, entries.text_of(entry)) for entry in recorded]  # too large ones before anything is queued

        def change(connection: sqlite3.Connection) -> None:
            for entry, text in texts:
                record(connection, entry, text)
                if self._notifying:
                    self._notifying.entry(connection, entry)

        self._writer.write(change, durable=durable)


def _notifying(plan: Plan, origins: Origins, run: str) -> Recorder | None:
    """Return what records the notifications of a run; None, without an import, if it notifies nobody."""
    if not any(target.connection.notify for target in plan.targets):
        return None
    from reconciler.journal.notifying import Recorder

    return Recorder(plan, origins, run)


def record(connection: sqlite3.Connection, entry: Entry, text: str | None = None) -> None:
    """Insert an entry, in a transaction of the caller.

    Args:
        connection: a journal that is open to be written.
        entry: what to record.
        text: of the entry, if it was made before.
    """
    text = text or entries.text_of(entry)
    values = [entry.run, entries.event_of(entry), *_about(entry)]
    plain = [whole_characters(value) if isinstance(value, str) else value for value in values]
    connection.execute(INSERT, [*plain, text, entries.checksum_of(text)])
    changed = isinstance(entry, Intent) or (isinstance(entry, Result) and entry.result.outcome not in NOTHING_DONE)
    connection.execute(
        "INSERT INTO run (id, last, ended, changed) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "last = max(last, excluded.last), ended = ended OR excluded.ended, changed = changed OR excluded.changed",
        (plain[0], _seconds(entry.time), isinstance(entry, RunEnded), changed),
    )


def count_repetition(connection: sqlite3.Connection, run: str) -> str:
    """Count a run that changed nothing as a repetition of an earlier one, if there is one, in a transaction.

    Returns:
        The ID of the earlier run, or of this one.
    """
    if connection.execute("SELECT changed FROM run WHERE id = ?", (run,)).fetchone() != (0,):
        return run
    recorded = _recorded(connection, run)
    ended = [entry for entry in recorded if isinstance(entry, RunEnded)]
    if not ended or (finding := _finding(recorded)) is None:
        return run
    earlier = connection.execute(
        "SELECT id FROM run WHERE finding = ? AND position > "
        "coalesce((SELECT max(position) FROM run WHERE changed), 0) ORDER BY position DESC LIMIT 1",
        (finding,),
    ).fetchone()
    ends = [entry for entry in _recorded(connection, earlier[0]) if isinstance(entry, RunEnded)] if earlier else []
    if not ends:
        connection.execute("UPDATE run SET finding = ? WHERE id = ?", (finding, run))
        return run
    end = entries.repeated(ends[-1], ended[-1])
    connection.execute("DELETE FROM entry WHERE run = ? OR (run = ? AND event = 'runEnded')", (run, end.run))
    connection.execute("DELETE FROM run WHERE id = ?", (run,))
    connection.execute("UPDATE run SET position = (SELECT max(position) + 1 FROM run) WHERE id = ?", (end.run,))
    record(connection, end)
    return end.run


def _recorded(connection: sqlite3.Connection, run: str) -> list[Entry]:
    """Return the entries of a run that are not damaged."""
    found = []
    rows = connection.execute("SELECT text, checksum FROM entry WHERE run = ? ORDER BY number", (run,))
    for text, checksum in rows.fetchall():
        with suppress(ValueError):
            found.append(entries.kept_entry(text, checksum))
    return [entry for entry in found if entry]


def _finding(recorded: Iterable[Entry]) -> str | None:
    """Return a digest of what a run found: by whom, the plan, and for each step the reason and the results of gates.

    Figures and times do not count. None if it has no start, or anything but blocked steps.
    """
    found: list[object] = []
    started = False
    for entry in recorded:
        match entry:
            case Result(result=result) if result.outcome in NOTHING_DONE:
                step = result.step
                gates = [[gate.gate, gate.verdict] for gate in step.gate_results]
                found.append([encode(entry.target), step.set, step.alias, result.outcome, result.code, gates])
            case RunStarted():
                started = True
                origins = {name: value for name, value in encode(entry.origins).items() if name != "pid"}
                found.append([origins, entry.plan_digest, entry.tool.version])
            case RunEnded():
                found.append([entry.exit_code, entry.interrupted])
            case Intent() | RevertDecided() | Result():
                return None
    return digest_of(sorted(found, key=repr)) if started else None


def _about(entry: Entry) -> tuple[object, ...]:
    """Return the columns that say what an entry is about, in the order of `COLUMNS`."""
    step = entries.step_of(entry)
    target: Target | None = getattr(entry, "target", None)
    place = (target.address, target.database) if target else (None, None)
    if step is None:
        return (*place, getattr(entry, "set", None), None, None, None, None, None)
    outcome = str(entry.result.outcome) if isinstance(entry, Result) else None
    return (*place, step.set, step.alias, step.current, step.desired, outcome, _concern(entry))


def _concern(entry: Entry) -> int | None:
    """Return how an entry concerns later runs; see the table."""
    match entry:
        case RevertDecided() | Intent(act=Act.REVERT) | Result(result=StepResult(outcome=Outcome.REVERTED)):
            return REVERTED
        case Result(result=result) if missing_proof(result):
            return NOT_VERIFIED
    return None


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
