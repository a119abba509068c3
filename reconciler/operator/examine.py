"""One look at one set: what it wants, against what is there, and what may be done about it now.

spec unusable ─▶ InvalidSpec          suspended ─▶ Suspended          no connection or Secret ─▶ DependencyNotReady
compared:  over a limit ─▶ LimitExceeded       nothing to do ─▶ Succeeded, OwnershipConflict
           read-only ─▶ ReadOnly               drift: Report ─▶ DriftDetected
           not verified when it was last tried ─▶ VerificationFailed
           nothing can be done ─▶ the gravest block             approval: Manual ─▶ ApprovalRequired
           else it is done ─▶ the report
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Event

import structlog

from reconciler.catalog import Catalogs
from reconciler.catalog.read import read_live
from reconciler.core.errors import (
    AuthenticationFailed,
    CallTimedOut,
    CatalogError,
    ConnectionFailed,
    DatabaseNotFound,
    InvalidInput,
    PermissionDenied,
)
from reconciler.core.model import AliasSet, Target
from reconciler.core.options import GatesToEvaluate
from reconciler.core.plan import Plan, spec_digest
from reconciler.core.text import counted
from reconciler.journal import Origins, new_run_id
from reconciler.manifest.records import AliasSetManifest, Approval, DriftPolicy
from reconciler.operator import pending_verification, status
from reconciler.operator.clients import Clients, Secrets
from reconciler.operator.finding import Finding, in_sync, of_blocked, of_report
from reconciler.operator.ledger import OperatorLedger
from reconciler.operator.objects import SetObject
from reconciler.operator.outages import Outages
from reconciler.operator.queue import Trigger
from reconciler.operator.reads import SharedReads, last_tick
from reconciler.operator.reasons import Reason
from reconciler.operator.world import View
from reconciler.reconcile import Read, apply_plan, make_plan, target_of

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReconcileHooks:
    """What surrounds one look.

    Args:
        stop: when set, calls in flight are finished and nothing further is started.
        still_wanted: publishes what is about to be done, and says whether the set, asked anew, still wants it.
        consume_approval: takes the approval off the object, whether it was of this plan (a digest) or not.
        step_aside: the run will take long.
    """

    stop: Event
    still_desired: Callable[[SetObject, Finding], bool]
    consume_approval: Callable[[SetObject, str], None]
    step_aside: Callable[[SetObject], None]


@dataclass(frozen=True, slots=True)
class Examiner:
    """See above.

    Args:
        clients: open connections.
        secrets: their credentials.
        reads: shared reads.
        outages: servers that do not answer.
        may_write: whether this process is the one that writes.
        read_only: change nothing, but tell what would change.
    """

    clients: Clients
    secrets: Secrets
    reads: SharedReads
    outages: Outages
    may_write: Callable[[], bool]
    read_only: bool = False

    def examine(self, set_object: SetObject, view: View, trigger: Trigger, hooks: ReconcileHooks) -> Finding:
        """Look at a set, and do what is to be done.

        Args:
            one: the set.
            view: all sets.
            trigger: why now.
            conduct: what surrounds the run.

        Raises:
            ClusterError: the Kubernetes API cannot be used.
        """
        if isinstance(set_object.spec, InvalidInput):
            return Finding(Reason.INVALID_SPEC, _in_one_line(set_object.spec))
        if set_object.spec.suspend:
            return Finding(Reason.SUSPENDED, "suspended: nothing is changed, and nothing is looked at")
        desired = view.desired[set_object.ref]
        if isinstance(desired, InvalidInput):
            absent = view.missing(set_object.ref)
            return Finding(
                Reason.DEPENDENCY_NOT_READY if absent else Reason.INVALID_SPEC, absent or _in_one_line(desired)
            )
        connection = desired.connection
        if trigger is not Trigger.CHANGED and (told := self.outages.found_by_others(set_object.ref, connection)):
            return Finding(Reason.CONNECTION_FAILED, told, unreachable=True)
        try:
            finding = self._with_new_credentials(
                desired, lambda: self._compare(set_object, desired, view, trigger, hooks)
            )
        except InvalidInput as error:
            return Finding(Reason.DEPENDENCY_NOT_READY, _in_one_line(error))
        except CatalogError as error:
            helpless = isinstance(error, AuthenticationFailed | PermissionDenied | DatabaseNotFound)
            unreachable = error.transient or isinstance(error, AuthenticationFailed)
            if isinstance(error, ConnectionFailed | CallTimedOut):
                self.outages.met(set_object.ref, connection, str(error))
            return Finding(Reason.CONNECTION_FAILED, str(error), unreachable=unreachable, stalled=helpless)
        self.outages.over(set_object.ref, connection)
        return finding

    def _with_new_credentials(self, desired: AliasSet, look: Callable[[], Finding]) -> Finding:
        """Look; if the token is refused, once more with what the Secret holds now."""
        try:
            return look()
        except AuthenticationFailed:
            if desired.connection:
                self.secrets.forget(desired.connection)
            return look()

    def _compare(
        self, set_object: SetObject, desired: AliasSet, view: View, trigger: Trigger, hooks: ReconcileHooks
    ) -> Finding:
        resolved, contests = view.claims[target_of(desired)].resolved(set_object.ref)
        with self.clients.session() as catalogs:
            read = self._reader(set_object, resolved, view, trigger)
            ledger = self._ledger(set_object, resolved, new_run_id())
            # An approval is used up by a run; so it waits for all gates here, and not only for those that cost little.
            ask = GatesToEvaluate.ALL if set_object.approved else GatesToEvaluate.CHEAP
            plan = make_plan([resolved], catalogs=catalogs, journal=ledger, read=read, evaluate=ask)
            if plan.steps and set_object.approved == plan.digest and ledger.rejected():
                forgiving = OperatorLedger({}, ledger.pending_verification(), new_run_id(), self.may_write)
                plan = make_plan([resolved], catalogs=catalogs, journal=forgiving, evaluate=ask)
            found = Finding(
                *in_sync(resolved, contests),
                desired=resolved,
                contests=contests,
                plan=plan,
                drift=_is_drift(set_object, resolved, plan),
            )
            return self._decide(set_object, found, catalogs, hooks)

    def _reader(self, set_object: SetObject, desired: AliasSet, view: View, trigger: Trigger) -> Read:
        """Sets that are due together share a read."""
        if trigger is Trigger.LISTED:
            return self.reads.sharing(_companions(desired, view))
        if trigger is Trigger.INTERVAL:
            due = last_tick(time.monotonic(), status.interval_of(set_object), target_of(desired))
            return self.reads.sharing(_companions(desired, view), due)
        return read_live

    def _decide(self, set_object: SetObject, found: Finding, catalogs: Catalogs, hooks: ReconcileHooks) -> Finding:
        """Whether the plan may be carried out now; if so, it is."""
        plan = found.plan
        if plan is None or not isinstance(set_object.spec, AliasSetManifest):
            return found
        approved_by = set_object.approver if set_object.approved == plan.digest else ""
        held_up = approved_by and plan.steps and (plan.refusals or not plan.runnable)
        if set_object.approved and not self.read_only and not held_up:
            hooks.consume_approval(set_object, plan.digest)
        if plan.refusals:
            return replace(found, reason=Reason.LIMIT_EXCEEDED, message="; ".join(plan.refusals))
        if not approved_by and (message := _still_pending_verification(set_object, plan)):
            return replace(found, reason=Reason.VERIFICATION_FAILED, message=message)
        if not plan.steps and not plan.pending_verification:
            return found
        what = counted(len(plan.steps), "change")
        if self.read_only:
            again = f"{counted(len(plan.pending_verification), 'alias')} would be verified again"
            message = f"{what} would be made" if plan.steps else again
            return replace(found, reason=Reason.READ_ONLY, message=f"read-only: {message}", pending=bool(plan.steps))
        if found.drift and set_object.spec.operation.drift is DriftPolicy.REPORT and not approved_by:
            message = f"{counted(len(plan.steps), 'alias')} not as applied; drift is only reported"
            return replace(found, reason=Reason.DRIFT_DETECTED, message=_to_approve(message, plan), pending=True)
        if not plan.runnable and not plan.pending_verification:
            reason, message = of_blocked(plan.steps)
            if reason is Reason.REJECTED:
                return replace(found, reason=reason, message=_to_approve(message, plan), pending=True)
            return replace(found, reason=reason, message=message)
        if set_object.spec.operation.approval is Approval.MANUAL and plan.runnable and not approved_by:
            message = _to_approve(f"{what} to approve", plan)
            return replace(found, reason=Reason.APPROVAL_REQUIRED, message=message, pending=True)
        return self._apply(set_object, replace(found, approved_by=approved_by), catalogs, hooks)

    def _apply(self, set_object: SetObject, found: Finding, catalogs: Catalogs, hooks: ReconcileHooks) -> Finding:
        plan, desired = found.plan, found.desired
        if plan is None or desired is None or desired.connection is None:
            return found
        what = f"making {counted(len(plan.runnable), 'change')}"
        if not plan.runnable:
            what = f"verifying {counted(len(plan.pending_verification), 'alias')} again"
        about_to = replace(found, reason=Reason.PROGRESSING, message=what, run=new_run_id())
        if not hooks.still_desired(set_object, about_to):
            return replace(about_to, message="it was changed meanwhile", run="")
        if desired.verify.soak:
            hooks.step_aside(set_object)
        catalog = catalogs.open(desired.connection, desired.database)
        try:
            report = apply_plan(
                plan,
                catalogs=catalogs,
                stop=hooks.stop,
                journal=self._ledger(set_object, desired, about_to.run),
                origins=_origins(set_object, found.approved_by),
                progress=lambda sentence: log.info(sentence),
            )
        finally:
            self.reads.wrote(catalog)
        reason, message = of_report(report)
        if reason is Reason.SUCCEEDED:
            reason, message = in_sync(desired, found.contests)
        return replace(found, reason=reason, message=message, report=report)

    def _ledger(self, set_object: SetObject, desired: AliasSet, run: str) -> OperatorLedger:
        target = target_of(desired)
        left = pending_verification.read(set_object.status, desired, target)
        return OperatorLedger(status.rejected(set_object, target), left, run, self.may_write)


def _companions(desired: AliasSet, view: View) -> Callable[[Target], Sequence[AliasSet]]:
    """The sets that one read can serve: of one database, through one connection, and awake."""

    def companions(target: Target) -> list[AliasSet]:
        return [
            other
            for other in view.by_target.get(target, {}).values()
            if other.connection == desired.connection and not other.suspend
        ]

    return companions


def _is_drift(set_object: SetObject, desired: AliasSet, plan: Plan) -> bool:
    """Whether all that is wanted was in place once, so that somebody else has changed it."""
    return bool(plan.steps) and set_object.status.get("lastAppliedSpec") == spec_digest(desired)


def _still_pending_verification(set_object: SetObject, plan: Plan) -> str:
    """Why the set waits for a person; empty if it does not.

    A move whose verification failed is not mended by looking away, nor by looking again and again. So it waits until
    the spec changes, or somebody asks for a run (`requestedAt`) after it; what goes before the aliases that were not
    verified is done meanwhile. The run itself tells, and not the condition, which says something else while Milvus is
    away.
    """
    run = status.newest_run(set_object)
    asked = status.run_requested(set_object) or run.get("acknowledged")
    if run.get("result") != Reason.VERIFICATION_FAILED or run.get("generation") != set_object.generation or asked:
        return ""
    if plan.steps and not plan.pending_verification:
        return ""
    first = min((left.step.wave for left in plan.pending_verification), default=0)
    ahead = any(step.wave <= first for step in plan.runnable)
    return "" if ahead else str(run.get("message"))


def _to_approve(message: str, plan: Plan) -> str:
    return f"{message}; approve with the annotation aliasctl.dev/approve={plan.digest}"


def _origins(set_object: SetObject, approved_by: str) -> Origins:
    source = [f"AliasSet {set_object.ref}, generation {set_object.generation}"]
    source += [f"approved by {approved_by}"] if approved_by else []
    return Origins.of_this_process(command="operator", source=tuple(source), provenance=set_object.provenance)


def _in_one_line(error: InvalidInput) -> str:
    return "; ".join(problem.message for problem in error.problems)
