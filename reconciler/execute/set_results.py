"""What has become of a set's steps so far: every result is written down first, and then told."""

from __future__ import annotations

from dataclasses import replace
from queue import SimpleQueue
from threading import Event, Lock

from reconciler.core.errors import JournalError
from reconciler.core.model import Target
from reconciler.core.plan import Step
from reconciler.core.report import Outcome, StepResult
from reconciler.documents.timestamps import now
from reconciler.journal import RecordedRun


class SetResults:
    """The last result of each step counts. `failed` is set once nothing further may start; `failure` says why.

    Args:
        target: the database.
        record: where results are written down.
        told: where they go then.
    """

    def __init__(self, target: Target, record: RecordedRun, told: SimpleQueue[StepResult | None]) -> None:
        self._target = target
        self._record = record
        self._told = told
        self._last: dict[str, StepResult] = {}
        self._lock = Lock()
        self.failed = Event()
        self.failure = ""

    def of(self, step: Step) -> StepResult:
        """The last result of a step, which has one."""
        return self._last[step.alias]

    def fail(self, reason: str) -> None:
        """Start nothing further in this set; the first reason is the one that is told."""
        with self._lock:
            self.failure = self.failure or reason
        self.failed.set()

    def say(self, step: Step, outcome: Outcome, code: str | None = None, message: str | None = None) -> None:
        """The result of a step for which no call was made."""
        moment = now()
        self.put(StepResult(step, outcome, code, message, moment, moment))

    def correct(self, step: Step, outcome: Outcome, code: str | None, message: str | None) -> None:
        """Another result of a step that was made, or was in place already."""
        if outcome is Outcome.UNKNOWN:
            self.fail(f'"{step.alias}": {message}')
        before = self.of(step)
        reverted = outcome is Outcome.REVERTED
        proof = () if reverted else before.propagation  # which was about the other collection
        self.put(replace(before, outcome=outcome, code=code, message=message, ended=now(), propagation=proof))

    def put(self, result: StepResult) -> None:
        """Tell a result, once it is written down; one that is not is told with the reason, and is not all well."""
        if result.outcome is not Outcome.NOT_ATTEMPTED:
            try:
                self._record.note(self._target, result)
            except JournalError as error:
                self.fail(str(error))
                message = added(result.message, str(error))
                result = replace(result, code=result.code or error.code, message=message)
        self._last[result.step.alias] = result
        self._told.put(result)

    def end(self) -> None:
        """There are no more."""
        self._told.put(None)


def added(message: str | None, more: str) -> str:
    """A message, and what is to be said besides."""
    return f"{message}; {more}" if message else more
