"""What earlier runs moved and did not verify: what a look verifies again, and what it leaves."""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.core.plan import PendingVerification, Plan, TargetPlan
from reconciler.core.report import PROPAGATION_INTERRUPTED, SOAK_INTERRUPTED, VERIFICATION_FAILED, Report

NOT_VERIFIED_CODES = VERIFICATION_FAILED | {PROPAGATION_INTERRUPTED, SOAK_INTERRUPTED}


def with_verification(plan: Plan, watched: Plan) -> Plan:
    """A plan that besides verifies what other sets have in place, and moves nothing of theirs.

    Args:
        plan: what is to be done.
        watched: the plan of sets whose drift is only reported.
    """
    more = tuple(_only_verifying(target) for target in watched.targets if target.pending_verification)
    return replace(plan, targets=(*plan.targets, *more))


def without_verification(plan: Plan) -> Plan:
    """The same plan, which leaves for later what is not verified."""
    targets = (
        replace(target, sets=tuple(replace(alias_set, pending_verification=()) for alias_set in target.sets))
        for target in plan.targets
    )
    return replace(plan, targets=tuple(targets))


def pending(plan: Plan, report: Report) -> list[PendingVerification]:
    """What is not verified according to a plan, and was not tried by the run that the report is of."""
    tried = {(result.step.set, result.step.alias) for result in report.results}
    return [pending for pending in plan.pending_verification if (pending.step.set, pending.step.alias) not in tried]


def _only_verifying(target: TargetPlan) -> TargetPlan:
    sets = (replace(alias_set, steps=(), refusals=()) for alias_set in target.sets if alias_set.pending_verification)
    return replace(target, sets=tuple(sets))
