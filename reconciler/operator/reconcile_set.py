"""Reconcile one set: compare its spec with the live aliases, and make the changes that may be made now.

spec invalid ─▶ InvalidSpec     suspended ─▶ Suspended     no connection or Secret ─▶ DependencyNotReady
Milvus does not answer ─▶ ConnectionFailed     else a plan is made, and `core.decide` says what to do about it
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Event

import structlog
from msgspec import Struct
from msgspec.structs import replace

from reconciler.catalog import Catalogs
from reconciler.catalog.read import read_live
from reconciler.core.decide import Apply, Memory, Nothing, Policy, Wait, conclude, decide
from reconciler.core.decisions import Decisions
from reconciler.core.errors import (
    AuthenticationFailed,
    CallTimedOut,
    CatalogError,
    ConnectionFailed,
    DatabaseNotFound,
    InvalidInput,
    JournalError,
    PermissionDenied,
)
from reconciler.core.model import AliasSet, Target
from reconciler.core.options import GatesToEvaluate
from reconciler.core.plan import Plan, Step, spec_digest
from reconciler.core.reasons import Reason
from reconciler.core.text import counted
from reconciler.journal import Origins, new_run_id
from reconciler.manifest.specs.alias_set import Approval, DriftPolicy, Operation
from reconciler.operator import pending_reverts, pending_verification, status
from reconciler.operator.clients import Clients, Secrets
from reconciler.operator.cluster import Cluster, ClusterError
from reconciler.operator.dependencies import cycle_from
from reconciler.operator.finding import Finding, up_to_date
from reconciler.operator.ledger import OperatorLedger
from reconciler.operator.objects import SetObject
from reconciler.operator.outages import Outages
from reconciler.operator.published import OneRun, PublishedConfigMap
from reconciler.operator.queue import Trigger
from reconciler.operator.reads import SharedReads, last_tick
from reconciler.operator.world import View
from reconciler.reconcile import Read, apply_plan, make_plan, target_of
from reconciler.render.progress import sentences
from reconciler.resolution import Publication

APPROVABLE = frozenset({Reason.APPROVAL_REQUIRED, Reason.DRIFT_DETECTED, Reason.REJECTED})
"""Reasons to wait that end when a person approves the plan."""

log = structlog.get_logger()


class ReconcileHooks(Struct, frozen=True):
    """What the caller does around a run.

    Args:
        stop: when set, calls in flight are finished and nothing further is started.
        still_desired: publishes what is about to be done, reads the set again, and returns whether it is unchanged.
        consume_approval: removes the approval from the object; takes the digest of the present plan.
        step_aside: called before a run that takes long.
        decide_revert: persists what a run is about to revert. Raises `ClusterError`.
        waits_for: returns what the changes of a set have to wait for; empty if they need not.
    """

    stop: Event
    still_desired: Callable[[SetObject, Finding], bool]
    consume_approval: Callable[[SetObject, str], None]
    step_aside: Callable[[SetObject], None]
    decide_revert: Callable[[SetObject, Finding], None]
    waits_for: Callable[[SetObject], str]


class SetReconciler(Struct, frozen=True):
    """Reconciles sets, one at a time in each thread. `may_write`: whether this process holds the Lease.

    `cluster`: where `spec.publish` is written to; None for nowhere.
    """

    clients: Clients
    secrets: Secrets
    reads: SharedReads
    outages: Outages
    may_write: Callable[[], bool]
    read_only: bool = False
    cluster: Cluster | None = None

    def reconcile(self, set_object: SetObject, view: View, trigger: Trigger, hooks: ReconcileHooks) -> Finding:
        """Compare a set with the live aliases, and make the changes that may be made now.

        Raises `ClusterError`: the Kubernetes API cannot be used.
        """
        if isinstance(set_object.spec, InvalidInput):
            return Finding(Reason.INVALID_SPEC, set_object.spec.in_one_line)
        if set_object.spec.suspend:
            return Finding(Reason.SUSPENDED, "suspended: nothing is read or changed")
        desired = view.desired[set_object.ref]
        if isinstance(desired, InvalidInput):
            absent = view.missing(set_object.ref)
            return Finding(
                Reason.DEPENDENCY_NOT_READY if absent else Reason.INVALID_SPEC, absent or desired.in_one_line
            )
        if cycle := cycle_from(set_object.ref, view.sets.get):
            path = " → ".join(cycle)
            return Finding(
                Reason.INVALID_SPEC, f"spec.dependsOn: AliasSets depend on each other: {path}; remove one of them"
            )
        connection, operation = desired.connection, set_object.spec.operation
        if trigger is not Trigger.CHANGED and (outage := self.outages.found_by_others(set_object.ref, connection)):
            return Finding(Reason.CONNECTION_FAILED, outage, unreachable=True)
        try:
            finding = self._with_new_credentials(
                desired, lambda: self._compare(set_object, operation, desired, view, trigger, hooks)
            )
        except InvalidInput as error:
            return Finding(Reason.DEPENDENCY_NOT_READY, error.in_one_line)
        except CatalogError as error:
            stalled = isinstance(error, AuthenticationFailed | PermissionDenied | DatabaseNotFound)
            unreachable = error.transient or isinstance(error, AuthenticationFailed)
            if isinstance(error, ConnectionFailed | CallTimedOut):
                self.outages.met(set_object.ref, connection, str(error))
            return Finding(Reason.CONNECTION_FAILED, str(error), unreachable=unreachable, stalled=stalled)
        self.outages.over(set_object.ref, connection)
        return finding

    def _with_new_credentials(self, desired: AliasSet, compare: Callable[[], Finding]) -> Finding:
        """Compare; if the token is refused, do it again with the present content of the Secret."""
        try:
            return compare()
        except AuthenticationFailed:
            if desired.connection:
                self.secrets.forget(desired.connection)
            return compare()

    def _compare(
        self,
        set_object: SetObject,
        operation: Operation,
        desired: AliasSet,
        view: View,
        trigger: Trigger,
        hooks: ReconcileHooks,
    ) -> Finding:
        """Make the plan and do what `decide` says."""
        resolved, contests = view.claims[target_of(desired)].resolved(set_object.ref)
        with self.clients.session() as catalogs:
            plan = self._plan(set_object, resolved, catalogs, self._reader(set_object, resolved, view, trigger))
            memory = _memory(set_object, resolved, plan)
            published = self._published(set_object, operation, resolved, plan, catalogs)
            found = Finding(
                *up_to_date(resolved, contests, plan.undetermined),
                desired=resolved,
                contests=contests,
                plan=plan,
                drift=plan.steps if memory.applied else (),
            )
            waits = hooks.waits_for(set_object)
            self._consume_approval(set_object, plan, waits, hooks)
            match decide(plan, self._policy(operation, resolved, waits), memory):
                case Nothing():
                    done = found
                case Wait(reason=reason, message=message):
                    done = _waiting(found, plan, reason, message)
                case Apply() as decision:
                    done = self._apply(set_object, found, decision, catalogs, hooks, published)
        return replace(done, unpublished=published.problem) if published else done

    def _published(
        self, set_object: SetObject, operation: Operation, desired: AliasSet, plan: Plan, catalogs: Catalogs
    ) -> Publication | None:
        """Publish where the aliases are, if that is desired; return what publishes their moves."""
        if operation.publish is None or self.cluster is None or self.read_only or not self.may_write():
            return None
        place = PublishedConfigMap(self.cluster, set_object, operation.publish.config_map)
        published = Publication(place, plan, catalogs, OneRun(new_run_id()), sets=[desired])
        published.begin()
        return published

    def _plan(self, set_object: SetObject, desired: AliasSet, catalogs: Catalogs, read: Read) -> Plan:
        """Make the plan. The approval of a plan with rejected moves also lifts their rejection."""
        ledger = OperatorLedger(_decisions(set_object, desired), new_run_id(), self.may_write)
        # A run uses the approval up, so an approved plan is made with all gates, and not only with the cheap ones.
        evaluate = GatesToEvaluate.ALL if set_object.approved else GatesToEvaluate.CHEAP
        plan = make_plan([desired], catalogs=catalogs, journal=ledger, read=read, evaluate=evaluate)
        if plan.steps and set_object.approved == plan.digest and ledger.decisions().rejected:
            forgiving = OperatorLedger(_forgiving(ledger.decisions()), new_run_id(), self.may_write)
            plan = make_plan([desired], catalogs=catalogs, journal=forgiving, evaluate=evaluate)
        return plan

    def _reader(self, set_object: SetObject, desired: AliasSet, view: View, trigger: Trigger) -> Read:
        """Return how to read the live aliases: sets that are due together share a read."""
        if trigger is Trigger.LISTED:
            return self.reads.sharing(_companions(desired, view))
        if trigger is Trigger.INTERVAL:
            due = last_tick(time.monotonic(), status.interval_of(set_object), target_of(desired))
            return self.reads.sharing(_companions(desired, view), due)
        return read_live

    def _policy(self, operation: Operation, desired: AliasSet, waits: str) -> Policy:
        return Policy(
            read_only=self.read_only,
            manual=operation.approval is Approval.MANUAL,
            report_drift=frozenset({desired.key} if operation.drift is DriftPolicy.REPORT else ()),
            waits=waits,
        )

    def _consume_approval(self, set_object: SetObject, plan: Plan, waits: str, hooks: ReconcileHooks) -> None:
        """Remove an approval that is used now, or is of another plan; keep one whose plan is refused or has to wait."""
        if self.read_only or not set_object.approved:
            return
        cannot_run = plan.steps and (plan.refusals or not plan.runnable or waits)
        if not (set_object.approved == plan.digest and cannot_run):
            hooks.consume_approval(set_object, plan.digest)

    def _apply(
        self,
        set_object: SetObject,
        found: Finding,
        decision: Apply,
        catalogs: Catalogs,
        hooks: ReconcileHooks,
        published: Publication | None,
    ) -> Finding:
        plan, desired, whole = decision.plan, found.desired, found.plan
        if whole is None or desired is None or desired.connection is None:
            return found
        found = replace(found, approved_by=set_object.approver if set_object.approved == whole.digest else "")
        about_to = replace(found, reason=Reason.PROGRESSING, message=_what_is_done(plan), plan=plan)
        about_to = replace(about_to, run=published.runs.run if published else new_run_id())
        if not hooks.still_desired(set_object, about_to):
            if waits := hooks.waits_for(set_object):
                return replace(found, reason=Reason.DEPENDENCY_NOT_READY, message=waits)
            return replace(about_to, message="changed before the run; reconciling again", run="")
        if desired.verify.soak:
            hooks.step_aside(set_object)
        catalog = catalogs.open(desired.connection, desired.database)
        catalog.forget_version()  # Milvus may have been upgraded since the shared read
        told = sentences(log.info)
        try:
            report = apply_plan(
                plan,
                catalogs=catalogs,
                stop=hooks.stop,
                journal=self._ledger(set_object, desired, about_to, hooks),
                origins=_origins(set_object, found.approved_by),
                on_event=published.beside(told) if published else told,
            )
        finally:
            self.reads.wrote(catalog)
            if published:
                published.flush()
        reason, message = conclude(report, decision.drift)
        if reason is Reason.SUCCEEDED:
            reason, message = up_to_date(desired, found.contests, report.plan.undetermined)
        done = replace(found, reason=reason, message=message, drift=decision.drift, report=report)
        return _waiting(done, whole, reason, message) if reason is Reason.DRIFT_DETECTED else done

    def _ledger(
        self, set_object: SetObject, desired: AliasSet, about_to: Finding, hooks: ReconcileHooks
    ) -> OperatorLedger:
        """Return the ledger of a run."""

        def remember_revert(steps: Sequence[Step], reason: str) -> None:
            try:
                hooks.decide_revert(set_object, replace(about_to, reverting=tuple(steps), revert_reason=reason))
            except ClusterError as error:
                raise JournalError(f"the decision to revert cannot be written to the status: {error}") from error

        decisions = _decisions(set_object, desired)
        decisions = _forgiving(decisions) if about_to.approved_by else decisions
        return OperatorLedger(decisions, about_to.run, self.may_write, remember_revert)


def _decisions(set_object: SetObject, desired: AliasSet) -> Decisions:
    """Return what the status says about earlier runs."""
    target = target_of(desired)
    return Decisions(
        pending_reverts.rejected(set_object.status, desired, target),
        pending_verification.read(set_object.status, desired, target),
        pending_reverts.read(set_object.status, desired, target),
    )


def _forgiving(decisions: Decisions) -> Decisions:
    """Return decisions without rejections, for a plan that a person approved in spite of them."""
    return Decisions(pending_verification=decisions.pending_verification)


def _what_is_done(plan: Plan) -> str:
    if plan.pending_reverts:
        return f"moving {counted(len(plan.pending_reverts), 'alias')} back"
    if plan.runnable:
        return f"making {counted(len(plan.runnable), 'change')}"
    return f"verifying {counted(len(plan.pending_verification), 'alias')} again"


def _companions(desired: AliasSet, view: View) -> Callable[[Target], Sequence[AliasSet]]:
    """Return the sets that one read can serve: of one database, through one connection, and not suspended."""

    def companions(target: Target) -> list[AliasSet]:
        return [
            other
            for other in view.by_target.get(target, {}).values()
            if other.connection == desired.connection and not other.suspend
        ]

    return companions


def _memory(set_object: SetObject, desired: AliasSet, plan: Plan) -> Memory:
    """Return what the object remembers: its approval, and its status.

    A failed verification waits until the spec changes, or a person requests a run (`requestedAt`) after it. The history
    says so, and not the condition, which has another reason while Milvus is away.
    """
    run = status.newest_run(set_object)
    acknowledged = status.run_requested(set_object) or run.get("acknowledged")
    failed = run.get("result") == Reason.VERIFICATION_FAILED and run.get("generation") == set_object.generation
    applied = plan.steps and set_object.status.get("lastAppliedSpec") == spec_digest(desired)
    return Memory(
        approved=set_object.approved or "",
        applied=frozenset({desired.key} if applied else ()),
        verification_failed=str(run.get("message")) if failed and not acknowledged else "",
    )


def _waiting(found: Finding, plan: Plan, reason: Reason, message: str) -> Finding:
    """Return the finding of a plan that waits, and how to approve it if a person can."""
    if reason in APPROVABLE:
        message = f"{message}; approve with the annotation aliasctl.dev/approve={plan.digest}"
    pending = bool(plan.steps) and (reason in APPROVABLE or reason is Reason.READ_ONLY)
    return replace(found, reason=reason, message=message, pending=pending)


def _origins(set_object: SetObject, approved_by: str) -> Origins:
    source = [f"AliasSet {set_object.ref}, generation {set_object.generation}"]
    source += [f"approved by {approved_by}"] if approved_by else []
    return Origins.of_this_process(command="operator", source=tuple(source), provenance=set_object.provenance)
