"""Record a run while it happens."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from secrets import token_hex

from reconciler.core.errors import JournalError
from reconciler.core.model import Target
from reconciler.core.plan import Step
from reconciler.core.rejections import Rejected
from reconciler.core.report import Report, StepResult
from reconciler.journal import lines
from reconciler.journal.appending import AppendOnly
from reconciler.journal.decisions import decisions_of
from reconciler.journal.reading import Tail
from reconciler.journal.records import Act

log = logging.getLogger(__name__)


def new_run_id() -> str:
    """Return a new run ID that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{token_hex(3)}"


class Run:
    """A run being recorded, created by `Journal.begin`. May be used by several threads."""

    def __init__(self, run: str, file: AppendOnly, others: Tail) -> None:
        self.id = run
        self._file = file
        self._others = others

    def rejected(self, aliases: Collection[str], /) -> Rejected:
        """Return the moves of these aliases that other runs have rejected since the plan. Raises `JournalError`."""
        known = self._others.about(aliases)
        return decisions_of(known.records, known.ended).rejected

    def intend(self, target: Target, step: Step, act: Act) -> None:
        """Record that a call is about to be made; for every call that changes an alias.

        Raises:
            JournalError: the line is not on disk, and the call must not be made.
        """
        self._file.append([lines.intent(self.id, target, step, act)])

    def decide_revert(self, target: Target, steps: Sequence[Step], reason: str) -> None:
        """Record that steps are about to be reverted, and that their moves are rejected.

        Raises:
            JournalError: that is not on disk, and nothing must be reverted.
        """
        self._file.append(list(lines.reverts_decided(self.id, target, steps, reason)))

    def note(self, target: Target, result: StepResult) -> None:
        """Record the outcome of a step; the last outcome of a step counts.

        It is on disk with the next intent or the end of the run: if the machine fails in between, the intent has no
        outcome, and readers have to check the server.

        Raises:
            JournalError: the line may not have been written.
        """
        self._file.append([lines.result(self.id, target, result)], sync=False)

    def end(self, report: Report) -> None:
        """Record the end of the run. Its changes are made, so a journal that fails now is only logged."""
        try:
            self._file.append([lines.run_ended(self.id, report)])
        except JournalError as error:
            log.warning("the end of the run is not in the journal", extra={"run": self.id, "reason": str(error)})
        finally:
            self._file.close()


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

    def end(self, report: Report) -> None:
        """Do nothing."""
