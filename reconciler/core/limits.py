"""Limits on the plan of a whole set. Any refusal prevents every write of the run.

A refusal is one sentence with the object, the number, the limit and the override. Limits count what is desired, not
only what could be done now: a drop that waits for a blocked wave counts, a protected one does not.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from reconciler.core.model import AliasSet
from reconciler.core.plan import Action, BlockReason, SetPlan, Step

Limit = Callable[[SetPlan, AliasSet], str | None]


def check_limits(plan: SetPlan, desired: AliasSet) -> SetPlan:
    """Return the plan with the refusals of every limit."""
    return replace(plan, refusals=tuple(refusal for limit in LIMITS if (refusal := limit(plan, desired))))


def max_drops(plan: SetPlan, desired: AliasSet) -> str | None:
    """Refuse more drops in one run than `limits.maxDrops`."""
    drops = sum(step.action is Action.DROP for step in _changes(plan))
    limit = desired.limits.max_drops
    if drops <= limit:
        return None
    return (
        f'set "{plan.set}" would drop {_aliases(drops)}, over its maxDrops of {limit}; '
        f"if that is meant, run with --max-drops {drops} or raise limits.maxDrops{_at(desired)}"
    )


def max_change_percent(plan: SetPlan, desired: AliasSet) -> str | None:
    """Refuse to change more than `limits.maxChangePercent` of the live aliases that the set lists or covers."""
    limit = desired.limits.max_change_percent
    changes = sum(step.action is not Action.CREATE for step in _changes(plan))
    if limit is None or plan.governed == 0 or changes * 100 <= limit * plan.governed:
        return None
    return (
        f'set "{plan.set}" would alter or drop {changes} of {plan.governed} live aliases '
        f"({changes * 100 / plan.governed:.1f} %), over its maxChangePercent of {limit:g}; "
        f"if that is meant, raise limits.maxChangePercent{_at(desired)}"
    )


def empty_set(plan: SetPlan, desired: AliasSet) -> str | None:
    """Refuse a set whose scope covers live aliases but which lists no collection: its list may just be missing."""
    if (
        desired.limits.allow_empty
        or not plan.steps
        or not plan.covered
        or any(alias.collection for alias in desired.aliases)
    ):
        return None
    return (
        f'set "{plan.set}" lists no collection, yet its scope covers {_aliases(plan.covered, "live ")}; '
        f"if all of them should go, set limits.allowEmpty: true{_at(desired)}"
    )


LIMITS: tuple[Limit, ...] = (max_drops, max_change_percent, empty_set)


def _changes(plan: SetPlan) -> list[Step]:
    return [step for step in plan.steps if not (step.blocked and step.blocked.reason is BlockReason.PROTECTED)]


def _aliases(count: int, kind: str = "") -> str:
    return f"{count} {kind}alias" if count == 1 else f"{count} {kind}aliases"


def _at(desired: AliasSet) -> str:
    return f" ({desired.source})" if desired.source else ""
