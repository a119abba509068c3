"""Re-verify aliases that an earlier run moved but did not verify, before later waves start.

A run whose readers stayed stuck, whose soak failed or was cut short, or whose process died, leaves aliases that were
moved and not verified. They need no change, but their verification is repeated first, and its result counts: an alias
that passes now is verified, and one that fails blocks the later waves again.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from reconciler.core.model import Alias, AliasSet, LiveCatalog, Target, Verify
from reconciler.core.plan import PendingVerification, Plan, SetPlan, Step, TargetPlan

PendingVerifications = Mapping[tuple[Target, str], PendingVerification]
"""By database and alias."""


def needs_proof(verify: Verify) -> bool:
    """Return whether a move has to be verified."""
    return bool(verify.propagation or verify.soak)


def with_pending_verification(
    plan: SetPlan, desired: AliasSet, live: LiveCatalog, known: PendingVerifications
) -> SetPlan:
    """Return the plan with the aliases of its set that are up to date but not verified, to be verified first.

    `desired`: the set; its present verification counts, not that of the earlier run. `known`: what earlier runs left.
    """
    if not known or not needs_proof(desired.verify):
        return plan
    listed = {alias.name: alias for alias in desired.aliases}
    moving = {step.alias for step in plan.steps}
    found = [
        replace(pending, step=_as_desired_now(pending.step, listed[name], desired.key))
        for (target, name), pending in sorted(known.items(), key=_by_alias)
        if target == live.target
        and name in listed
        and name not in moving
        and _is_there(pending.step, listed[name], live)
    ]
    return replace(plan, pending_verification=tuple(found))


def saved_with_pending_verification(plan: Plan, known: PendingVerifications) -> Plan:
    """Return a saved plan with what is pending verification; without manifests, the saved sets stand for them.

    A plan that is resumed also has a step for each alias that it moved the first time but did not verify.
    """

    def completed(target: TargetPlan, set_plan: SetPlan) -> SetPlan:
        to = {step.alias: step.desired for step in set_plan.steps}
        found = [
            pending
            for (place, name), pending in sorted(known.items(), key=_by_alias)
            if place == target.target
            and pending.step.set == set_plan.set
            and to.get(name, pending.step.desired) == pending.step.desired
        ]
        return replace(set_plan, pending_verification=tuple(found)) if needs_proof(set_plan.verify) else set_plan

    return plan.with_sets(completed)


def _by_alias(known: tuple[tuple[Target, str], PendingVerification]) -> str:
    return known[0][1]


def _as_desired_now(step: Step, alias: Alias, key: str) -> Step:
    """Return the step that was made, with the wave and the gates that the manifest has now."""
    return replace(step, set=key, wave=alias.wave, gates=alias.gates, gate_results=(), skipped_gates=(), blocked=None)


def _is_there(step: Step, alias: Alias, live: LiveCatalog) -> bool:
    """Return whether the alias is at the very collection that the step moved it to, and should be there."""
    if not step.desired or alias.collection != step.desired or live.pointing.get(alias.name) != step.desired:
        return False
    found = live.id_of(step.desired)
    return not (found and step.desired_id) or found == step.desired_id
