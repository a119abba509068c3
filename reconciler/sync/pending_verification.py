"""What earlier runs moved and did not verify: what a look verifies again, and what it leaves."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.plan import Plan, TargetPlan, Unverified
from reconciler.core.report import PROPAGATION_INTERRUPTED, SOAK_INTERRUPTED, VERIFICATION_FAILED, Report

NOT_SEEN_THROUGH = VERIFICATION_FAILED | {PROPAGATION_INTERRUPTED, SOAK_INTERRUPTED}


def and_verify(plan: Plan, watched: Plan) -> Plan:
    """A plan that besides verifies what other sets have in place, and moves nothing of theirs.

    Args:
        plan: what is to be done.
        watched: the plan of sets whose drift is only reported.
    """
    more = tuple(_only_verifying(target) for target in watched.targets if target.unverified)
    return replace(plan, targets=(*plan.targets, *more))


def without_verifying(plan: Plan) -> Plan:
    """The same plan, which leaves for later what is not verified."""
    targets = (
        replace(target, sets=tuple(replace(one, unverified=()) for one in target.sets)) for target in plan.targets
    )
    return replace(plan, targets=tuple(targets))


def owed(plan: Plan, report: Report) -> list[Unverified]:
    """What is not verified according to a plan, and was not tried by the run that the report is of."""
    tried = {(result.step.set, result.step.alias) for result in report.results}
    return [one for one in plan.unverified if (one.step.set, one.step.alias) not in tried]


def _only_verifying(target: TargetPlan) -> TargetPlan:
    sets = (replace(one, steps=(), refusals=()) for one in target.sets if one.unverified)
    return replace(target, sets=tuple(sets))
