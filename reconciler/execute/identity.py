"""Check that a collection is still the one that the plan was made for."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from reconciler.catalog.port import Catalog
from reconciler.core.model import Collection
from reconciler.core.plan import Block, BlockReason, Step
from reconciler.execute.context import Halt
from reconciler.gates import GATES


def block_replaced_collections(wave: Sequence[Step], catalog: Catalog, halt: Halt) -> tuple[Step, ...]:
    """Block each step of a wave whose collection was dropped and created again under its name since the plan.

    Takes one call per collection that has an id. Steps without any gate are not checked, unless they revert a move: a
    revert leads to the very collection that the alias came from. Steps that remain once `halt` is set are returned as
    they are.

    Raises:
        CatalogError: a collection cannot be described.
    """
    meant = {
        step.desired: step.desired_id
        for step in wave
        if step.desired
        and step.desired_id
        and not step.blocked
        and (step.reverting or any(step.gates.has(gate) for gate in GATES))
    }
    found = {name: catalog.describe(name) for name in sorted(meant) if not halt.is_set()}
    return tuple(_judged(step, found[step.desired]) if step.desired in found else step for step in wave)


def _judged(step: Step, found: Collection | None) -> Step:
    if step.blocked or (found and found.id in {None, step.desired_id}):
        return step
    message = (
        f"{step.desired} was recreated since the plan (id {found.id}, was {step.desired_id}); plan again"
        if found
        else f"{step.desired} was dropped since the plan"
    )
    return replace(step, blocked=Block(BlockReason.COLLECTION_MISSING, message))
