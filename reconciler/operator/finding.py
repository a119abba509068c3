"""The result of reconciling one set."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from reconciler.core.model import AliasSet
from reconciler.core.plan import Plan, Step, describe_undetermined
from reconciler.core.reasons import Reason
from reconciler.core.report import Report
from reconciler.core.text import counted, listed
from reconciler.operator.claims import Contest


class Finding(Struct, frozen=True):
    """What reconciling one set found and did.

    Args:
        desired: the set without the names that belong to other sets; None if it is not known.
        contests: those names.
        plan: what would change; None if nothing was compared.
        pending: whether the plan waits for a person.
        drift: the changes of the plan that correct drift and have not been made.
        run: the name of the run that begins with this finding, or goes on; empty if none does.
        reverting: what that run is about to revert.
        revert_reason: why.
        unreachable: the server does not answer, or not to us.
        stalled: only a person can help, even if the reason does not mean that.
        unpublished: why `spec.publish` is not complete; empty if it is.
        approved_by: who approved the plan, as stated by the approver's client.
    """

    reason: Reason
    message: str
    desired: AliasSet | None = None
    contests: tuple[Contest, ...] = ()
    plan: Plan | None = None
    pending: bool = False
    drift: tuple[Step, ...] = ()
    run: str = ""
    reverting: tuple[Step, ...] = ()
    revert_reason: str = ""
    report: Report | None = None
    unreachable: bool = False
    stalled: bool = False
    unpublished: str = ""
    approved_by: str = ""


def up_to_date(
    desired: AliasSet, contests: tuple[Contest, ...], undetermined: Collection[str] = ()
) -> tuple[Reason, str]:
    """Return the reason and the message of a set without changes: a success, unless other sets hold some names."""
    if contests:
        shown = listed([f'"{contest.name}" (AliasSet {contest.owner})' for contest in contests], 3)
        return Reason.OWNERSHIP_CONFLICT, f"left to an older set that has authority: {shown}"
    message = f"{counted(len(desired.aliases), 'alias')} up to date"
    return Reason.SUCCEEDED, "; ".join(filter(None, (message, describe_undetermined(undetermined))))
