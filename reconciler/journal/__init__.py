"""A record of every run, in one file: `history` shows it, `rollback` undoes it, and reverted moves are not repeated.

    run = Journal(path).begin(plan, origins)    who, when, from what                        recording, database
    run.intend(target, step, act)               before each call, and on the disk then
    run.note(target, result)                    after it
    run.decide_revert(target, steps, reason)    before the first call of a revert
    run.end(report)

    Journal(path).newest()                      what was recorded, crashes included         queries
    Journal(path).decisions()                   what it means for later runs                queries, decisions
    run.rejected(aliases)                       what other runs rejected, while a run goes on

A journal can be shared by all users that can write the file. It contains the places where credentials are read from,
and no credential. SQLite is imported by runs that use a journal only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from platformdirs import user_state_path

from reconciler.core.decisions import Decisions
from reconciler.core.errors import JournalError
from reconciler.core.model import AliasSet, Target
from reconciler.core.plan import Plan, Step
from reconciler.core.rejections import Rejected
from reconciler.core.report import Report, StepResult
from reconciler.core.text import counted
from reconciler.journal.past_run import PastRun
from reconciler.journal.records import Act, Applied, Origins, PastStep, PastTarget, RunState, new_run_id
from reconciler.journal.selection import ALL, Selection

if TYPE_CHECKING:
    from reconciler.journal.queries import History
    from reconciler.journal.recording import Run

__all__ = [
    "RETENTION",
    "Act",
    "Applied",
    "Journal",
    "Ledger",
    "NoRun",
    "Origins",
    "PastRun",
    "PastStep",
    "PastTarget",
    "RecordedRun",
    "RunState",
    "Selection",
    "default_path",
    "new_run_id",
]

RETENTION = 365 * 86_400.0
"""Seconds after which entries that later runs do not need are removed."""
Found = TypeVar("Found")

log = logging.getLogger(__name__)


class RecordedRun(Protocol):
    """A run that is recorded while it happens; see `recording.Run`."""

    @property
    def id(self) -> str:
        """Return the id of the run."""

    def rejected(self, aliases: Collection[str], /) -> Rejected:
        """Return the moves of these aliases that other runs have rejected by now. Raises `JournalError`."""

    def decide_revert(self, target: Target, steps: Sequence[Step], reason: str) -> None:
        """Record that steps are about to be reverted; raises `JournalError` if nothing must be reverted."""

    def intend(self, target: Target, step: Step, act: Act) -> None:
        """Record a call before it is made; raises `JournalError` if it must not be made."""

    def note(self, target: Target, result: StepResult) -> None:
        """Record the result of a step; raises `JournalError` if it may not be recorded."""

    def end(self, report: Report) -> str:
        """Record the end of the run and return its ID; raises `JournalError` if the end may not be recorded."""


class NoRun:
    """A run that is not recorded."""

    id = ""

    def rejected(self, _: Collection[str], /) -> Rejected:
        """Return nothing."""
        return {}

    def decide_revert(self, target: Target, steps: Sequence[Step], reason: str) -> None:
        """Do nothing."""

    def intend(self, target: Target, step: Step, act: Act) -> None:
        """Do nothing."""

    def note(self, target: Target, result: StepResult) -> None:
        """Do nothing."""

    def end(self, report: Report) -> str:  # noqa: ARG002 - as of the protocol
        """Return no ID."""
        return self.id


class Ledger(Protocol):
    """A place where runs are recorded, such as a `Journal`."""

    def begin(self, plan: Plan, origins: Origins) -> RecordedRun:
        """Start to record a run. Raises `JournalError`."""

    def decisions(self) -> Decisions:
        """Return what runs have recorded by now."""


def default_path() -> Path:
    """Return the default path of the journal: in the user's state folder of the platform."""
    return user_state_path("aliasctl") / "journal.db"


