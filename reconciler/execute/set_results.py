"""The results of one set's steps so far: each is journaled first, then published."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Event, Lock

from msgspec.structs import replace

from reconciler.core.errors import JournalError
from reconciler.core.model import Target
from reconciler.core.plan import Step
from reconciler.core.report import Outcome, StepResult
from reconciler.core.run_events import RunEvent
from reconciler.documents.timestamps import now
from reconciler.journal import RecordedRun


class SetResults:
    """Keep the last result of each step. `failed` is set once nothing further may start; `failure` says why.

    Args:
        target: the database.
        run: the journal of this run.
        published: receives each result after it was journaled, and None at the end.
    """

    def __init__(self, target: Target, run: RecordedRun, published: SimpleQueue[RunEvent | None]) -> None:
        self._target = target
        self._run = run
        self._published = published
        self._last: dict[str, StepResult] = {}
        self._lock = Lock()
        self.failed = Event()
        self.failure = ""

    def of(self, step: Step) -> StepResult:
        """Return the last result of a step; the step must have one."""
        return self._last[step.alias]

    def fail(self, reason: str) -> None:
        """Start nothing further in this set; the first reason is kept."""
        with self._lock:
            self.failure = self.failure or reason
        self.failed.set()

    def note_what_stays(self) -> None:
        """Add to the failure which aliases a revert leaves where other runs moved them."""
        stay = [
            f'"{result.step.alias}" stays at "{result.step.desired}", where '
            + (f"run {result.moved_by} moved it (aliasctl rollback {result.moved_by})" if result.moved_by else "it was")
            for result in self._last.values()
            if result.outcome is Outcome.NOOP and result.step.desired
        ]
        self.failure = "; ".join([self.failure, *stay])

    def record(self, step: Step, outcome: Outcome, code: str | None = None, message: str | None = None) -> None:
        """Record the result of a step for which no call was made."""
        moment = now()
        self.put(StepResult(step, outcome, code, message, moment, moment))

    def take_over(self, step: Step, run: str, message: str) -> None:
        """Record a step that an earlier run made, and that this one verifies or reverts."""
        moment = now()
        self.put(StepResult(step, Outcome.NOOP, None, message, moment, moment, moved_by=run))

    def correct(
        self, step: Step, outcome: Outcome, code: str | None, message: str | None, *, wrote: bool = False
    ) -> None:
        """Replace the result of a step that has one. `wrote`: another call was sent for it."""
        if outcome is Outcome.UNKNOWN:
            self.fail(f'"{step.alias}": {message}')
        before = self.of(step)
        reverted = outcome is Outcome.REVERTED
        proof = () if reverted else before.propagation  # it was about the other collection
        wrote = before.wrote or wrote
        self.put(
            replace(before, outcome=outcome, code=code, message=message, ended=now(), propagation=proof, wrote=wrote)
        )

    def put(self, result: StepResult) -> None:
        """Journal a result, then publish it; a journal error is added to the result."""
        if result.outcome is not Outcome.NOT_ATTEMPTED:
            try:
                self._run.note(self._target, result)
            except JournalError as error:
                self.fail(str(error))
                message = added(result.message, str(error))
                result = replace(result, code=result.code or error.code, message=message)
        self._last[result.step.alias] = result
        self._published.put(result)

    def end(self) -> None:
        """Announce that there are no more results."""
        self._published.put(None)


def added(message: str | None, more: str) -> str:
    """Return a message with another one appended."""
    return f"{message}; {more}" if message else more
