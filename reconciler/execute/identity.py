"""Is it still the collection that the plan meant?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.catalog.port import Catalog
from reconciler.core.model import Collection
from reconciler.core.plan import Block, BlockReason, Step
from reconciler.execute.context import Halt
from reconciler.gates import ALL


def block_replaced_collections(wave: Sequence[Step], catalog: Catalog, halt: Halt) -> tuple[Step, ...]:
    """A wave, right before its calls, each step blocked whose collection was dropped and made anew under its name.

    One call for each collection that has an id; a step without any gate is taken as it is, unless it is a way back,
    which leads to the very collection that the alias came from. So is each one that is left once `halt` ends the
    asking. Raises `CatalogError`.
    """
    meant = {
        step.desired: step.desired_id
        for step in wave
        if step.desired
        and step.desired_id
        and not step.blocked
        and (step.reverting or any(step.gates.has(gate) for gate in ALL))
    }
    found = {name: catalog.describe(name) for name in sorted(meant) if not halt.is_set()}
    return tuple(_judged(step, found[step.desired]) if step.desired in found else step for step in wave)


def _judged(step: Step, found: Collection | None) -> Step:
    if step.blocked or (found and found.id in {None, step.desired_id}):
        return step
    message = (
        f"{step.desired} was dropped and made anew since the plan (id {found.id}, it was {step.desired_id}); plan again"
        if found
        else f"{step.desired} was dropped since the plan"
    )
    return replace(step, blocked=Block(BlockReason.COLLECTION_MISSING, message))
