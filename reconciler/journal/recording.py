"""Writing one run down as it happens."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from secrets import token_hex

from reconciler.core.errors import JournalError
from reconciler.core.model import Target
from reconciler.core.plan import Step
from reconciler.core.report import Report, StepResult
from reconciler.journal import lines
from reconciler.journal.appending import AppendOnly
from reconciler.journal.records import Act

log = logging.getLogger(__name__)


def new_run_id() -> str:
    """Return a new run ID that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{token_hex(3)}"


class Run:
    """One run being recorded. May be used by several threads; `Journal.begin` makes it."""

    def __init__(self, run: str, file: AppendOnly) -> None:
        self.id = run
        self._file = file

    def intend(self, target: Target, step: Step, act: Act) -> None:
        """Write down that a call is about to be made; for every call that changes an alias.

        Raises:
            JournalError: it is not on the disk, and the call must not be made.
        """
        self._file.append([lines.intent(self.id, target, step, act)])

    def note(self, target: Target, result: StepResult) -> None:
        """Write down what became of a step; the last note of a step counts.

        It is on the disk with the next intent or the end of the run: where a machine dies in between, the intent stands
        without an outcome, and whoever reads it looks at the server.

        Raises:
            JournalError: it may not be written.
        """
        self._file.append([lines.result(self.id, target, result)], sync=False)

    def end(self, report: Report) -> None:
        """Write down that the run is over. What was done is done, so a journal that fails now is only logged."""
        try:
            self._file.append([lines.run_ended(self.id, report)])
        except JournalError as error:
            log.warning("the end of the run is not in the journal", extra={"run": self.id, "reason": str(error)})
        finally:
            self._file.close()


class NoRun:
    """A run that nobody wants recorded."""

    id = ""

    def intend(self, target: Target, step: Step, act: Act) -> None:
        """Nothing."""

    def note(self, target: Target, result: StepResult) -> None:
        """Nothing."""

    def end(self, report: Report) -> None:
        """Nothing."""
