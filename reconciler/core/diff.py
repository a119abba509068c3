"""What must change: one AliasSet against one live catalog. Pure, total and sorted.

    the set says        the server has        change
    ------------        --------------        ------
    alias → C           no such alias         create → C
    alias → C           alias → C             none
    alias → C           alias → D             alter D → C       blocked if protected
    alias Absent        no such alias         none
    alias Absent        alias → D             drop              blocked if protected
    (not listed)        covered by scope      drop (prune)      none if protected

A create or alter is blocked too when its collection does not exist, is itself an alias, or when the alias's name
belongs to a collection. There is no other way to move an alias than alter: never a drop followed by a create.
"""

from __future__ import annotations

from collections.abc import Collection as Names
from dataclasses import replace

from reconciler.core.model import Alias, AliasSet, LiveCatalog
from reconciler.core.plan import Block, BlockReason, SetPlan, Step, wish_of


def diff(wanted: AliasSet, live: LiveCatalog, *, only: Names[str] = (), allow_protected: Names[str] = ()) -> SetPlan:
    """Compare a set with the live catalog.

    Args:
        wanted: one set on the database that `live` was read from.
        live: the catalog, read for this set among others.
        only: look at these aliases and no others; empty for all.
        allow_protected: protected aliases that this run may alter.
    """
    listed = {alias.name for alias in wanted.aliases}
    covered = wanted.scope.covered(live.names)
    considered = [alias for alias in wanted.aliases if not only or alias.name in only]
    changed = [step for alias in considered if (step := _step_of(wanted, alias, live, allow_protected))]

    prune_wave = max((alias.wave for alias in wanted.aliases), default=-1) + 1
    pruned = [
        _step(wanted, Alias(name, None, wave=prune_wave), current, live, prune=True)
        for name in covered - listed
        if not wanted.scope.protects(name) and (not only or name in only)
        if (current := live.pointing.get(name))  # None: gone since its name was read, so there is nothing to drop
    ]
    steps = sorted((*changed, *pruned), key=lambda step: step.order)
    wish = wish_of(wanted) if steps else ""
    return SetPlan(
        set=wanted.key,
        steps=tuple(replace(step, wish=wish) for step in steps) if wish else tuple(steps),
        unchanged=len(considered) - len(changed),
        covered=len(covered),
        governed=len(covered | (listed & live.aliases)),
        verify=wanted.verify,
        on_failure=wanted.on_failure,
        source=wanted.source,
    )


def _step_of(wanted: AliasSet, alias: Alias, live: LiveCatalog, allow_protected: Names[str]) -> Step | None:
    """The change that one listed alias needs, or None."""
    current = live.pointing.get(alias.name)
    if current == alias.collection:
        return None
    protected = (alias.protect or wanted.scope.protects(alias.name)) and current is not None
    block = _protection(alias, allow_protected) if protected else None
    return _step(wanted, alias, current, live, block=block or _obstacle(alias, current, live))


def _step(
    wanted: AliasSet,
    alias: Alias,
    current: str | None,
    live: LiveCatalog,
    *,
    prune: bool = False,
    block: Block | None = None,
) -> Step:
    return Step(
        set=wanted.key,
        alias=alias.name,
        current=current,
        wanted=alias.collection,
        wave=alias.wave,
        prune=prune,
        current_id=_id(current, live),
        wanted_id=_id(alias.collection, live),
        gates=alias.gates,
        blocked=block,
    )


def _id(collection: str | None, live: LiveCatalog) -> int | None:
    described = live.described.get(collection) if collection else None
    return described.id if described else None


def _protection(alias: Alias, allow_protected: Names[str]) -> Block | None:
    if alias.collection is None:
        return Block(
            BlockReason.PROTECTED, "the alias is protected and never dropped; take it out of scope.protect first"
        )
    if alias.name in allow_protected:
        return None
    return Block(
        BlockReason.PROTECTED, f"the alias is protected; allow this change with --allow-protected {alias.name}"
    )


def _obstacle(alias: Alias, current: str | None, live: LiveCatalog) -> Block | None:
    """What in the catalog stands in the way of pointing an alias at its collection."""
    if alias.collection is None:
        return None
    database = live.target.database
    if current is None and alias.name in live.collections:
        return Block(BlockReason.NAME_TAKEN, f'"{alias.name}" is the name of a collection in database "{database}"')
    if alias.collection in live.aliases:
        return Block(
            BlockReason.TARGET_IS_ALIAS, f"{alias.collection} is itself an alias; name the collection behind it"
        )
    if alias.collection in live.described and live.described[alias.collection] is None:
        return Block(BlockReason.TARGET_MISSING, f'{alias.collection} does not exist in database "{database}"')
    return None
