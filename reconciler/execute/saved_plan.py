"""Check a saved plan before it is applied: does it still fit, and is it what was reviewed?"""

from __future__ import annotations

from reconciler.catalog import Catalogs
from reconciler.catalog.read import read_live
from reconciler.core.errors import InvalidInput, Problem, StalePlan
from reconciler.core.model import Alias, AliasSet, Target
from reconciler.core.plan import Plan, SetPlan, TargetPlan, staleness


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
        raise StalePlan("the plan is stale: " + "; ".join(reasons))
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
        raise StalePlan(
            f"the reviewed plan is stale: its digest is {reviewed.digest}, planning now gives {plan.digest}; the "
            "manifests, --only, --include-suspended or the live aliases changed since; plan and review again"
        )
    seen, found = _desired_ids(reviewed), _desired_ids(plan)
    replaced = sorted(
        f"{name} in {target}"
        for target, name in seen.keys() & found.keys()
        if seen[target, name] != found[target, name]
    )
    if replaced:
        raise StalePlan(f"the reviewed plan is stale: another collection has the name now: {', '.join(replaced)}")
    was_blocked = {(step.set, step.alias) for step in reviewed.steps if step.blocked}
    if freed := sorted(step.alias for step in plan.runnable if (step.set, step.alias) in was_blocked):
        raise StalePlan(f"blocked when the plan was reviewed, and not now: {', '.join(freed)}; plan and review again")


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
