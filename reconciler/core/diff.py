"""Compare an AliasSet with a live catalog. Pure, total and sorted.

    the set says        the server has        change
    ------------        --------------        ------
    alias → C           no such alias         create → C
    alias → C           alias → C             none
    alias → C           alias → D             alter D → C       blocked if protected
    alias Absent        no such alias         none
    alias Absent        dangling alias        drop              blocked if protected
    alias Absent        alias → D             drop              blocked if protected
    (not listed)        covered by scope      drop (prune)      none if protected

A create or alter is blocked too when its collection does not exist, is itself an alias, or when the alias's name
belongs to a collection. There is no other way to move an alias than alter: never a drop followed by a create.
"""

from __future__ import annotations

from collections.abc import Collection as Names

from msgspec.structs import replace

from reconciler.core.model import Alias, AliasSet, LiveCatalog
from reconciler.core.plan import Block, BlockReason, SetPlan, Step, set_spec_hash

RENAME_GUIDE = "docs/adopt.md#make-a-collections-name-an-alias"


def diff(desired: AliasSet, live: LiveCatalog, *, only: Names[str] = (), allow_protected: Names[str] = ()) -> SetPlan:
    """Compare a set with the live catalog.

    `desired`: one set on the database that `live` was read from. `only`: look at these aliases and no others, and at no
    order; empty for all.
    """
    listed = {alias.name for alias in desired.aliases}
    covered = desired.scope.covered(live.names)
    considered = [alias for alias in desired.aliases if not only or alias.name in only]
    changed = [step for alias in considered if (step := _step_of(desired, alias, live, allow_protected))]

    prune_wave = max((alias.wave for alias in desired.aliases), default=-1) + 1
    pruned = [
        _step(desired, Alias(name, None, wave=prune_wave), current, live, prune=True)
        for name in covered - listed
        if not desired.scope.protects(name) and (not only or name in only)
        if (current := live.pointing.get(name))  # None: gone since its name was read, so there is nothing to drop
    ]
    steps = sorted((*changed, *pruned), key=lambda step: step.order)
    spec_hash = set_spec_hash(desired) if steps else ""
    gone = {alias.name for alias in considered if alias.collection is None} & live.dangling.keys()
    return SetPlan(
        set=desired.key,
        steps=tuple(replace(step, spec_hash=spec_hash) for step in steps) if spec_hash else tuple(steps),
        unchanged=len(considered) - len(changed),
        covered=len(covered),
        governed=len(covered | (listed & live.aliases) | {name for name in gone if live.dangling[name]}),
        undetermined=tuple(sorted(name for name in gone if live.dangling[name] is None)),
        verify=desired.verify,
        on_failure=desired.on_failure,
        source=desired.source,
        depends_on=() if only else desired.depends_on,
    )


def _step_of(desired: AliasSet, alias: Alias, live: LiveCatalog, allow_protected: Names[str]) -> Step | None:
    """Return the change that a listed alias needs, or None."""
    current = live.pointing.get(alias.name)
    dangling = alias.collection is None and live.dangling.get(alias.name) is True
    if current == alias.collection and not dangling:
        return None
    protected = (alias.protect or desired.scope.protects(alias.name)) and (current is not None or dangling)
    block = _protection(alias, allow_protected) if protected else None
    step = _step(desired, alias, current, live, block=block or _obstacle(alias, current, live))
    return replace(step, dangling=dangling)


def _step(
    desired: AliasSet,
    alias: Alias,
    current: str | None,
    live: LiveCatalog,
    *,
    prune: bool = False,
    block: Block | None = None,
) -> Step:
    return Step(
        set=desired.key,
        alias=alias.name,
        current=current,
        desired=alias.collection,
        wave=alias.wave,
        prune=prune,
        current_id=live.id_of(current),
        desired_id=live.id_of(alias.collection),
        gates=alias.gates,
        metrics=alias.metrics,
        blocked=block,
    )


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
    """Return what in the catalog prevents an alias from pointing to its collection, or None."""
    if alias.collection is None:
        return None
    if current is None and (taken := name_taken(alias.name, alias.collection, live)):
        return taken
    if alias.collection in live.aliases:
        return Block(
            BlockReason.COLLECTION_IS_ALIAS, f"{alias.collection} is itself an alias; name the collection behind it"
        )
    if alias.collection in live.described and live.described[alias.collection] is None:
        message = f'{alias.collection} does not exist in database "{live.target.database}"'
        return Block(BlockReason.COLLECTION_MISSING, message)
    return None


def name_taken(alias: str, desired: str, live: LiveCatalog) -> Block | None:
    """Return the block of an alias whose name a collection has, with the remedy, or None."""
    if alias not in live.collections:
        return None
    rename = f"rename it to {desired}" if live.described.get(desired) is None else "rename that collection"
    message = f'"{alias}" is the name of a collection in database "{live.target.database}"'
    return Block(BlockReason.NAME_TAKEN, f"{message}; {rename}, then apply again: see {RENAME_GUIDE}")
