"""Check a saved plan before it is applied: does it still fit, and is it what was reviewed?"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.catalog import Catalogs
from reconciler.catalog.read import read_live
from reconciler.core.errors import InvalidInput, Problem, StalePlan
from reconciler.core.model import Alias, AliasSet, Target
from reconciler.core.plan import Plan, SetPlan, TargetPlan, staleness
from reconciler.core.plan_differences import differences
from reconciler.core.text import listed

STALE = "the reviewed plan is stale: manifests, options or live aliases changed since; plan and review again"


def ensure_fresh(plan: Plan, *, catalogs: Catalogs) -> bool:
    """Refuse a plan whose aliases have moved since it was made.

    Returns:
        Whether any of its steps is still to be made; False if all aliases are where they should be.

    Raises:
        StalePlan: with every reason.
        InvalidInput: the plan was made against an export and not from the server.
        CatalogError: a catalog cannot be read.
    """
    reasons, pending = [], False
    for target in plan.targets:
        if target.offline:
            raise InvalidInput(
                Problem("the plan was made against an export and cannot be applied by itself; use apply -f … --plan")
            )
        if not target.steps:
            continue
        catalog = catalogs.open(target.connection, target.target.database)
        live = read_live(catalog, target.target, [_as_set(set_plan, target) for set_plan in target.sets])
        reasons += staleness(target, live)
        pending |= any(live.pointing.get(step.alias) != step.desired for step in target.runnable)
    if reasons:
        raise StalePlan("the plan is stale; plan again", reasons)
    return pending


def ensure_reviewed(plan: Plan, reviewed: Plan) -> None:
    """Refuse a fresh plan that differs from the one that was reviewed.

    It must make the same changes to the same collections, and none that the review saw as blocked or refused: a flag or
    a collection that was loaded since may have lifted the block, but no one has agreed to that.

    Raises:
        StalePlan: with the differences.
    """
    if reviewed.refusals:
        raise StalePlan(f"the reviewed plan was refused: {reviewed.refusals[0]}; plan and review again")
    if plan.digest != reviewed.digest:
        raise StalePlan(STALE, differences(reviewed, plan))
    if replaced := list(_replaced(plan, reviewed)):
        raise StalePlan(STALE, replaced)
    was_blocked = {(step.set, step.alias) for step in reviewed.steps if step.blocked}
    if freed := sorted(step.alias for step in plan.runnable if (step.set, step.alias) in was_blocked):
        raise StalePlan(f"blocked when the plan was reviewed, and not now: {', '.join(freed)}; plan and review again")


def _replaced(plan: Plan, reviewed: Plan) -> Iterator[str]:
    """Return a sentence for each desired collection whose name belongs to another one since the review."""
    seen, found = _desired_ids(reviewed), _desired_ids(plan)
    for target, name in sorted(seen.keys() & found.keys()):
        before, now = seen[target, name], found[target, name]
        if before != now:
            steps = (step for each in plan.targets if each.target == target for step in each.steps)
            aliases = listed([step.alias for step in steps if step.desired == name])
            was = f"id {now}; it was {before} in the review"
            yield f'collection "{name}" in {target} is another one now ({was}): desired by {aliases}'


def _desired_ids(plan: Plan) -> dict[tuple[Target, str], int]:
    """Return the ids of the collections that a plan moves aliases to."""
    return {
        (target.target, step.desired): step.desired_id
        for target in plan.targets
        for step in target.steps
        if step.desired and step.desired_id
    }


def _as_set(plan: SetPlan, target: TargetPlan) -> AliasSet:
    """Return the steps of a plan as an alias set, so that both are read from the server the same way."""
    aliases = tuple(Alias(step.alias, step.desired) for step in plan.steps)
    return AliasSet(plan.set, "", "", target.connection, target.target.database, aliases)