class Journal:
    """A file of recorded runs, which need not exist yet.

    Args:
        path: the file. A text journal of an earlier version is imported at the first use, see `text_import`.
        retention: age in seconds from which runs remove entries that later ones do not need; None to keep all.
    """

    def __init__(self, path: Path, retention: float | None = RETENTION) -> None:
        self.path = path
        self._retention = retention
        self._damaged: set[int] = set()

    def begin(self, plan: Plan, origins: Origins) -> Run:
        """Start to record a run; it is on the disk on return.

        Args:
            plan: the plan to be applied.
            origins: who applies it, and from which source.

        Raises:
            JournalError: the file cannot be written.
        """
        from reconciler.journal.recording import Run

        return self._imported(lambda: Run(self.path, plan, origins, self._retention))

    def notify(
        self,
        plan: Plan,
        origins: Origins,
        *,
        sets: Sequence[AliasSet] = (),
        drifted: Collection[tuple[Target, str]] = (),
    ) -> None:
        """Record the notifications that follow from a plan before it is applied; nothing if no receiver is set.

        Args:
            plan: what is about to be applied, or waits.
            origins: who would apply it, and from which source.
            sets: those that were planned as a whole, so that an alias without a step is up to date.
            drifted: aliases that something else moved since they were applied, beside those that the journal knows.

        Raises:
            JournalError: the journal cannot be written.
        """
        if not any(target.connection.notify for target in plan.targets):
            return
        from reconciler.journal.notifying import record_plan

        steps = {(target.target, step.alias): step.desired for target in plan.targets for step in target.steps}
        applied = self.applied(steps)
        known = {key for key, last in applied.items() if last.collection == steps[key]}
        self._imported(lambda: record_plan(self.path, plan, origins, sets, known | set(drifted)))

    def runs(self) -> list[PastRun]:
        """Return all runs, oldest first; none if the file does not exist. Raises `JournalError`."""
        return list(self.newest())[::-1]

    def newest(self, selection: Selection = ALL, limit: int | None = None) -> Iterator[PastRun]:
        """Yield selected runs, newest first. Raises `JournalError`."""
        with self._reading() as history:
            yield from history.runs(history.ids(selection, limit))

    def look_up(self, selection: Selection, limit: int) -> list[str]:
        """Return the IDs of selected runs, newest first, without creating, importing or locking the file.

        Raises `JournalError`.
        """
        from reconciler.journal.database import NotADatabase, looking
        from reconciler.journal.queries import History

        try:
            with closing(History(self.path, self._damaged, looking)) as history:
                return list(history.ids(selection, limit))
        except NotADatabase:
            return []

    def newest_by_database(self, alias: str) -> Iterator[PastRun]:
        """Yield the newest run about an alias of each database, newest first. Raises `JournalError`."""
        with self._reading() as history:
            yield from history.runs(history.newest_by_database(alias))

    def count(self, selection: Selection = ALL) -> int:
        """Return how many runs are selected. Raises `JournalError`."""
        with self._reading() as history:
            return history.count(selection)

    def find(self, name: str) -> PastRun:
        """Find a run by its ID or the beginning of its ID.

        Raises:
            InvalidInput: there is none, or more than one.
            JournalError: the journal cannot be read.
        """
        with self._reading() as history:
            return history.find(name)

    def texts(self, selection: Selection = ALL, limit: int | None = None) -> Iterator[str]:
        """Yield the entries of selected runs, oldest first, each as one line of JSON. Raises `JournalError`."""
        with self._reading() as history:
            for run in reversed(list(history.ids(selection, limit))):
                yield from history.texts_of(run)

    def decisions(self) -> Decisions:
        """Return the moves that were reverted, are to be reverted, or are not verified yet. Raises `JournalError`."""
        with self._reading() as history:
            return history.decisions()

    def applied(self, aliases: Iterable[tuple[Target, str]]) -> Mapping[tuple[Target, str], Applied]:
        """Return what runs last applied to these aliases; without those of which that is not certain.

        Raises `JournalError`.
        """
        with self._reading() as history:
            return {
                key: Applied(entry.run, entry.result.step.desired, entry.result.ended)
                for key, entry in history.applied(aliases).items()
            }

    def departures(self) -> Mapping[tuple[Target, str], str]:
        """Return when a run last moved an alias away from each collection, RFC 3339. Raises `JournalError`."""
        with self._reading() as history:
            return history.departures()

    def prune(self, age: float) -> int:
        """Remove the runs of that age in seconds, except for what later runs need. Return how many were removed.

        Raises:
            JournalError: the journal cannot be written.
        """
        from reconciler.journal.pruning import prune_and_compact

        return self._imported(lambda: prune_and_compact(self.path, age))

    @property
    def damaged(self) -> int:
        """Return how many damaged entries were left out so far."""
        return len(self._damaged)

    @contextmanager
    def _reading(self) -> Iterator[History]:
        """Open the journal for some queries; log how many damaged entries they met that were not logged before."""
        from reconciler.journal.queries import History

        known = self.damaged
        with closing(self._imported(lambda: History(self.path, self._damaged))) as history:
            yield history
        if new := self.damaged - known:
            log.warning(f"{self.path}: left out {counted(new, 'damaged entry')} of the journal")

    def _imported(self, use: Callable[[], Found]) -> Found:
        """Use the file; if it is a text journal, import it first."""
        from reconciler.journal.database import DAMAGED, NotADatabase
        from reconciler.journal.text_import import import_beside, import_in_place

        import_beside(self.path)
        for _ in range(2):
            with suppress(NotADatabase):
                return use()
            import_in_place(self.path)
        raise JournalError(f"{self.path}: the journal cannot be read: {DAMAGED}")
