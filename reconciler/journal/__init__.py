"""A record of every run, in one file: `history` shows it, `rollback` undoes it, and reverted moves are not repeated.

    run = Journal(path).begin(plan, origins)    who, when, from what                        recording
    run.intend(target, step, act)               before each call, and on the disk then      lines, appending
    run.note(target, result)                    after it
    run.decide_revert(target, steps, reason)    before the first call of a revert
    run.end(report)

    Journal(path).runs()                        what was recorded, crashes included         reading
    Journal(path).decisions()                   what it means for later runs                decisions
    run.rejected(aliases)                       what other runs rejected since, while a run goes on

A journal is append-only and can be shared by all users that can write the file, on one machine or on a shared folder.
It contains the places where credentials are read from, and no credential.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from platformdirs import user_state_path

from reconciler.core.decisions import Decisions
from reconciler.core.model import Target
from reconciler.core.plan import Plan, Step
from reconciler.core.rejections import Rejected
from reconciler.core.report import Report, StepResult
from reconciler.journal import lines, reading
from reconciler.journal.appending import AppendOnly
from reconciler.journal.decisions import decisions_of
from reconciler.journal.reading import PastRun, Recorded
from reconciler.journal.recording import NoRun, Run, new_run_id
from reconciler.journal.records import Act, Origins, PastStep, PastTarget, RunState

__all__ = [
    "Act",
    "Journal",
    "Ledger",
    "NoRun",
    "Origins",
    "PastRun",
    "PastStep",
    "PastTarget",
    "Recorded",
    "RecordedRun",
    "Run",
    "RunState",
    "default_path",
    "new_run_id",
]


class RecordedRun(Protocol):
    """A run that is recorded while it happens; see `Run`."""

    @property
    def id(self) -> str:
        """Return the id of the run."""

    def rejected(self, aliases: Collection[str], /) -> Rejected:
        """Return the moves of these aliases that other runs have rejected since the plan. Raises `JournalError`."""

    def decide_revert(self, target: Target, steps: Sequence[Step], reason: str) -> None:
        """Record that steps are about to be reverted; raises `JournalError` if nothing must be reverted."""

    def intend(self, target: Target, step: Step, act: Act) -> None:
        """Record a call before it is made; raises `JournalError` if it must not be made."""

    def note(self, target: Target, result: StepResult) -> None:
        """Record the result of a step."""

    def end(self, report: Report) -> None:
        """Record the end of the run."""


class Ledger(Protocol):
    """A place where runs are recorded, such as a `Journal`."""

    def begin(self, plan: Plan, origins: Origins) -> RecordedRun:
        """Start to record a run. Raises `JournalError`."""

    def decisions(self) -> Decisions:
        """Return what runs have recorded by now."""


def default_path() -> Path:
    """Return the default path of the journal: in the user's state folder of the platform."""
    return user_state_path("aliasctl") / "journal.jsonl"


class Journal:
    """A file of recorded runs, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: int | None = None  # bytes of the file that the plans made since the last run took into account

    def begin(self, plan: Plan, origins: Origins) -> Run:
        """Start to record a run; it is on the disk on return.

        Args:
            plan: the plan to be applied.
            origins: who applies it, and from which source.

        Raises:
            JournalError: the file cannot be written.
        """
        run = new_run_id()
        started = list(lines.run_started(run, plan, origins))
        file = AppendOnly(self.path)
        try:
            file.append(started)
        except BaseException:
            file.close()
            raise
        known, self._known = self._known or 0, None
        return Run(run, file, reading.Tail(self.path, known, run))

    def read(self) -> Recorded:
        """Return all runs, and how much of the file could not be read. Raises `JournalError`."""
        return reading.read(self.path)

    def runs(self) -> list[PastRun]:
        """Return all runs, oldest first; none if the file does not exist. Raises `JournalError`."""
        return list(self.read().runs)

    def decisions(self) -> Decisions:
        """Return the moves that were reverted, are to be reverted, or are not verified yet. Raises `JournalError`."""
        size = self.path.stat().st_size if self.path.is_file() else 0
        self._known = size if self._known is None else self._known
        known = reading.undecided(self.path)
        return decisions_of(known.records, known.ended)
