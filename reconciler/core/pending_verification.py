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
from reconciler.core.plan import Plan, SetPlan, Step, TargetPlan, Unverified

UnverifiedAliases = Mapping[tuple[Target, str], Unverified]
"""By database and alias."""


def asks(verify: Verify) -> bool:
    """Whether a move has anything to prove once it is made."""
    return bool(verify.propagation or verify.soak)


def with_unverified(plan: SetPlan, wanted: AliasSet, live: LiveCatalog, known: UnverifiedAliases) -> SetPlan:
    """The plan with those aliases of its set that are in place and were not verified there, to be verified first.

    Args:
        plan: of the set.
        wanted: the set; how it wants to be verified counts, not how the earlier run was.
        live: the catalog that the plan was made from.
        known: what earlier runs left.
    """
    if not known or not asks(wanted.verify):
        return plan
    listed = {alias.name: alias for alias in wanted.aliases}
    moving = {step.alias for step in plan.steps}
    found = [
        replace(one, step=_as_wanted_now(one.step, listed[name], wanted.key))
        for (target, name), one in sorted(known.items(), key=lambda item: item[0][1])
        if target == live.target and name in listed and name not in moving and _is_there(one.step, listed[name], live)
    ]
    return replace(plan, unverified=tuple(found))


def saved_with_unverified(plan: Plan, known: UnverifiedAliases) -> Plan:
    """The same for a saved plan, which has no manifests: it verifies what its sets were seen to want.

    A plan that is resumed has a step, too, for what it moved the first time and did not see through.
    """

    def completed(target: TargetPlan, one: SetPlan) -> SetPlan:
        to = {step.alias: step.wanted for step in one.steps}
        found = [
            left
            for (at, name), left in sorted(known.items(), key=lambda item: item[0][1])
            if at == target.target and left.step.set == one.set and to.get(name, left.step.wanted) == left.step.wanted
        ]
        return replace(one, unverified=tuple(found)) if asks(one.verify) else one

    return replace(
        plan,
        targets=tuple(
            replace(target, sets=tuple(completed(target, one) for one in target.sets)) for target in plan.targets
        ),
    )


def _as_wanted_now(step: Step, alias: Alias, key: str) -> Step:
    """The step that was made, with the wave and the gates of today: only they may say what is good enough now."""
    return replace(step, set=key, wave=alias.wave, gates=alias.gates, gate_results=(), skipped_gates=(), blocked=None)


def _is_there(step: Step, alias: Alias, live: LiveCatalog) -> bool:
    """Whether the alias is at the very collection that the step moved it to, and is wanted there."""
    if not step.wanted or alias.collection != step.wanted or live.pointing.get(alias.name) != step.wanted:
        return False
    described = live.described.get(step.wanted)
    return not (described and described.id and step.wanted_id) or described.id == step.wanted_id
