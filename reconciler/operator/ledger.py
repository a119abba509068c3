"""The journal of the operator: the log has every call before it is made; the status has the moves that were reverted,
are to be reverted, or are pending verification.

No call is made by a process that may have lost the Lease.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import structlog

from reconciler.core.decisions import Decisions
from reconciler.core.errors import JournalError
from reconciler.core.model import Target
from reconciler.core.plan import Plan, Step
from reconciler.core.rejections import Rejected
from reconciler.core.report import Report, StepResult
from reconciler.journal import Act, Origins

RememberRevert = Callable[[Sequence[Step], str], None]
"""Persists the decision to revert steps, with the reason. Raises `JournalError`."""

log = structlog.get_logger()


def _cannot_remember(*_: object) -> None:
    raise JournalError("this run cannot record a decision to revert")


class OperatorLedger:
    """A `journal.Ledger` for one reconcile of one set.

    Args:
        decisions: what earlier runs left.
        may_write: whether this process still holds the Lease.
        remember_revert: see `RememberRevert`.
    """

    def __init__(
        self,
        decisions: Decisions,
        run: str,
        may_write: Callable[[], bool],
        remember_revert: RememberRevert = _cannot_remember,
    ) -> None:
        self._decisions = decisions
        self._run = run
        self._may_write = may_write
        self._remember_revert = remember_revert

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
        context = {"run": run, "connection": connection, "digest": plan.digest}
        return OperatorRun(run, self._decisions, self._may_write, self._remember_revert, context)

    def decisions(self) -> Decisions:
        return self._decisions


class OperatorRun:
    """A `journal.RecordedRun`.

    Args:
        decisions: what earlier runs left; no other process writes to the aliases of the set.
        may_write: see `OperatorLedger`.
        remember_revert: see `OperatorLedger`.
        context: fields of each log entry; the threads of a run do not share the context of the logger.
    """

    def __init__(
        self,
        run: str,
        decisions: Decisions,
        may_write: Callable[[], bool],
        remember_revert: RememberRevert,
        context: Mapping[str, object],
    ) -> None:
        self.id = run
        self._decisions = decisions
        self._may_write = may_write
        self._remember_revert = remember_revert
        self._context = context

    def rejected(self, _: Collection[str], /) -> Rejected:
        return self._decisions.rejected

    def decide_revert(self, target: Target, steps: Sequence[Step], reason: str) -> None:
        """Persist the decision. Raises `JournalError` if that fails, or if this process may not write any more."""
        self._check_lease()
        self._remember_revert(steps, reason)
        log.info("revert", **self._context, target=str(target), aliases=len(steps), detail=reason)

    def intend(self, target: Target, step: Step, act: Act) -> None:
        """Check that this process may write. Raises `JournalError` if another process may be the active one."""
        self._check_lease()
        log.info("call", **self._context, **_fields(target, step), act=str(act))

    def _check_lease(self) -> None:
        if not self._may_write():
            raise JournalError("the Lease is not held any more")

    def note(self, target: Target, result: StepResult) -> None:
        details = {**self._context, **_fields(target, result.step), "outcome": str(result.outcome)}
        if result.code:
            details["code"] = result.code
        if result.message:
            details["detail"] = result.message
        log.info("step", **details)

    def end(self, report: Report) -> str:
        counts = {str(outcome): number for outcome, number in report.counts.items()}
        log.info("run ended", **self._context, exit_code=int(report.exit_code), outcomes=counts)
        return self.id


def _fields(target: Target, step: Step) -> dict[str, object]:
    return {
        "set": step.set,
        "target": str(target),
        "alias": step.alias,
        "action": str(step.action),
        "current": step.current,
        "desired": step.desired,
    }
