"""What earlier and concurrent runs recorded about aliases, and what follows from it for a plan.

rejected                the move was reverted: it is blocked                                   rejections
pending reverts         a revert was decided and is not finished: it is completed, alone       pending_reverts
pending verification    moved and not verified: verified before later waves                    pending_verification
"""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.core.model import AliasSet, LiveCatalog
from reconciler.core.options import Options
from reconciler.core.pending_reverts import PendingReverts, with_pending_reverts
from reconciler.core.pending_verification import (
    PendingVerifications,
    needs_proof,
    saved_with_pending_verification,
    with_pending_verification,
)
from reconciler.core.plan import PendingVerification, Plan, SetPlan, TargetPlan, block_later_waves, block_whole_set
from reconciler.core.rejections import Rejected, block_rejected


class Decisions(Struct, frozen=True):
    """What runs recorded, and no later run made obsolete."""

    rejected: Rejected = field(default_factory=dict)
    pending_verification: PendingVerifications = field(default_factory=dict)
    pending_reverts: PendingReverts = field(default_factory=dict)


def with_decisions(
    plan: SetPlan, desired: AliasSet, live: LiveCatalog, decisions: Decisions, options: Options
) -> SetPlan:
    """Return the plan of a set with what other runs recorded about its aliases.

    With `retry_rejected`, aliases that were to be moved back stay and are verified again, and nothing else counts. A
    plan of single aliases (`only`) ignores pending verifications.
    """
    if options.retry_rejected:
        return with_pending_verification(plan, desired, live, _retried(decisions.pending_reverts))
    plan = block_rejected(plan, live.target, decisions.rejected)
    reverts = {
        key: item for key, item in decisions.pending_reverts.items() if not options.only or key[1] in options.only
    }
    plan = with_pending_reverts(plan, desired, live, reverts)
    if options.only or not needs_proof(desired.verify):
        return plan
    return with_pending_verification(plan, desired, live, decisions.pending_verification)


def saved_with_decisions(plan: Plan, decisions: Decisions) -> Plan:
    """Return a saved plan with what runs have recorded since: moves that were reverted are not repeated."""

    def checked(target: TargetPlan, set_plan: SetPlan) -> SetPlan:
        set_plan = block_rejected(set_plan, target.target, decisions.rejected)
        set_plan = replace(set_plan, steps=block_whole_set(block_later_waves(set_plan.steps), set_plan.on_failure))
        return saved_with_pending_verification(set_plan, target.target, decisions.pending_verification)

    return plan.with_sets(checked)


def _retried(reverts: PendingReverts) -> PendingVerifications:
    return {
        (target, alias, pending.step.desired): PendingVerification(pending.step, pending.run, pending.reason)
        for (target, alias), pending in reverts.items()
        if pending.step.desired
    }
