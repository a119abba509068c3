"""What differs between a plan that was reviewed and the plan of now: the reasons for another digest, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reconciler.core.grouping import grouped, subject
from reconciler.core.model import Target
from reconciler.core.plan import Action, Plan, SetPlan, Step, TargetPlan, verify_specification


def differences(reviewed: Plan, now: Plan) -> list[str]:
    """Return a sentence for each difference that changes the digest; names the aliases, or the set or database."""
    before, after = _by_target(reviewed), _by_target(now)
    found = [f"{target}: in the reviewed plan, and not planned now" for target in sorted(before.keys() - after.keys())]
    found += [f"{target}: planned now, and not in the reviewed plan" for target in sorted(after.keys() - before.keys())]
    for target in sorted(before.keys() & after.keys()):
        by_change = grouped(_of_steps(_steps(before[target]), _steps(after[target])), lambda pair: pair[1])
        found += (f"{subject([alias for alias, _ in pairs])}{change}" for change, pairs in by_change.items())
        found += _of_sets(_sets(before[target]), _sets(after[target]))
    return found


def _by_target(plan: Plan) -> dict[Target, list[TargetPlan]]:
    return grouped(plan.targets, lambda target: target.target)


def _steps(targets: Sequence[TargetPlan]) -> dict[str, Step]:
    return {step.alias: step for target in targets for step in target.steps}


def _sets(targets: Sequence[TargetPlan]) -> dict[str, SetPlan]:
    return {alias_set.set: alias_set for target in targets for alias_set in target.sets if alias_set.steps}


def _of_steps(before: Mapping[str, Step], after: Mapping[str, Step]) -> Iterator[tuple[str, str]]:
    """Yield each alias whose step differs, with the rest of the sentence."""
    for alias in sorted(before.keys() | after.keys()):
        reviewed, now = before.get(alias), after.get(alias)
        if now is None and reviewed:
            yield alias, f": reviewed: {_change(reviewed)}; now: no change"
        elif reviewed is None and now:
            yield alias, f": not in the reviewed plan; now: {_change(now)}"
        elif reviewed and now and _change(reviewed) != _change(now):
            yield alias, f": reviewed: {_change(reviewed)}; now: {_change(now)}"
        elif reviewed and now and (changed := "; ".join(_details(reviewed, now))):
            yield alias, f" ({_change(now)}): {changed}"


def _change(step: Step) -> str:
    match step.action:
        case Action.CREATE:
            return f"create at {step.desired}"
        case Action.DROP:
            return f"drop, {step.location}" if step.dangling else f"drop, at {step.current}"
        case Action.ALTER:
            return f"{step.location if step.dangling else step.current} → {step.desired}"


def _details(reviewed: Step, now: Step) -> Iterator[str]:
    if reviewed.set != now.set:
        yield f'set "{reviewed.set}" in the review, "{now.set}" now'
    if reviewed.wave != now.wave:
        yield f"wave {reviewed.wave} in the review, {now.wave} now"
    if reviewed.gates.specification(paths=False) != now.gates.specification(paths=False):
        yield "its gates changed"
    if reviewed.metrics != now.metrics:
        yield "its metrics changed"
    if set(reviewed.skipped_gates) != set(now.skipped_gates):
        yield f"skipped gates: {_names(reviewed)} in the review, {_names(now)} now"
    if reviewed.reverting != now.reverting:
        yield "only one of the plans is a rollback"


def _names(step: Step) -> str:
    return ", ".join(sorted(step.skipped_gates)) or "none"


def _of_sets(before: Mapping[str, SetPlan], after: Mapping[str, SetPlan]) -> Iterator[str]:
    for name in sorted(before.keys() & after.keys()):
        if verify_specification(before[name].verify) != verify_specification(after[name].verify):
            yield f'set "{name}": verify changed'
        if before[name].on_failure is not after[name].on_failure:
            yield f'set "{name}": onFailure: {before[name].on_failure} in the review, {after[name].on_failure} now'
        if set(before[name].depends_on) != set(after[name].depends_on):
            yield f'set "{name}": dependsOn changed'
