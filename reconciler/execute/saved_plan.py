"""Before a saved plan is applied: does it still fit, and is it what was reviewed?"""

from __future__ import annotations

from dataclasses import replace

from reconciler.catalog import Catalogs
from reconciler.catalog.read import read_live
from reconciler.core.errors import InvalidInput, Problem, StalePlan
from reconciler.core.model import Alias, AliasSet, Target
from reconciler.core.plan import Plan, SetPlan, TargetPlan, block_later_waves, block_whole_set, staleness
from reconciler.core.rejections import Rejected, block_rejected


def ensure_fresh(plan: Plan, *, catalogs: Catalogs) -> bool:
    """Refuse a plan whose aliases have moved on since it was made.

    Returns:
        Whether any of its steps is still to be made; False where all aliases are where they should be.

    Raises:
        StalePlan: with every reason.
        InvalidInput: the plan was made against an export, and has never seen the server.
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


def without_rejected(plan: Plan, rejected: Rejected) -> Plan:
    """A saved plan, each step blocked that would repeat what had to be undone since, and what depends on it."""

    def judged(target: TargetPlan, set_plan: SetPlan) -> SetPlan:
        steps = block_rejected(set_plan, target.target, rejected).steps
        return replace(set_plan, steps=block_whole_set(block_later_waves(steps), set_plan.on_failure))

    return replace(
        plan,
        targets=tuple(
            replace(target, sets=tuple(judged(target, alias_set) for alias_set in target.sets))
            for target in plan.targets
        ),
    )


def ensure_reviewed(plan: Plan, reviewed: Plan) -> None:
    """Refuse a fresh plan that is not the one that was reviewed.

    It must be the same work on the same collections, and do nothing that the review saw as blocked or refused: a flag,
    or a collection that was loaded since, may have lifted that, but nobody has agreed to it.

    Raises:
        StalePlan: with what differs.
    """
    if reviewed.refusals:
        raise StalePlan(f"the reviewed plan was refused: {reviewed.refusals[0]}; plan and review again")
    if plan.digest != reviewed.digest:
        raise StalePlan(
            f"the reviewed plan is stale: its digest is {reviewed.digest}, planning now gives {plan.digest}; the "
            "manifests, --only, --include-suspended or the live aliases changed since; plan and review again"
        )
    seen, found = _wanted_ids(reviewed), _wanted_ids(plan)
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


def _wanted_ids(plan: Plan) -> dict[tuple[Target, str], int]:
    """The ids of the collections that a plan moves aliases to."""
    return {
        (target.target, step.desired): step.desired_id
        for target in plan.targets
        for step in target.steps
        if step.desired and step.desired_id
    }


def _as_set(plan: SetPlan, target: TargetPlan) -> AliasSet:
    """A plan's steps as the wish they came from, so that the same reading serves both."""
    aliases = tuple(Alias(step.alias, step.desired) for step in plan.steps)
    return AliasSet(plan.set, "", "", target.connection, target.target.database, aliases)
