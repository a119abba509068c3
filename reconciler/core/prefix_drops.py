"""Drops that would take other aliases with them.

Before version 2.5 Milvus deletes from its store every alias whose name *begins with* the dropped one: after a drop of
`search`, `search_products` works until the server restarts, and is gone then. Measured on 2.3.5; the cause is
milvus-io/milvus#33288. On such a server a drop is blocked while any longer name would be left to lose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconciler.core.model import LiveCatalog
from reconciler.core.patterns import beginning_like
from reconciler.core.plan import Action, Block, BlockReason, SetPlan, Step
from reconciler.core.text import listed


def aliases_with_prefix(alias: str, names: Iterable[str]) -> list[str]:
    """The names that a drop of `alias` would take along."""
    return sorted(name for name in names if name != alias and name.startswith(alias))


def block_prefix_drops(plans: Sequence[SetPlan], live: LiveCatalog) -> list[SetPlan]:
    """Block each drop that would lose an alias that stays, or one that may exist by then.

    Args:
        plans: all sets' plans for one database.
        live: its catalog.
    """
    if not live.drops_by_prefix:
        return list(plans)
    steps = [step for plan in plans for step in plan.steps if not step.blocked]
    drops = {step.alias: step for step in steps if step.action is Action.DROP}
    creates = {step.alias: step for step in steps if step.action is Action.CREATE}
    created = sorted(creates)

    def judged(step: Step) -> Step:
        if step.action is not Action.DROP or step.blocked:
            return step
        there, new = beginning_like(step.alias, live.names), beginning_like(step.alias, created)
        stay = {name for name in there if name not in drops or not _surely_before(drops[name], step)}
        return block_if_prefix(step, stay | {name for name in new if _perhaps_before(creates[name], step)})

    return [replace(plan, steps=tuple(map(judged, plan.steps))) for plan in plans]


def block_if_prefix(drop: Step, staying: Iterable[str]) -> Step:
    """A drop, blocked if it would lose one of the names that are to stay."""
    lost = aliases_with_prefix(drop.alias, staying)
    if not lost:
        return drop
    message = (
        f"this Milvus (before 2.5) would lose {listed(lost, 3)} with it at its next restart, "
        "because it drops by prefix; drop the longer names first, or upgrade"
    )
    return replace(drop, blocked=Block(BlockReason.LOSES_OTHERS, message))


def _surely_before(step: Step, drop: Step) -> bool:
    """Only within a set: an earlier wave is done by then, and the same wave's drops go together."""
    return step.set == drop.set and step.wave <= drop.wave


def _perhaps_before(step: Step, drop: Step) -> bool:
    """Sets do not wait for each other."""
    return step.set != drop.set or step.wave <= drop.wave
