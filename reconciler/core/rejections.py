"""Block moves that an earlier run reverted, until the manifest changes.

A run with `onFailure: Revert` records a rejection before it moves an alias back: this alias, this collection, this spec
of its set. Otherwise every later run would move production to the bad collection and back. Another collection, or
another spec (aliases, gates, verification), is retried as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.model import Target
from reconciler.core.plan import Block, BlockReason, SetPlan, Step


class Rejection(Struct, frozen=True):
    """A reverted move: from which collection, by which run, when (RFC 3339) and why.

    `spec_hash` is empty if an older version recorded it under another name; it then stands for any spec. `retry` says
    how to try again without a change.
    """

    collection: str
    collection_id: int | None
    spec_hash: str
    run: str
    time: str
    reason: str
    retry: str = "with --retry-rejected"


Rejected = Mapping[tuple[Target, str], Rejection]
"""By database and alias."""


def block_rejected(plan: SetPlan, target: Target, rejected: Rejected) -> SetPlan:
    """Block each step that would repeat a move that was reverted."""
    if not rejected:
        return plan
    return replace(
        plan,
        steps=tuple(
            step if step.blocked else replace(step, blocked=rejection_of(step, target, rejected)) for step in plan.steps
        ),
    )


def rejection_of(step: Step, target: Target, rejected: Rejected) -> Block | None:
    """Return why a step may not be made, if it is the move of a rejection. Rollbacks are not affected."""
    rejection = rejected.get((target, step.alias))
    if rejection is None or step.reverting or not _same(step, rejection):
        return None
    message = (
        f"{rejection.collection} was rejected by run {rejection.run}: {rejection.reason}; "
        f"change the set in the manifest, or try again {rejection.retry}"
    )
    return Block(BlockReason.REJECTED, message)


def _same(step: Step, rejection: Rejection) -> bool:
    replaced = step.desired_id and rejection.collection_id and step.desired_id != rejection.collection_id
    same_spec = rejection.spec_hash in ("", step.spec_hash)
    return step.desired == rejection.collection and same_spec and not replaced
