"""The journal of the operator: the log has every call before it is made, the status the moves that were reverted or are
pending verification.

No call is made by a process that may have lost the Lease.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from reconciler.core.errors import JournalError
from reconciler.core.model import Target
from reconciler.core.pending_verification import PendingVerifications
from reconciler.core.plan import Plan, Step
from reconciler.core.rejections import Rejected
from reconciler.core.report import Report, StepResult
from reconciler.journal import Act, Origins

log = structlog.get_logger()


class OperatorLedger:
    """A `journal.Ledger` for one reconcile of one set.

    Args:
        rejected: moves that earlier runs reverted.
        pending_verification: moves that earlier runs made and did not verify.
        may_write: whether this process still holds the Lease.
    """

    def __init__(
        self, rejected: Rejected, pending_verification: PendingVerifications, run: str, may_write: Callable[[], bool]
    ) -> None:
        self._rejected = rejected
        self._pending_verification = pending_verification
        self._run = run
        self._may_write = may_write

    def begin(self, plan: Plan, origins: Origins) -> OperatorRun:
        run = self._run
        log.info(
            "run begins",
            run=run,
            digest=plan.digest,
            source=list(origins.source),
            **origins.provenance.known(),
        )
        connection = ", ".join(target.connection.name for target in plan.targets)
        return OperatorRun(run, self._may_write, {"run": run, "connection": connection, "digest": plan.digest})

    def rejected(self) -> Rejected:
        return self._rejected

    def pending_verification(self) -> PendingVerifications:
        return self._pending_verification


class OperatorRun:
    """A `journal.RecordedRun`.

    `context`: fields of each log entry; the threads of a run do not share the context of the logger.
    """

    def __init__(self, run: str, may_write: Callable[[], bool], context: Mapping[str, object]) -> None:
        self.id = run
        self._may_write = may_write
        self._context = context

    def intend(self, target: Target, step: Step, act: Act) -> None:
        """Check that this process may write. Raises `JournalError` if another process may be the active one."""
        if not self._may_write():
            raise JournalError("the Lease is not held any more")
        log.info("call", **self._context, **_fields(target, step), act=str(act))

    def note(self, target: Target, result: StepResult) -> None:
        details = {**self._context, **_fields(target, result.step), "outcome": str(result.outcome)}
        if result.code:
            details["code"] = result.code
        if result.message:
            details["detail"] = result.message
        log.info("step", **details)

    def end(self, report: Report) -> None:
        counts = {str(outcome): number for outcome, number in report.counts.items()}
        log.info("run ended", **self._context, exit_code=int(report.exit_code), outcomes=counts)


def _fields(target: Target, step: Step) -> dict[str, object]:
    return {
        "set": step.set,
        "target": str(target),
        "alias": step.alias,
        "action": str(step.action),
        "current": step.current,
        "desired": step.desired,
    }
