"""Block drops that would delete other aliases too.

Some versions of Milvus delete from their store every alias whose name *begins with* the dropped one: after a drop of
`search`, `search_products` works until the server restarts, and is gone then (see `ServerBehaviour.drops_by_prefix`).
On such a server, and where the version is not known, a drop is blocked while any longer name would be lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from reconciler.core.model import Certainty, LiveCatalog
from reconciler.core.patterns import beginning_like
from reconciler.core.plan import Action, Block, BlockReason, SetPlan, Step
from reconciler.core.text import listed


def aliases_with_prefix(alias: str, names: Iterable[str]) -> list[str]:
    """Return the names that a drop of `alias` would delete as well."""
    return sorted(name for name in names if name != alias and name.startswith(alias))


def block_prefix_drops(plans: Sequence[SetPlan], live: LiveCatalog) -> list[SetPlan]:
    """Block each drop that would lose an alias that stays, or one that may exist at that time."""
    if not live.drops_by_prefix:
        return list(plans)
    steps = [step for plan in plans for step in plan.steps if not step.blocked]
    drops = {step.alias: step for step in steps if step.action is Action.DROP}
    creates = {step.alias: step for step in steps if step.action is Action.CREATE}
    created = sorted(creates)

    def with_block(step: Step) -> Step:
        if step.action is not Action.DROP or step.blocked:
            return step
        there, new = beginning_like(step.alias, live.names), beginning_like(step.alias, created)
        stay = {name for name in there if name not in drops or not _surely_before(drops[name], step)}
        stay |= {name for name in new if _perhaps_before(creates[name], step)}
        return block_if_prefix(step, stay, live.drops_by_prefix)

    return [replace(plan, steps=tuple(map(with_block, plan.steps))) for plan in plans]


def block_if_prefix(drop: Step, staying: Iterable[str], drops_by_prefix: Certainty) -> Step:
    """Return a drop, blocked if it would, or could, lose one of the names that are to stay."""
    lost = aliases_with_prefix(drop.alias, staying) if drops_by_prefix else []
    if not lost:
        return drop
    if drops_by_prefix is Certainty.YES:
        cause, remedy = "this Milvus (before 2.5) drops by prefix and would lose", "or upgrade"
    else:
        cause = "the server's version is not known, and Milvus before 2.5 drops by prefix and would lose"
        remedy = "or set serverVersion in the MilvusConnection to the version that runs"
    message = f"{cause} {listed(lost, 3)} at its next restart; drop the longer names first, {remedy}"
    return replace(drop, blocked=Block(BlockReason.LOSES_OTHERS, message))


def _surely_before(step: Step, drop: Step) -> bool:
    """Return whether a step of the same set is done when a drop is made, in an earlier wave or together with it."""
    return step.set == drop.set and step.wave <= drop.wave


def _perhaps_before(step: Step, drop: Step) -> bool:
    """Return whether a step may be made before a drop; sets do not wait for each other."""
    return step.set != drop.set or step.wave <= drop.wave
