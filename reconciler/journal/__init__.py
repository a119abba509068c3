"""A record of every run, in one file: `history` shows it, `rollback` undoes it, and reverted moves are not repeated.

    run = Journal(path).begin(plan, origins)    who, when, from what                        recording
    run.intend(target, step, act)               before each call, and on the disk then      lines, appending
    run.note(target, result)                    after it
    run.end(report)

    Journal(path).runs()                        what was recorded, crashes included         reading

A journal is append-only and can be shared by all users that can write the file, on one machine or on a shared folder.
It contains the places where credentials are read from, and no credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from platformdirs import user_state_path

from reconciler.core.model import Target
from reconciler.core.pending_verification import PendingVerifications
from reconciler.core.plan import Plan, Step
from reconciler.core.rejections import Rejected, Rejection
from reconciler.core.report import Report, StepResult
from reconciler.journal import lines, reading
from reconciler.journal.appending import AppendOnly
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

    def rejected(self) -> Rejected:
        """Return the moves that earlier runs reverted."""

    def pending_verification(self) -> PendingVerifications:
        """Return the moves that earlier runs did not verify."""


def default_path() -> Path:
    """Return the default path of the journal: in the user's state folder of the platform."""
    return user_state_path("aliasctl") / "journal.jsonl"


class Journal:
    """A file of recorded runs, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

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
        return Run(run, file)

    def read(self) -> Recorded:
        """Return all runs, and how much of the file could not be read. Raises `JournalError`."""
        return reading.read(self.path)

    def runs(self) -> list[PastRun]:
        """Return all runs, oldest first; none if the file does not exist. Raises `JournalError`."""
        return list(self.read().runs)

    def rejected(self) -> Mapping[tuple[Target, str], Rejection]:
        """Return the moves that earlier runs reverted and no later run repeated. Raises `JournalError`."""
        return reading.rejected(self.path)

    def pending_verification(self) -> PendingVerifications:
        """Return the moves that no run has verified yet. Raises `JournalError`."""
        return reading.pending_verification(self.path)
