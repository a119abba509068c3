"""Re-verify aliases that an earlier run moved but did not verify, before later waves start.

A run whose readers stayed stuck, whose soak failed or was cut short, or whose process died, leaves aliases that were
moved and not verified. They need no change, but their verification is repeated first, and its result counts: an alias
that passes now is verified, and one that fails blocks the later waves again.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from reconciler.core.model import Alias, AliasSet, LiveCatalog, Target, Verify
from reconciler.core.plan import PendingVerification, SetPlan, Step, baselines, is_where_moved, set_spec_hash

PendingVerifications = Mapping[tuple[Target, str, str], PendingVerification]
"""By database, alias and collection: an alias whose move away failed may be at either of two."""


def needs_proof(verify: Verify) -> bool:
    """Return whether a move has to be verified."""
    return bool(verify.propagation or verify.soak)


def with_pending_verification(
    plan: SetPlan, desired: AliasSet, live: LiveCatalog, known: PendingVerifications
) -> SetPlan:
    """Return the plan with the aliases of its set that are up to date but not verified, to be verified first.

    `desired`: the set; its present verification counts, not that of the earlier run. `known`: what earlier runs left.
    """
    if not known:
        return plan
    listed = {alias.name: alias for alias in desired.aliases}
    elsewhere = {step.alias for step in plan.steps} | {pending.alias for pending in plan.pending_reverts}
    spec_hash = set_spec_hash(desired)
    found = [
        replace(pending, step=_as_desired_now(pending.step, listed[name], desired.key, spec_hash))
        for (target, name, collection), pending in sorted(known.items(), key=_by_alias)
        if target == live.target
        and name in listed
        and name not in elsewhere
        and listed[name].collection == collection
        and is_where_moved(pending.step, live)
    ]
    return replace(plan, pending_verification=tuple(found))


def saved_with_pending_verification(plan: SetPlan, target: Target, known: PendingVerifications) -> SetPlan:
    """Return a set of a saved plan with what is pending verification; without manifests, its steps stand for them.

    A plan that is resumed also has a step for each alias that it moved the first time but did not verify.
    """
    if not needs_proof(plan.verify):
        return plan
    to = {step.alias: step.desired for step in plan.steps}
    found = [
        pending
        for (place, name, collection), pending in sorted(known.items(), key=_by_alias)
        if place == target and pending.step.set == plan.set and to.get(name, collection) == collection
    ]
    return replace(plan, pending_verification=tuple(found))


def _by_alias(known: tuple[tuple[Target, str, str], PendingVerification]) -> tuple[str, str]:
    return known[0][1:]


def _as_desired_now(step: Step, alias: Alias, key: str, spec_hash: str) -> Step:
    """Return the step that was made, with what the manifest says about its set, wave, gates and metrics now."""
    return replace(
        step,
        set=key,
        wave=alias.wave,
        gates=alias.gates,
        metrics=alias.metrics,
        gate_results=baselines(step),
        skipped_gates=(),
        spec_hash=spec_hash,
        blocked=None,
    )
