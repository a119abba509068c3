"""Plan a rollback as an ordinary plan.

    the run did        alias now        step
    from → to          at `to`          to → from    blocked if `from` is gone, or another collection has its name now
    from → to          at `from`        none
    from → to          elsewhere        blocked: someone else moved it after the run
    to (created)       at `to`          drop         guarded like any drop
    from (dropped)     absent           create

If the record does not say whether the run's call was made, an alias that is not at `to` is left alone. Databases and
waves are in reverse order, so that what depended on others goes back before them; steps that are impossible come after
all waves, so that they block nothing. Of the gates only `loaded` can block a rollback; the others are evaluated, and
shown as not required. A previous collection that has become empty is a notice of the plan and blocks nothing: a person
decides whether it is better than the present one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec.structs import replace

from reconciler.catalog import Catalog, Catalogs
from reconciler.catalog.port import check_alias_name
from reconciler.catalog.read import read_live
from reconciler.core.diff import name_taken
from reconciler.core.errors import CatalogError, NotLoaded
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, AliasSet, Limits, LiveCatalog, Verify
from reconciler.core.plan import (
    Action,
    Block,
    BlockReason,
    Plan,
    SetPlan,
    Step,
    TargetPlan,
    block_later_waves,
    describe_location,
    inverse,
)
from reconciler.core.prefix_drops import block_prefix_drops
from reconciler.core.text import listed
from reconciler.documents.timestamps import now
from reconciler.execute.emptiness import row_counts
from reconciler.gates import cheap_gates, evaluate_sets
from reconciler.journal import PastStep, PastTarget
from reconciler.rollback.changes import Changes, is_certain
from reconciler.version import __version__

DEFAULT_MAX_DROPS = Limits().max_drops
OWN_SET = "rollback"
"""The set name of a step for an alias that no recorded run changed."""


def plan_rollback(changes: Changes, catalogs: Catalogs, *, max_drops: int = DEFAULT_MAX_DROPS) -> Plan:
    """Plan to roll back what a run changed. Changes nothing.

    Args:
        changes: from `changes_of`, `changes_in` or `newest_changes`.

    Raises:
        CatalogError: a catalog cannot be read.
        InvalidInput: how a database was reached is not recorded.
    """
    turns = groupby(reversed(changes.steps), key=lambda past: past.target)
    return _plan(
        [_undo(changes, changes.target(target), list(members), catalogs, max_drops) for target, members in turns]
    )


def plan_move(alias: str, collection: str, where: PastTarget, last: PastStep | None, catalogs: Catalogs) -> Plan:
    """Plan to point one alias to a collection, wherever it is now. Changes nothing.

    Args:
        alias: the alias; it may be absent.
        last: the newest recorded step for the alias; its set, gates and verification are used again.

    Raises:
        CatalogError: the catalog cannot be read, or `alias` is not a valid name.
    """
    check_alias_name(alias)
    name = last.step.set if last else OWN_SET
    gates = last.step.gates if last else Gates()
    live = _read(where, {alias: collection}, catalogs)
    current = live.pointing.get(alias)
    steps = []
    if current != collection:
        step = Step(
            set=name,
            alias=alias,
            current=current,
            desired=collection,
            current_id=live.id_of(current),
            desired_id=live.id_of(collection),
            gates=gates,
            reverting=True,
        )
        steps.append(replace(step, blocked=_obstacle(step, live)))
    return _plan([_target_plan(where, {name: steps}, 1 - len(steps), live, catalogs, DEFAULT_MAX_DROPS)])


def _undo(
    changes: Changes, where: PastTarget, steps: Sequence[PastStep], catalogs: Catalogs, max_drops: int
) -> TargetPlan:
    """Plan the rollback of one database."""
    live = _read(where, {past.step.alias: past.step.current for past in steps}, catalogs)
    by_set: dict[str, list[Step]] = {}
    for past in steps:
        last = max(step.step.wave for step in steps if step.step.set == past.step.set)
        if back := _revert_step(past, changes, live, last):
            by_set.setdefault(past.step.set, []).append(back)
    unchanged = len(steps) - sum(map(len, by_set.values()))
    return _target_plan(where, by_set, unchanged, live, catalogs, max_drops)


def _revert_step(past: PastStep, changes: Changes, live: LiveCatalog, last_wave: int) -> Step | None:
    """Return the step that reverts another one now, or None if there is nothing to revert."""
    back = replace(inverse(past.step), wave=last_wave - past.step.wave, prune=False, spec_hash="", skipped_gates=())
    at = live.pointing.get(back.alias)
    if at == back.desired:
        return None
    if back.current_id and live.id_of(at) == back.current_id:
        back = replace(back, current=at)  # an alias follows a collection that is renamed
    if moved := _moved(back, at, live):
        if not is_certain(past):
            return None
        message = (
            f"{changes.run} left it {describe_location(back.current)}; {moved}, so someone else moved it since; "
            f"rollback --alias {back.alias} --to COLLECTION moves it anyway"
        )
        block = Block(BlockReason.MOVED, message)
        return replace(back, current=at, current_id=live.id_of(at), wave=last_wave + 1, blocked=block)
    if obstacle := _obstacle(back, live):
        return replace(back, wave=last_wave + 1, blocked=obstacle)
    return back


def _moved(back: Step, at: str | None, live: LiveCatalog) -> str:
    """Return how an alias is not where a run left it; empty if it is."""
    if at != back.current:
        return f"it is {describe_location(at)} now"
    found = live.id_of(at)
    if found and back.current_id and found != back.current_id:
        return f'"{at}" is another collection now (id {found}, it was {back.current_id})'
    return ""


def _obstacle(back: Step, live: LiveCatalog) -> Block | None:
    """Return what makes the revert impossible, or None."""
    if back.desired is None:
        return None
    database = live.target.database
    if back.desired in live.aliases:
        return Block(BlockReason.COLLECTION_IS_ALIAS, f"{back.desired} is itself an alias now")
    if live.described.get(back.desired) is None:
        return Block(BlockReason.COLLECTION_MISSING, f'{back.desired} does not exist in database "{database}" any more')
    found = live.id_of(back.desired)
    if found and back.desired_id and found != back.desired_id:
        message = (
            f"{back.desired} was dropped: another collection has its name now (id {found}, it was {back.desired_id})"
        )
        return Block(BlockReason.COLLECTION_MISSING, message)
    return name_taken(back.alias, back.desired, live) if back.current is None else None


def _read(where: PastTarget, desired: dict[str, str | None], catalogs: Catalogs) -> LiveCatalog:
    """Read as much of the live catalog as these aliases and collections need."""
    aliases = tuple(Alias(alias, collection) for alias, collection in desired.items())
    needed = AliasSet(OWN_SET, "", where.connection.name, where.connection, where.target.database, aliases)
    return read_live(catalogs.open(where.connection, where.target.database), where.target, [needed])


def _target_plan(
    where: PastTarget,
    by_set: dict[str, list[Step]],
    unchanged: int,
    live: LiveCatalog,
    catalogs: Catalogs,
    max_drops: int,
) -> TargetPlan:
    """Return the plan of one database, with gates, prefix drops and limits applied."""
    catalog = catalogs.open(where.connection, where.target.database)
    plans = [
        SetPlan(
            set=name,
            steps=tuple(sorted(steps, key=lambda step: step.order)),
            verify=replace(where.verify.get(name, Verify()), soak=None),
        )
        for name, steps in sorted(by_set.items())
    ]
    plans = evaluate_sets(block_prefix_drops(plans, live), catalog, which=cheap_gates())
    plans = [replace(plan, steps=block_later_waves(plan.steps), refusals=_refusals(plan, max_drops)) for plan in plans]
    notices = tuple(_emptiness(plans, catalog))
    if plans:
        plans[0] = replace(plans[0], unchanged=unchanged)
    return TargetPlan(
        target=where.target,
        connection=where.connection,
        sets=tuple(plans) or (SetPlan(OWN_SET, unchanged=unchanged),),
        server_version=live.server_version,
        alias_count=len(live.aliases),
        calls=catalog.calls,
        notices=notices,
    )


def _emptiness(plans: Sequence[SetPlan], catalog: Catalog) -> Iterator[str]:
    """Yield the collections without rows that aliases would be moved to, and those that cannot be counted."""
    steps = [step for plan in plans for step in plan.steps if step.desired and not step.blocked]
    for collection, rows in row_counts(catalog, {step.desired for step in steps if step.desired}).items():
        aliases = listed([step.alias for step in steps if step.desired == collection], 3)
        if rows == 0:
            yield f"{collection} is empty now: after the rollback, searches through {aliases} find nothing"
        elif isinstance(rows, CatalogError) and not isinstance(rows, NotLoaded):  # the gate `loaded` says that
            yield f"whether {collection} has become empty cannot be read: {rows}"


def _refusals(plan: SetPlan, max_drops: int) -> tuple[str, ...]:
    drops = sum(step.action is Action.DROP for step in plan.steps)
    if drops <= max_drops:
        return ()
    return (
        f'the rollback would drop {drops} aliases of set "{plan.set}", over the limit of {max_drops}; '
        f"if that is meant, run with --max-drops {drops}",
    )


def _plan(targets: Sequence[TargetPlan]) -> Plan:
    return Plan(tuple(targets), created=now(), tool_version=__version__)
