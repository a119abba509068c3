"""Complete the revert that an earlier run decided and did not finish.

With `onFailure: Revert` the changes of a set go together. A run that dies, is stopped or loses the server in the middle
of its revert leaves some aliases at the rejected collection. The next run moves those back, and does nothing else in
that set. It does so only while the set still has the spec that was rejected; another spec is applied as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from reconciler.core.model import AliasSet, LiveCatalog, OnFailure, Target
from reconciler.core.plan import Block, BlockReason, PendingRevert, SetPlan, is_where_moved, set_spec_hash

PendingReverts = Mapping[tuple[Target, str], PendingRevert]
"""By database and alias."""


def with_pending_reverts(plan: SetPlan, desired: AliasSet, live: LiveCatalog, known: PendingReverts) -> SetPlan:
    """Return the plan with the aliases of its set that are still to be moved back; its steps are blocked then.

    Args:
        plan: of the set.
        desired: the set.
        live: the catalog that the plan was made from.
        known: what earlier runs decided and did not finish.
    """
    if not known or desired.on_failure is not OnFailure.REVERT:
        return plan
    listed = {alias.name: alias for alias in desired.aliases}
    spec_hash = set_spec_hash(desired)
    found = [
        replace(pending, step=replace(pending.step, gates=listed[name].gates) if name in listed else pending.step)
        for (target, name), pending in known.items()
        if target == live.target
        and pending.step.set == desired.key
        and pending.step.spec_hash in ("", spec_hash)
        and (listed[name].collection if name in listed else None) == pending.step.desired
        and is_where_moved(pending.step, live)
    ]
    if not found:
        return plan
    reverts = tuple(sorted(found, key=lambda pending: pending.step.order))
    message = f'it moves together with "{reverts[0].alias}" (onFailure: Revert), which is being moved back'
    block = Block(BlockReason.COMPANION, message)
    steps = (step if step.blocked else replace(step, blocked=block) for step in plan.steps)
    return replace(plan, steps=tuple(steps), pending_reverts=reverts)
