"""What an earlier run moved and did not see through is verified again, before anything behind it is moved.

A wave starts when the earlier one is done and verified. A run whose readers stayed stuck, whose soak failed or was cut
short, or whose process died in the middle of either, leaves an alias that is where it should be and was not found good
there. For the next plan that alias needs no change; but its proof and its soak are made up for first. Readers decide,
not the record: whoever passes now is verified, and whoever fails keeps the later waves from starting once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.core.model import Alias, AliasSet, LiveCatalog, Target, Verify
from reconciler.core.plan import PendingVerification, Plan, SetPlan, Step, TargetPlan

PendingVerifications = Mapping[tuple[Target, str], PendingVerification]
"""By database and alias."""


def needs_proof(verify: Verify) -> bool:
    """Whether a move has anything to prove once it is made."""
    return bool(verify.propagation or verify.soak)


def with_pending_verification(
    plan: SetPlan, desired: AliasSet, live: LiveCatalog, known: PendingVerifications
) -> SetPlan:
    """The plan with those aliases of its set that are in place and were not verified there, to be verified first.

    Args:
        plan: of the set.
        wanted: the set; how it wants to be verified counts, not how the earlier run was.
        live: the catalog that the plan was made from.
        known: what earlier runs left.
    """
    if not known or not needs_proof(desired.verify):
        return plan
    listed = {alias.name: alias for alias in desired.aliases}
    moving = {step.alias for step in plan.steps}
    found = [
        replace(item, step=_as_wanted_now(item.step, listed[name], desired.key))
        for (target, name), item in sorted(known.items(), key=lambda item: item[0][1])
        if target == live.target and name in listed and name not in moving and _is_there(item.step, listed[name], live)
    ]
    return replace(plan, pending_verification=tuple(found))


def saved_with_pending_verification(plan: Plan, known: PendingVerifications) -> Plan:
    """The same for a saved plan, which has no manifests: it verifies what its sets were seen to want.

    A plan that is resumed has a step, too, for what it moved the first time and did not see through.
    """

    def completed(target: TargetPlan, set_plan: SetPlan) -> SetPlan:
        to = {step.alias: step.desired for step in set_plan.steps}
        found = [
            left
            for (at, name), left in sorted(known.items(), key=lambda item: item[0][1])
            if at == target.target
            and left.step.set == set_plan.set
            and to.get(name, left.step.desired) == left.step.desired
        ]
        return replace(set_plan, pending_verification=tuple(found)) if needs_proof(set_plan.verify) else set_plan

    return replace(
        plan,
        targets=tuple(
            replace(target, sets=tuple(completed(target, alias_set) for alias_set in target.sets))
            for target in plan.targets
        ),
    )


def _as_wanted_now(step: Step, alias: Alias, key: str) -> Step:
    """The step that was made, with the wave and the gates of today: only they may say what is good enough now."""
    return replace(step, set=key, wave=alias.wave, gates=alias.gates, gate_results=(), skipped_gates=(), blocked=None)


def _is_there(step: Step, alias: Alias, live: LiveCatalog) -> bool:
    """Whether the alias is at the very collection that the step moved it to, and is wanted there."""
    if not step.desired or alias.collection != step.desired or live.pointing.get(alias.name) != step.desired:
        return False
    described = live.described.get(step.desired)
    return not (described and described.id and step.desired_id) or described.id == step.desired_id
